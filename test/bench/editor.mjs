// DESIGN section 8, the editor's rows: menu click to first tree row (warm and cold, beside an empty webview extension in the
// same run) and slider to repaint with 3,000 tensors. Prints a table and writes build/bench-editor.json.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { ensureBuild, ensureDependencies, ensureEditor, root, run } from '../../scripts/setup.mjs';
import { contextMenu, explorerRow, launchBrowser, openWorkbench, runCommand, startServer, webview } from '../editor/workbench.mjs';

ensureDependencies(); ensureBuild(); ensureEditor();
const repeats = 5;
const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];
const spread = (values) => `${median(values).toFixed(0)} (${Math.min(...values).toFixed(0)}..${Math.max(...values).toFixed(0)})`;
const temporary = mkdtempSync(path.join(os.tmpdir(), 'winnow-bench-'));
const rows = [];
const row = (work, measured, bar, holds) => { rows.push({ work, measured, bar, holds }); console.log(`${holds ? '+' : '-'} ${work}: ${measured}   [${bar}]`); };

/** The peer: an extension whose custom editor shows one word as soon as its script runs. */
function emptyExtension() {
  const folder = path.join(temporary, 'empty');
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, 'package.json'), JSON.stringify({
    name: 'empty', publisher: 'bench', version: '0.0.1', engines: { vscode: '^1.91.0' }, main: './extension.js', license: 'MIT',
    contributes: {
      commands: [{ command: 'empty.open', title: 'Empty: Open' }],
      customEditors: [{ viewType: 'empty.view', displayName: 'Empty', selector: [{ filenamePattern: '*.empty' }] }],
      menus: { 'explorer/context': [{ command: 'empty.open', when: 'resourceExtname == .empty' }] },
    },
  }));
  writeFileSync(path.join(folder, 'view.js'), "document.body.innerHTML = '<p class=\"row-label\">ready</p>';");
  writeFileSync(path.join(folder, 'extension.js'), `const vscode = require('vscode');
exports.activate = (context) => context.subscriptions.push(
  vscode.commands.registerCommand('empty.open', (uri) => vscode.commands.executeCommand('vscode.openWith', uri, 'empty.view')),
  vscode.window.registerCustomEditorProvider('empty.view', {
    openCustomDocument: (uri) => ({ uri, dispose() {} }),
    resolveCustomEditor: (document, panel) => {
      panel.webview.options = { enableScripts: true, localResourceRoots: [context.extensionUri] };
      panel.webview.html = '<!DOCTYPE html><html><body><script src="' + panel.webview.asWebviewUri(vscode.Uri.joinPath(context.extensionUri, 'view.js')) + '"></script></body></html>';
    },
  }));`);
  const out = path.join(temporary, 'empty.vsix');
  const result = spawnSync(process.execPath, [path.join(root, 'node_modules/@vscode/vsce/vsce'), 'package', '--no-dependencies', '--allow-missing-repository', '--skip-license', '-o', out], { cwd: folder, encoding: 'utf8' });
  if (result.status !== 0) throw new Error(result.stdout + result.stderr);
  return out;
}

const workspace = path.join(temporary, 'ws');
mkdirSync(workspace);
writeFileSync(path.join(workspace, 'file.empty'), 'x');
const wide = path.join(workspace, 'wide.safetensors');
run(process.execPath, ['--import', 'tsx', '-e', `
  const { writeCheckpoint } = require('./test/fixtures/synthesise.ts');
  const tensors = Object.fromEntries(Array.from({ length: 3000 }, (_, i) => ['model.layers.' + (i >> 3) + '.mlp.part' + (i & 7) + '.weight', [64, 64]]));
  writeCheckpoint(${JSON.stringify(wide)}, tensors, { dtype: 'BF16' });`]);
const vsix = path.join(temporary, 'winnow.vsix');
run(process.execPath, [path.join(root, 'scripts/package.mjs'), '--out', vsix], { stdio: 'ignore' });
const empty = emptyExtension();

/** Milliseconds from the click on the menu entry to the first row of the view. */
async function open(page, file, entry) {
  const target = page.locator('.monaco-menu .action-item', { hasText: entry });
  await explorerRow(page, file).first().click({ button: 'right' });
  await target.waitFor();
  await page.waitForTimeout(300); // a menu ignores hasty clicks
  const started = performance.now();
  await target.click();
  await webview(page).locator('.row-label').filter({ hasText: /\S/ }).first().waitFor({ timeout: 30_000 });
  return performance.now() - started;
}

const browser = await launchBrowser();
const cold = { winnow: [], empty: [] };
try {
  for (let i = 0; i < repeats; i++) {
    for (const [name, package_, file, entry] of i % 2 ? [['empty', empty, 'file.empty', 'Empty: Open'], ['winnow', vsix, 'wide.safetensors', 'Winnow: Inspect']] : [['winnow', vsix, 'wide.safetensors', 'Winnow: Inspect'], ['empty', empty, 'file.empty', 'Empty: Open']]) {
      const server = await startServer({ vsix: package_ });
      const page = await openWorkbench(browser, server, workspace);
      cold[name].push(await open(page, file, entry));
      if (name === 'winnow' && i === repeats - 1) await warmAndSlider(page);
      await page.context().close();
      await server.stop();
    }
  }
} finally {
  await browser.close();
  rmSync(temporary, { recursive: true, force: true });
}
const more = median(cold.winnow) - median(cold.empty);
row('inspector, cold: ms more than an empty webview extension', `${more.toFixed(0)} (Winnow ${spread(cold.winnow)}, empty ${spread(cold.empty)})`, '<= 1000 ms', more <= 1000);
writeFileSync(path.join(root, 'build/bench-editor.json'), JSON.stringify(rows, null, 1));

async function warmAndSlider(page) {
  const closeAll = () => runCommand(page, 'View: Close All Editors');
  const warm = [];
  for (let i = 0; i < repeats + 2; i++) {
    await closeAll();
    await page.locator('.tabs-container .tab').first().waitFor({ state: 'detached' });
    warm.push(await open(page, 'wide.safetensors', 'Winnow: Inspect'));
  }
  const used = warm.slice(2); // two webviews opened before
  row('inspector, server up, two webviews opened before: click to first tree row, ms', spread(used), '< 1000 ms, median of 5', median(used) < 1000);
  const view = webview(page);
  await view.locator('.status', { hasText: /scanned/ }).waitFor({ timeout: 60_000 });
  const frame = page.frames().at(-1);
  const times = await frame.evaluate(async () => {
    const slider = document.querySelector('.slider'), all = [];
    for (let i = 0; i < 30; i++) {
      const started = performance.now();
      slider.value = String(Number(slider.min) + ((Number(slider.max) - Number(slider.min)) * (10 + i)) / 50);
      slider.dispatchEvent(new Event('input', { bubbles: true }));
      await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
      all.push(performance.now() - started);
    }
    return all;
  });
  row('slider to repaint, 3,000 tensors, ms (to the frame after it)', spread(times), '< 50 ms', median(times) < 50);
}
