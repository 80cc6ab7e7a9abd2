import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';

const root = path.resolve(__dirname, '../../..');
const folder = mkdtempSync(path.join(tmpdir(), 'winnow-supervise-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const skip = process.platform === 'win32' && 'Windows has neither SIGBUS nor /proc';

const SIDE = 16384, COUNT = 3;

/** A sparse file: gigabytes that take no disk, and a second or more to go through. */
function sparseModel(name: string): string {
  const file = path.join(folder, name), size = SIDE * SIDE * 4;
  const header = Buffer.from(JSON.stringify(Object.fromEntries(Array.from({ length: COUNT }, (_, i) =>
    [`model.layers.${i}.mlp.up_proj.weight`, { dtype: 'F32', shape: [SIDE, SIDE], data_offsets: [i * size, (i + 1) * size] }]))));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  writeFileSync(file, Buffer.concat([length, header]));
  truncateSync(file, 8 + header.length + COUNT * size);
  return file;
}

interface Run { readonly pid: number; readonly ended: Promise<{ code: number | null; signal: string | null; out: string; err: string }>; readonly running: () => boolean; /** It has reported progress. */ readonly busy: () => boolean }

function start(words: readonly string[]): Run {
  const child = spawn(process.execPath, [path.join(root, 'dist/cli.js'), ...words], { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '', err = '', running = true;
  child.stdout.setEncoding('utf8').on('data', (text: string) => { out += text; });
  child.stderr.setEncoding('utf8').on('data', (text: string) => { err += text; });
  const ended = new Promise<Awaited<Run['ended']>>((resolve) => child.once('close', (code, signal) => { running = false; resolve({ code, signal, out, err }); }));
  return { pid: child.pid!, ended, running: () => running, busy: () => err !== '' };
}

/** The child of a run, from /proc. */
async function childOf(run: Run): Promise<number> {
  while (run.running()) {
    const text = readFileSync(`/proc/${run.pid}/task/${run.pid}/children`, 'utf8').trim();
    if (text !== '') return Number(text.split(' ')[0]);
    await wait(2);
  }
  throw new Error('it ended too early');
}
const needsProc = process.platform !== 'linux' && 'finds children in /proc';

const staged = (): string[] => readdirSync(folder).filter((name) => name.includes('.winnow-') || name.startsWith('.scratch') || name.endsWith('.partial'));

test('a process that maps and dies by a signal is one sentence with the signal; what it wrote is removed', { skip: needsProc }, async () => {
  const model = sparseModel('killed.safetensors');
  for (const death of ['SIGBUS', 'SIGKILL'] as const) {
    const progress = path.join(folder, `${death}.progress`);
    const run = start(['prune', model, '--sparsity', '0.5', '--out', path.join(folder, 'out.safetensors'), '--io', 'mmap', '--json', '--progress-file', progress]);
    const child = await childOf(run);
    while (run.running() && staged().length === 0) await wait(2);
    process.kill(child, death);
    const { code, out, err } = await run.ended;
    assert.deepEqual([code, out], [1, '']);
    const last = err.trimEnd().split('\n').at(-1)!;
    assert.match(last, new RegExp(`^winnow: child-died: .*${death}.*--io pread`));
    assert.deepEqual(staged(), [], 'nothing half-written stays');
    assert.ok(!readdirSync(folder).includes('out.safetensors'));
    const end = JSON.parse(readFileSync(progress, 'utf8').trimEnd().split('\n').at(-1)!) as { state: string; message: string };
    assert.equal(end.state, 'failed');
    assert.equal(`winnow: ${end.message}`, last);
  }
});

test('a file truncated under the map or between the reads is one sentence, whichever way it is read', { skip }, async () => {
  const seen = new Set<string>();
  // Whether the cut meets the check before a window or the copy out of it is chance: half and half, so twelve tries suffice.
  for (let attempt = 0; attempt < 12 && !(seen.has('child-died') && seen.has('pread')); attempt++) {
    const io = attempt === 0 ? 'auto' : 'mmap';
    const model = sparseModel('cut.safetensors');
    const run = start(['stats', model, '--json', '--threads', '2', '--io', io]);
    while (run.running() && !run.busy()) await wait(2);
    await wait(30 + 17 * attempt);
    if (run.running()) truncateSync(model, 4096);
    const { code, signal, out, err } = await run.ended;
    if (code === 0) continue;
    const last = err.trimEnd().split('\n').at(-1)!;
    assert.deepEqual([code, signal, out], [1, null, '']);
    assert.match(last, io === 'auto' ? /^winnow: (short-read|file-changed-while-reading): / : /^winnow: (child-died: .*SIGBUS|file-changed-while-reading: )/);
    seen.add(io === 'auto' ? 'pread' : last.split(':')[1].trim());
  }
  assert.ok(seen.size > 0, 'no cut came in time');
});

test('exit codes, output and signals pass through the parent', { skip: needsProc }, async () => {
  const model = sparseModel('through.safetensors');
  for (const [words, code, pattern] of [[['stats', '/nowhere'], 1, /^winnow: not-found: /], [['stats', '/nowhere', '--threshold', '-1'], 2, /^winnow: usage: /]] as const) {
    const ended = await start([...words, '--io', 'mmap', '--json']).ended;
    assert.deepEqual([ended.code, ended.out], [code, '']);
    assert.match(ended.err, pattern);
    assert.equal(ended.err.split('\n').length, 2, 'one line');
  }
  const inspected = await start(['inspect', model, '--io', 'mmap', '--json']).ended;
  assert.deepEqual([inspected.code, (JSON.parse(inspected.out) as { tensorCount: number }).tensorCount], [0, COUNT]);

  for (const early of [true, false]) {
    const cancelled = start(['stats', model, '--io', 'mmap']);
    await childOf(cancelled);
    while (!early && cancelled.running() && !cancelled.busy()) await wait(2);
    process.kill(cancelled.pid, 'SIGTERM');
    const ended = await cancelled.ended;
    assert.equal(ended.code, 130);
    assert.match(ended.err, /winnow: cancelled: /);
  }

  // A killed parent takes its child with it.
  const killed = start(['stats', model, '--io', 'mmap']), child = await childOf(killed);
  await wait(300);
  process.kill(killed.pid, 'SIGKILL');
  await killed.ended;
  for (let tries = 0; ; tries++) {
    try { process.kill(child, 0); } catch { break; }
    assert.ok(tries < 200, 'the child goes on without its parent');
    await wait(50);
  }
});
