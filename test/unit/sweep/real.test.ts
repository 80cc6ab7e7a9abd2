import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { setMaxListeners } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { evaluateAll, evaluateModel, textBenchmark } from '../../../server/core/evaluation/evaluate';
import { runJob } from '../../../server/core/job';
import { openModel } from '../../../server/core/models/openModel';
import { planPrune } from '../../../server/core/pruning/planPrune';
import { writePruned } from '../../../server/core/pruning/writePruned';
import { toJson } from '../../../server/core/sweep/cellJson';
import type { CellSpecification, FinishedCell } from '../../../server/core/sweep/contract';
import { makeLocalExecutor } from '../../../server/core/sweep/localExecutor';
import { checkpointFingerprint, planCells, setupOf } from '../../../server/core/sweep/plan';
import type { SweepRequest } from '../../../server/core/sweep/plan';
import { runSweep } from '../../../server/core/sweep/runSweep';
import { SweepStore, readFinished } from '../../../server/core/sweep/store';
import { makePool } from '../../../server/core/workers/pool';
import type { WorkerPool } from '../../../server/core/workers/contract';
import type { SweepJson } from '../../../server/protocol/verbs';
import { fakeRequest } from './fakes';

const root = path.resolve(import.meta.dirname, '../../..'), checkpoint = path.join(root, 'media/tiny-gpt2'), cli = path.join(root, 'dist/cli.js');
const ready = existsSync(path.join(checkpoint, 'model.safetensors')) && existsSync(cli) && existsSync(path.join(root, 'dist/onnxChild.js'));
if (!ready) console.log('SKIPPED: the real sweep needs media/tiny-gpt2 and the build (`npm run build`)');
const options = { skip: !ready };

const folder = mkdtempSync(path.join(tmpdir(), 'winnow-real-sweep-')), text = path.join(folder, 'text.txt');
const signal = new AbortController().signal;
setMaxListeners(0, signal);
let pool: WorkerPool;
before(() => {
  pool = makePool({ threads: 2 });
  writeFileSync(text, 'It was the best of times, it was the worst of times, it was the age of wisdom. '.repeat(40));
});
after(async () => {
  await pool.close();
  rmSync(folder, { recursive: true });
});

const request: SweepRequest = { ...fakeRequest, checkpoint, levels: [0.5], benchmarks: [textBenchmark(text)], context: 64, stride: 32, limit: 6, threads: 2, runtime: false };

async function sweep(dir: string, change: Partial<SweepRequest> = {}): Promise<readonly FinishedCell[]> {
  const cells = planCells({ ...request, ...change });
  const store = SweepStore.open(dir, setupOf(cells[0], checkpointFingerprint(openModel(checkpoint).checkpoint)), { winnow: '0', force: false });
  const executor = makeLocalExecutor({ pool, io: 'auto', scratch: dir }, '0');
  try {
    return (await runJob(runSweep(cells, store, executor, signal))).finished;
  } finally {
    await executor.close();
  }
}

/** Prunes to a folder as `winnow prune` does and evaluates what lies there. */
async function pruneAndEvaluate(cell: CellSpecification, out: string): Promise<{ losses: Float32Array; bytes: number }> {
  const model = openModel(checkpoint);
  const plan = await runJob(planPrune(model, cell.method, { ...cell, sparsity: cell.level }, pool, { io: 'auto' }));
  await runJob(writePruned(model, plan, { out, force: false, io: 'auto' }, pool));
  const evaluation = await runJob(evaluateModel(openModel(out), { ...cell, protocol: cell.protocol }));
  return { losses: evaluation.losses, bytes: openModel(out).checkpoint.tensors.reduce((sum, info) => sum + info.to - info.from, 0) };
}

function assertSame(a: Float32Array, b: Float32Array, what: string): void {
  assert.equal(a.length, b.length);
  let worst = 0;
  a.forEach((loss, i) => { worst = Math.max(worst, Math.abs(loss - b[i]) / Math.max(1, Math.abs(b[i]))); });
  // The bytes are the same; `eval` prepacks a small model's weights and a sweep does not, which moves the last bits of the products.
  assert.ok(worst <= 1e-5, `${what}: losses differ by ${worst}`);
}

