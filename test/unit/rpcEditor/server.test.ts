import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { fork, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { CancellationTokenSource, createMessageConnection, IPCMessageReader, IPCMessageWriter, type CodeLens, type Diagnostic, type MessageConnection } from 'vscode-languageserver/node';
import { noteChild, reapOrphans } from '../../../server/rpc/childFiles';
import { isAlive, startStamp } from '../../../server/rpc/processIdentity';

/** The built server and engine, as the extension starts them. */
const dist = path.resolve(import.meta.dirname, '../../../dist');
let folder = '', model = '', child: ChildProcess, connection: MessageConnection;
const events: { event: string; payload: { state?: string } }[] = [];
const diagnostics = new Map<string, Diagnostic[]>();
const waiting = new Set<() => void>();
const until = (ready: () => boolean): Promise<void> => new Promise((resolve) => {
  const look = (): void => { if (ready()) { waiting.delete(look); resolve(); } };
  waiting.add(look);
  look();
});
const tell = (): void => waiting.forEach((look) => look());
interface Answer { ok: boolean; result: Record<string, unknown>; failure: { code: string; sentence: string } }
const ask = (method: string, params: object): Promise<Answer> => connection.sendRequest(`winnow/${method}`, params);
const open = (file: string, text: string): Promise<void> => connection.sendNotification('textDocument/didOpen', { textDocument: { uri: pathToFileURL(file).href, languageId: 'yaml', version: 1, text } });

function tinySafetensors(): Buffer {
  const header = JSON.stringify({ 'h.0.attn.c_attn.weight': { dtype: 'F32', shape: [4, 12], data_offsets: [0, 192] } }), length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, Buffer.from(header), Buffer.from(Float32Array.from({ length: 48 }, (_, i) => i - 24).buffer)]);
}

before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'winnow server é#%'));
  model = path.join(folder, 'model');
  mkdirSync(model);
  writeFileSync(path.join(model, 'model.safetensors'), tinySafetensors());
  writeFileSync(path.join(model, 'config.json'), '{"model_type": "gpt2"}');
  child = fork(path.join(dist, 'server.js'), [], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'], execArgv: [] });
  connection = createMessageConnection(new IPCMessageReader(child), new IPCMessageWriter(child));
  connection.onNotification('winnow/event', (event) => { events.push(event); tell(); });
  connection.onNotification('textDocument/publishDiagnostics', ({ uri, diagnostics: found }) => { diagnostics.set(uri, found); tell(); });
  connection.onRequest(() => null);
  connection.listen();
  await connection.sendRequest('initialize', { processId: process.pid, rootUri: null, capabilities: {}, initializationOptions: { io: 'pread', threads: 1, dataFolder: null, storage: path.join(folder, 'storage') } });
  await connection.sendNotification('initialized', {});
});
after(async () => {
  const gone = once(child, 'exit');
  connection.dispose();
  child.disconnect();
  await gone;
  rmSync(folder, { recursive: true, force: true });
});

test('calls go through server and engine, and a failure keeps its code and its sentence', async () => {
  assert.equal((await ask('inspect', { path: model })).result.parameters, 48);
  const refused = await ask('inspect', { path: folder });
  assert.equal(refused.failure.code, 'no-model-in-folder');
  assert.ok(refused.failure.sentence.length > 20 && !refused.failure.sentence.includes('\n'));
  assert.deepEqual((await ask('jobs', {})).result, { jobs: [] });
});

