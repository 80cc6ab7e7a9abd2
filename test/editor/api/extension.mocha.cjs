// Runs inside a real extension host; `vscode` is the editor's own.
const assert = require('node:assert/strict');
const { existsSync } = require('node:fs');
const path = require('node:path');
const vscode = require('vscode');

const folder = () => vscode.workspace.workspaceFolders[0].uri;
const file = (...names) => vscode.Uri.joinPath(folder(), ...names);
const oddName = 'my model #1 %A0 100% é模型 (copy)';
const until = async (check, ms = 20_000) => {
  for (const end = Date.now() + ms; ;) {
    const value = await check();
    if (value) return value;
    if (Date.now() > end) throw new Error(`gave up: ${check}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
};
const lensTitles = async (uri) => {
  await vscode.workspace.openTextDocument(uri).then((document) => vscode.window.showTextDocument(document));
  return until(async () => {
    const lenses = await vscode.commands.executeCommand('vscode.executeCodeLensProvider', uri, 20);
    const titles = lenses.map((lens) => lens.command?.title).filter(Boolean);
    return titles.length ? titles : null;
  });
};
const activate = () => vscode.extensions.getExtension('winnow.winnow').activate();

describe('Winnow in a real extension host', () => {
  it('contributes its commands and its editor', async () => {
    await activate();
    const commands = await vscode.commands.getCommands(true);
    for (const id of ['winnow.inspect', 'winnow.prune', 'winnow.sweep', 'winnow.showLog', 'winnow.restartServer']) assert.ok(commands.includes(id), id);
  });

  it('leaves documents alone that have nothing to do with a model', async () => {
    const uri = file('plain.json');
    await vscode.window.showTextDocument(await vscode.workspace.openTextDocument(uri));
    const lenses = await vscode.commands.executeCommand('vscode.executeCodeLensProvider', uri, 20);
    assert.deepEqual(lenses.filter((lens) => /Prune|Inspect|Sweep/.test(lens.command?.title ?? '')), []);
  });

  it('puts Inspect, Prune to 50 % and Sweep above a model\'s config.json', async () => {
    const titles = (await lensTitles(file('tiny-gpt2', 'config.json'))).join(' | ');
    assert.match(titles, /Inspect/); assert.match(titles, /Prune to 50 %/); assert.match(titles, /Sweep/);
  });

  it('puts Run sweep on top of a recipe and Prune to X % on each level', async () => {
    const titles = (await lensTitles(file('sweep.winnow.yaml'))).join(' | ');
    assert.match(titles, /Run sweep/i); assert.match(titles, /Prune to 10 %/); assert.match(titles, /Prune to 50 %/);
  });

  it('marks the exact wrong value and the exact unknown key of a recipe', async () => {
    const uri = file('wrong.winnow.yaml');
    const document = await vscode.workspace.openTextDocument(uri);
    await vscode.window.showTextDocument(document);
    const found = await until(() => { const list = vscode.languages.getDiagnostics(uri); return list.length >= 2 ? list : null; });
    const marked = found.map((diagnostic) => document.getText(diagnostic.range));
    assert.ok(marked.includes('1.5'), marked.join(', ')); assert.ok(marked.includes('strid'), marked.join(', '));
  });

  it('inspects a checkpoint through the server and the engine', async () => {
    const api = await activate();
    const facts = await api.call('inspect', { path: file('tiny-gpt2', 'model.safetensors').fsPath });
    assert.equal(facts.parameters, 1484800);
    assert.equal(facts.architecture, 'gpt2');
    const again = await api.call('inspect', { path: file(oddName).fsPath });
    assert.equal(again.parameters, 1484800);
  });

  it('answers a path without a model with one sentence', async () => {
    const api = await activate();
    await assert.rejects(api.call('inspect', { path: file('notes').fsPath }), (error) => /model|checkpoint|weights/i.test(error.message) && !/\n\s+at /.test(error.message));
  });

  it('finds the exact threshold of a target sparsity after a scan', async () => {
    const api = await activate(), target = file('tiny-gpt2').fsPath;
    const scan = await api.call('scan', { path: target });
    assert.ok(scan.bytes > 5e6);
    const cut = await api.call('cut', { path: target, sparsity: 0.5, threshold: null, ids: ['prunable'] });
    assert.equal(cut.exact, true);
    assert.equal(cut.selected, cut.scopeParameters / 2);
    assert.ok(Math.abs(cut.sparsity - 0.5) < 1e-9);
  });

  for (const [what, names] of [['a file', ['tiny-gpt2', 'model.safetensors']], ['a folder', ['tiny-gpt2']], ['a folder with an odd name', [oddName]]]) {
    it(`opens ${what} in the inspector`, async () => {
      const uri = file(...names);
      await vscode.commands.executeCommand('vscode.openWith', uri, 'winnow.inspector');
      const tab = await until(() => { const { input } = vscode.window.tabGroups.activeTabGroup.activeTab ?? {}; return input instanceof vscode.TabInputCustom && input; });
      assert.equal(tab.viewType, 'winnow.inspector');
      assert.equal(tab.uri.fsPath, uri.fsPath);
      await vscode.commands.executeCommand('workbench.action.closeActiveEditor');
    });
  }

  it('prunes as a job of its own and writes the checkpoint', async () => {
    const api = await activate(), source = file('tiny-gpt2').fsPath, out = file('pruned-by-api').fsPath;
    const job = await api.call('startJob', { kind: 'prune', checkpoint: source, args: ['prune', source, '--sparsity', '0.5', '--out', out], title: 'Prune' });
    assert.ok(job.pid > 0);
    const done = await until(async () => { const { jobs } = await api.call('jobs', {}); const mine = jobs.find((each) => each.id === job.id); return mine && mine.state !== 'running' ? mine : null; }, 60_000);
    assert.equal(done.state, 'done', done.message ?? '');
    assert.ok(existsSync(path.join(out, 'model.safetensors')));
    const { identical } = { identical: (await api.call('inspect', { path: out })).parameters === 1484800 };
    assert.ok(identical);
  });
});