test('what a sweep evaluates is what prune writes: masked in the graph, by rows and by groups', options, async () => {
  for (const [name, change] of [
    ['global', {}], ['tensor', { scope: 'tensor' }], ['row', { scope: 'row' }], ['random', { methods: ['random'], seed: 7 }], ['blocks', { pattern: { rows: 4, columns: 8 } }],
    ['table', { scope: 'tensor', allocation: { kind: 'table', entries: [{ glob: '*.mlp.*', sparsity: 0.6 }] } }], ['2:4', { pattern: { keep: 2, of: 4 } }], ['excluded', { exclude: ['*.mlp.*'], levels: [0.9] }], ['included', { include: ['*wte.weight', '*ln_1.weight'] }],
  ] as const) {
    const finished = await sweep(path.join(folder, `same-${name.replace(':', '-')}`), change as Partial<SweepRequest>);
    const { result, losses } = finished[1];
    const written = await pruneAndEvaluate(result.specification, path.join(folder, `pruned-${name.replace(':', '-')}`));
    assertSame(losses!, written.losses, name);
    assert.notDeepEqual(losses, finished[0].losses);
    assert.equal(result.bytes.dense, written.bytes);
    assert.ok(Math.abs(result.achieved! - result.specification.level) < 1e-4);
    // Zeros in scope, in both: `prune` says the same of what it writes.
    assert.ok(Math.abs(result.achievedTotal! - result.achieved! * result.model.scopeParameters / result.model.parameters) < 1e-12);
    assert.ok(result.bytes.deflate < finished[0].result.bytes.deflate && result.bytes.bitmask < result.bytes.dense);
  }
});

test('a structured cell evaluates and weighs the smaller model that prune writes', options, async () => {
  for (const method of ['heads', 'neurons', 'layers']) {
    const [dense, { result, losses }] = await sweep(path.join(folder, `smaller-${method}`), { methods: [method] });
    const written = await pruneAndEvaluate(result.specification, path.join(folder, `written-${method}`));
    assertSame(losses!, written.losses, method);
    assert.equal(result.bytes.dense, written.bytes);
    assert.ok(result.bytes.dense < dense.result.bytes.dense && result.achieved === 0.5);
  }
});

test('a cell is compared with the dense model, masked in the graph or by overlay, as its written copy is; its losses stay what they are', options, async () => {
  for (const [name, change] of [['cuts', {}], ['groups', { pattern: { keep: 2, of: 4 } }], ['neurons', { methods: ['neurons'] }]] as const) {
    const plain = await sweep(path.join(folder, `plain-${name}`), change);
    const [dense, pruned] = await sweep(path.join(folder, `compared-${name}`), { ...change, divergence: true });
    assert.deepEqual([dense.result.divergence, plain[1].result.divergence], [null, null]);
    assert.deepEqual(pruned.losses, plain[1].losses);
    const cell = pruned.result.specification, out = path.join(folder, `compared-${name}-pruned`);
    await pruneAndEvaluate(cell, out);
    const [{ against }] = await runJob(evaluateAll(openModel(out), [cell], openModel(checkpoint)));
    const { klDivergence: kl, sameTop1, probabilityChange } = pruned.result.divergence!;
    assert.ok(kl.mean > 1e-3 && kl.max > kl.p99 && kl.p99 > kl.median && sameTop1.value < 1);
    for (const [got, want] of [[kl.mean, against!.klDivergence.mean], [kl.max, against!.klDivergence.max], [sameTop1.value, against!.sameTop1.value], [probabilityChange.rms, against!.probabilityChange.rms]]) {
      assert.ok(Math.abs(got / want - 1) < 1e-4, `${name}: ${got}, ${want} by hand`);
    }
  }
});