test('a recipe is complained about on its exact value, and lensed when it is sound', async () => {
  const wrong = path.join(folder, 'wrong é.winnow.yaml'), right = path.join(folder, 'right.winnow.yaml'), config = path.join(model, 'config.json');
  await open(wrong, 'levels: [0.5, 1.5]\n');
  await until(() => diagnostics.has(pathToFileURL(wrong).href));
  assert.deepEqual(diagnostics.get(pathToFileURL(wrong).href)?.map(({ range }) => [range.start.line, range.start.character, range.end.character]), [[0, 14, 17]]);
  await open(right, 'checkpoint: ./model\nlevels:\n  - 0.25\n');
  await open(config, '{"model_type": "gpt2"}');
  const lenses = async (file: string): Promise<(string | undefined)[]> => (await connection.sendRequest<CodeLens[]>('textDocument/codeLens', { textDocument: { uri: pathToFileURL(file).href } })).map(({ command }) => command?.title);
  assert.deepEqual(await lenses(right), ['Run sweep', 'Inspect', 'Prune to 25 %']);
  assert.deepEqual(await lenses(config), ['Inspect', 'Prune to 50 %', 'Sweep']);
});

test('an engine that is killed is told of, started again, and serves again', { skip: process.platform === 'win32' }, async () => {
  const { pid } = await connection.sendRequest<{ pid: number }>('winnow/enginePid');
  assert.deepEqual(readdirSync(path.join(folder, 'storage/children')), [`${pid}.json`]);
  process.kill(pid, 'SIGKILL');
  await until(() => events.some(({ event, payload }) => event === 'engineState' && payload.state === 'restarting'));
  await until(() => events.some(({ event, payload }) => event === 'engineState' && payload.state === 'running'));
  assert.equal((await ask('inspect', { path: model })).result.parameters, 48);
  assert.notEqual((await connection.sendRequest<{ pid: number }>('winnow/enginePid')).pid, pid);
});

test('a child whose parent is gone is ended by the next start; others are left alone', { skip: process.platform === 'win32' }, async () => {
  const children = path.join(folder, 'orphans'), sleeper = (): ChildProcess => spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
  const orphan = sleeper(), ours = sleeper(), parent = sleeper();
  try {
    noteChild(children, orphan.pid!, parent.pid!);
    noteChild(children, ours.pid!);
    writeFileSync(path.join(children, '1.json'), 'not json');
    assert.deepEqual(reapOrphans(children), []);
    const parentGone = once(parent, 'exit'), orphanGone = once(orphan, 'exit');
    parent.kill('SIGKILL');
    await parentGone;
    assert.deepEqual(reapOrphans(children), [orphan.pid]);
    await orphanGone;
    assert.ok(isAlive(ours.pid!, startStamp(ours.pid!)));
    assert.deepEqual(readdirSync(children), [`${ours.pid}.json`]);
  } finally { for (const each of [orphan, ours, parent]) each.kill('SIGKILL'); }
});

test('a preview counts what pruning would change, writes nothing, and is cancelled like any call', async () => {
  const before = readdirSync(folder, { recursive: true }).filter((name) => !String(name).startsWith('storage')).sort();
  const args = ['prune', model, '--sparsity', '0.5', '--out', path.join(folder, 'never')];
  const { ok, result } = await ask('previewPrune', { checkpoint: model, args });
  assert.equal(ok, true);
  assert.deepEqual([result.dryRun, result.changed, result.prunedParameters, result.out], [true, 23, 24, path.join(folder, 'never')], 'one weight of the 24 is zero already');
  assert.deepEqual(readdirSync(folder, { recursive: true }).filter((name) => !String(name).startsWith('storage')).sort(), before);
  const refused = await ask('previewPrune', { checkpoint: model, args: ['prune', path.join(folder, 'nowhere'), '--sparsity', '0.5'] });
  assert.deepEqual([refused.ok, refused.failure.code], [false, 'not-found']);
  assert.match(refused.failure.sentence, /nowhere/);
  assert.equal((await ask('previewPrune', { checkpoint: model, args: ['sweep', model] })).failure.code, 'usage');
  const cancel = new CancellationTokenSource(), cancelled = connection.sendRequest<Answer>('winnow/previewPrune', { checkpoint: model, args }, cancel.token);
  cancel.cancel();
  const answered = await cancelled;
  assert.equal(answered.failure?.code, 'cancelled', JSON.stringify(answered).slice(0, 300));
});