test('a cell run alone by `winnow cell` gives what the sweep gave, and nothing is left beside it', options, async () => {
  const finished = await sweep(path.join(folder, 'alone'));
  const spec = path.join(folder, 'spec.json'), dir = path.join(folder, 'cell'), out = path.join(dir, 'result.json');
  writeFileSync(spec, toJson(finished[1].result.specification));
  const { code, stdout, stderr } = await run(['cell', spec, '--out', out, '--json']);
  assert.equal(code, 0, stderr);
  assert.equal((JSON.parse(stdout) as { out: string }).out, out);
  const alone = readFinished(out);
  assert.deepEqual(alone.losses, finished[1].losses);
  const { seconds: _, winnow: _w, evaluation: a, ...mine } = alone.result, { seconds: _s, winnow: _v, evaluation: b, ...theirs } = finished[1].result;
  assert.deepEqual(mine, theirs);
  assert.deepEqual([a!.value, a!.textSha256, a!.scoredTokens], [b!.value, b!.textSha256, b!.scoredTokens]);
  assert.deepEqual(readdirSync(dir).sort(), ['result.json', 'result.losses.f32'].sort());
});

function run(words: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [cli, ...words], { stdio: ['ignore', 'pipe', 'pipe'] });
    let stdout = '', stderr = '';
    child.stdout.on('data', (data: Buffer) => { stdout += data; });
    child.stderr.on('data', (data: Buffer) => { stderr += data; });
    child.on('close', (code) => resolve({ code, stdout, stderr }));
  });
}

/** Starts the sweep in a process group of its own and sends the group a signal, as a terminal does, as soon as `when` holds. */
function interrupted(words: string[], signal: NodeJS.Signals, when: (pid: number) => boolean): Promise<{ code: number | null; signal: NodeJS.Signals | null; stderr: string }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [cli, ...words], { stdio: ['ignore', 'ignore', 'pipe'], detached: true });
    let stderr = '';
    child.stderr.on('data', (data: Buffer) => { stderr += data; });
    const timer = setInterval(() => {
      if (!when(child.pid!)) return;
      clearInterval(timer);
      process.kill(-child.pid!, signal);
    }, 10);
    child.on('close', (code, by) => { clearInterval(timer); resolve({ code, signal: by, stderr }); });
  });
}

const words = (out: string): string[] => ['sweep', checkpoint, '--text', text, '--context', '64', '--stride', '32', '--limit', '6', '--levels', '0.5,0.9', '--threads', '2', '--provider', 'cpu', '--out', out, '--json'];
const results = (dir: string): string[] => existsSync(path.join(dir, 'cells')) ? readdirSync(path.join(dir, 'cells')).filter((name) => name.endsWith('.result.json')) : [];

test('a sweep killed in the middle goes on where it was; SIGINT ends it with 130; neither leaves scratch behind', options, async () => {
  const dir = path.join(folder, 'killed');
  const first = await interrupted(words(dir), 'SIGKILL', () => results(dir).length > 0);
  assert.equal(first.signal, 'SIGKILL');
  const kept = results(dir), before = kept.map((name) => readFileSync(path.join(dir, 'cells', name), 'utf8'));
  assert.ok(kept.length >= 1 && kept.length < 3);

  const second = await interrupted(words(dir), 'SIGINT', (pid) => readdirSync(dir).some((name) => name.startsWith('.scratch-') && name.includes(`-${pid}-`)));
  assert.equal(second.code, 130, second.stderr);
  assert.match(second.stderr, /winnow: cancelled: [^\n]*\n$/);
  assert.ok(results(dir).length < 3);
  assert.deepEqual(readdirSync(dir).filter((name) => name.startsWith('.scratch')), []);

  const last = await run(words(dir));
  assert.equal(last.code, 0, last.stderr);
  const output = JSON.parse(last.stdout) as SweepJson;
  assert.deepEqual(output.cells.map((cell) => cell.level), [0, 0.5, 0.9]);
  assert.ok(output.cells.every((cell) => typeof cell.value === 'number' && cell.bytes.deflate > 0 && cell.runtime !== null));
  assert.ok(output.cells[2].ratioToBaseline !== null);
  assert.deepEqual(kept.map((name) => readFileSync(path.join(dir, 'cells', name), 'utf8')), before, 'a finished cell was run again');
  assert.deepEqual(readdirSync(dir).sort(), ['cells', 'sweep.json']);
  assert.ok(readdirSync(path.join(dir, 'cells')).every((name) => !name.endsWith('.partial')));

  const other = await run([...words(dir), '--seed', '3']);
  assert.equal(other.code, 1);
  assert.match(other.stderr, /winnow: sweep-differs: .*seed/);
});
