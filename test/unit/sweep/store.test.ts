import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { fromJson, lossesPath, parseSpecification, toJson, writeCell } from '../../../server/core/sweep/cellJson';
import type { CellSpecification, Executor, FinishedCell } from '../../../server/core/sweep/contract';
import { cellId, planCells, setupOf } from '../../../server/core/sweep/plan';
import type { SweepRequest } from '../../../server/core/sweep/plan';
import { runSweep } from '../../../server/core/sweep/runSweep';
import { SweepStore } from '../../../server/core/sweep/store';
import { hostPart } from '../../../server/core/temporaries';
import { summarise } from '../../../server/core/sweep/summary';
import { runJob } from '../../../server/core/job';
import { fakeCell, fakeRequest } from './fakes';

const folder = mkdtempSync(path.join(tmpdir(), 'winnow-store-'));
after(() => rmSync(folder, { recursive: true }));
let count = 0;
const fresh = (): string => path.join(folder, String(count++));
const signal = new AbortController().signal;
const FINGERPRINT = 'f'.repeat(32);

const open = (dir: string, request: SweepRequest = fakeRequest, force = false): SweepStore =>
  SweepStore.open(dir, setupOf(planCells(request)[0], FINGERPRINT), { winnow: '0', force });

/** Runs cells by making them up, counts how often, and can be told to die at one. */
function fakeExecutor(dieAt = Infinity): Executor & { ran: CellSpecification[] } {
  const ran: CellSpecification[] = [];
  return {
    id: 'fake', ran,
    async run(cell, resultPath, report) {
      report({ stage: 'working', done: 1, total: 2, unit: 'windows' });
      if (ran.length >= dieAt) throw new Error('killed');
      ran.push(cell);
      await new Promise(setImmediate);
      writeCell(resultPath, fakeCell(cell, FINGERPRINT));
    },
    async close() {},
  };
}

test('the plan holds each baseline once and first, levels in order and once, every method in its scope', () => {
  const cells = planCells({ ...fakeRequest, levels: [0.9, 0.5, 0.5, 0], benchmarks: ['sample', 'wikitext-2-raw', 'sample'] });
  assert.deepEqual(cells.map((c) => [c.method, c.level, c.benchmark]), [
    ['dense', 0, 'sample'], ['dense', 0, 'wikitext-2-raw'],
    ['magnitude', 0.5, 'sample'], ['magnitude', 0.5, 'wikitext-2-raw'], ['magnitude', 0.9, 'sample'], ['magnitude', 0.9, 'wikitext-2-raw'],
  ]);
  assert.deepEqual(planCells({ ...fakeRequest, pattern: { keep: 1, of: 4 } }).map((c) => c.level), [0, 0.75]);
  for (const [change, code] of [[{ levels: [1.1] }, 'bad-sparsity'], [{ levels: [Number.NaN] }, 'bad-sparsity'], [{ methods: ['magic'] }, 'unknown-method'], [{ methods: [] }, 'usage']] as const)
    assert.throws(() => planCells({ ...fakeRequest, ...change }), { code });
});

test('the address of a cell changes with every field and with the checkpoint, and not with the order of keys', () => {
  const [cell] = planCells(fakeRequest);
  const id = cellId(cell, FINGERPRINT);
  assert.equal(cellId(Object.fromEntries(Object.entries(cell).reverse()) as unknown as CellSpecification, FINGERPRINT), id);
  assert.notEqual(cellId(cell, 'e'.repeat(32)), id);
  for (const key of Object.keys(cell) as (keyof CellSpecification)[]) assert.notEqual(cellId({ ...cell, [key]: 'other' }, FINGERPRINT), id, key);
});

test('cells of different numbers or allocations have different addresses; where nothing is asked they are those of before', () => {
  const one = (change: Partial<typeof fakeRequest>): CellSpecification => planCells({ ...fakeRequest, levels: [0.5], benchmarks: ['sample'], ...change })[1];
  const plain = one({ methods: ['magnitude'] });
  assert.ok(!('allocation' in plain) && !('parameters' in plain));
  const owl = { kind: 'owl', m: 5, lambda: 0.08, published: false } as const;
  const cells = [plain, one({ scope: 'tensor' }), one({ scope: 'tensor', allocation: owl }), one({ scope: 'tensor', allocation: { ...owl, m: 7 } }), one({ scope: 'tensor', allocation: { ...owl, published: true } }),
    one({ scope: 'tensor', allocation: { kind: 'table', entries: [{ glob: '*', sparsity: 0.5 }] } }), one({ methods: ['ria'] }), one({ methods: ['ria'], parameters: { 'ria-power': 0.25 } })];
  assert.equal(new Set(cells.map((cell) => cellId(cell, FINGERPRINT))).size, cells.length);
  assert.deepEqual(one({ methods: ['ria'] }).parameters, { 'ria-power': 0.5 }, 'a default is written down: it may be another one day');
  assert.equal(cellId(one({ methods: ['ria'], parameters: { 'ria-power': 0.5 } }), FINGERPRINT), cellId(one({ methods: ['ria'] }), FINGERPRINT));
  assert.deepEqual(one({ methods: ['magnitude'], parameters: { 'ria-power': 0.25 } }), plain, 'a number of another method is none of its own');
  assert.throws(() => one({ allocation: owl }), { code: 'unsupported-allocation' }, 'the global scope allocates by itself');
  assert.throws(() => one({ methods: ['ria'], parameters: { 'ria-power': 9 } }), { code: 'bad-parameter' });
  for (const change of [{ allocation: { kind: 'owl' } }, { allocation: { kind: 'table', entries: [{ glob: '*', sparsity: 2 }] } }, { parameters: { x: 'NaN' } }, { pattern: { rows: 0, columns: 4 } }, { pattern: { keep: 2, of: 4, rows: 1 } }]) {
    assert.throws(() => parseSpecification(toJson({ ...plain, ...change }), 's.json'), { code: 'bad-specification' }, JSON.stringify(change));
  }
});

test('a specification survives writing and reading, and a wrong one is refused with its key', () => {
  for (const change of [{ pattern: { keep: 2, of: 4 } }, { pattern: { rows: 16, columns: 8 } }, { scope: 'tensor', allocation: { kind: 'owl', m: 5, lambda: 0.08, published: false } }, { methods: ['ria'], parameters: { 'ria-power': 0.25 } },
    { scope: 'tensor', allocation: { kind: 'table', entries: [{ glob: '*', sparsity: 0.5 }] } }] as const) for (const cell of planCells({ ...fakeRequest, ...change })) assert.deepEqual(parseSpecification(toJson(cell), 's.json'), cell);
  for (const cell of planCells({ ...fakeRequest, pattern: { keep: 2, of: 4 } })) assert.deepEqual(parseSpecification(toJson(cell), 's.json'), cell);
  const [cell] = planCells(fakeRequest);
  for (const [change, key] of [
    [{ level: 2 }, 'level'], [{ level: '0.5' }, 'level'], [{ checkpoint: 'relative' }, 'checkpoint'], [{ scope: 'galaxy' }, 'scope'], [{ pattern: '2:4' }, 'pattern'],
    [{ pattern: { keep: 4, of: 4 } }, 'pattern'], [{ threads: 0 }, 'threads'], [{ provider: 'abacus' }, 'provider'], [{ include: 'x' }, 'include'], [{ version: 2 }, 'version'],
    [{ seed: undefined }, 'seed'], [{ more: 1 }, 'more'],
  ] as const)
    assert.throws(() => parseSpecification(JSON.stringify({ ...cell, ...change }), 's.json'), (error: { code?: string; where?: { key?: string } }) => error.code === 'bad-specification' && error.where?.key === key, key);
  for (const text of ['', '[]', 'null', '{', '"x"']) assert.throws(() => parseSpecification(text, 's.json'), { code: 'bad-specification' });
});

test('non-finite numbers survive the store', () => {
  const value = { a: [NaN, Infinity, -Infinity, 1, null], b: 'NaNs' };
  assert.deepEqual(fromJson(toJson(value)), value);
});

test('a sweep that died goes on where it was, and a finished cell is never run again', async () => {
  const dir = fresh(), cells = planCells(fakeRequest);
  const first = fakeExecutor(2);
  await assert.rejects(runJob(runSweep(cells, open(dir), first, signal)), /killed/);
  assert.equal(first.ran.length, 2);
  const second = fakeExecutor();
  const run = await runJob(runSweep(cells, open(dir), second, signal));
  assert.deepEqual(second.ran, cells.slice(2));
  assert.equal(run.reused, 2);
  const before = readdirSync(path.join(dir, 'cells')).map((name) => readFileSync(path.join(dir, 'cells', name)).toString('base64'));
  const third = fakeExecutor();
  assert.equal((await runJob(runSweep(cells, open(dir), third, signal))).reused, cells.length);
  assert.equal(third.ran.length, 0);
  assert.deepEqual(readdirSync(path.join(dir, 'cells')).map((name) => readFileSync(path.join(dir, 'cells', name)).toString('base64')), before);
});

test('more levels are added to the same store', async () => {
  const dir = fresh();
  await runJob(runSweep(planCells(fakeRequest), open(dir), fakeExecutor(), signal));
  const executor = fakeExecutor(), more = planCells({ ...fakeRequest, levels: [0.5, 0.7] });
  await runJob(runSweep(more, open(dir), executor, signal));
  assert.deepEqual(executor.ran.map((c) => c.level), [0.7]);
});

test('torn files of a crash are seen, removed, and the cell is run again', async () => {
  const dir = fresh(), cells = planCells(fakeRequest);
  await runJob(runSweep(cells, open(dir), fakeExecutor(), signal));
  const [torn, cut, gone] = cells.map((cell) => open(dir).resultPath(cell));
  truncateSync(torn, 20);
  truncateSync(lossesPath(cut), 3);
  rmSync(lossesPath(gone));
  const executor = fakeExecutor();
  await runJob(runSweep(cells, open(dir), executor, signal));
  assert.deepEqual(executor.ran, cells.slice(0, 3));
});

test('what a killed process left is swept out, what a living one writes stays', () => {
  const dir = fresh(), dead = 2 ** 22 + 7; // above the largest process id
  open(dir);
  const cells = path.join(dir, 'cells');
  for (const name of [`x.result.json.${hostPart()}-${dead}-0123abcd.partial`, `x.result.json.${hostPart()}-${process.pid}-0123abcd.partial`]) writeFileSync(path.join(cells, name), 'half');
  mkdirSync(path.join(dir, `.scratch-${hostPart()}-${dead}-0123abcd`));
  mkdirSync(path.join(dir, `.scratch-${hostPart()}-${process.pid}-0123abcd`));
  open(dir);
  assert.deepEqual(readdirSync(cells), [`x.result.json.${hostPart()}-${process.pid}-0123abcd.partial`]);
  assert.deepEqual(readdirSync(dir).sort(), [`.scratch-${hostPart()}-${process.pid}-0123abcd`, 'cells', 'sweep.json']);
});

test('a store of another setup is refused with what differs, and --force starts afresh', async () => {
  const dir = fresh();
  await runJob(runSweep(planCells(fakeRequest), open(dir), fakeExecutor(), signal));
  for (const change of [{ context: 64 }, { stride: 1 }, { limit: 3 }, { protocol: 'gptq' }, { seed: 1 }, { exclude: ['*'] }, { provider: 'webgpu' as const }, { threads: 7 }])
    assert.throws(() => open(dir, { ...fakeRequest, ...change }), (error: { code?: string; detail?: string }) => error.code === 'sweep-differs' && error.detail!.includes(Object.keys(change)[0]));
  assert.throws(() => SweepStore.open(dir, setupOf(planCells(fakeRequest)[0], 'changed'), { winnow: '0', force: false }), { code: 'sweep-differs' });
  const forced = open(dir, { ...fakeRequest, context: 64 }, true);
  assert.equal(forced.all().length, 0);
});

test('a folder that holds something else is left alone', () => {
  const dir = fresh();
  mkdirSync(dir);
  writeFileSync(path.join(dir, 'thesis.txt'), 'ten years');
  for (const force of [false, true]) assert.throws(() => open(dir, fakeRequest, force), { code: 'target-exists' });
  assert.ok(existsSync(path.join(dir, 'thesis.txt')));
  assert.throws(() => SweepStore.read(dir), { code: 'not-a-sweep' });
  assert.throws(() => SweepStore.read(path.join(dir, 'thesis.txt')), { code: 'not-a-sweep' });
  assert.throws(() => SweepStore.read(path.join(dir, 'none')), { code: 'not-found' });
});

test('a cancelled sweep stops between cells and keeps what it has', async () => {
  const dir = fresh(), cancel = new AbortController(), executor = fakeExecutor();
  const stopping: Executor = { ...executor, async run(...args) { await executor.run(...args); cancel.abort(); } };
  await assert.rejects(runJob(runSweep(planCells(fakeRequest), open(dir), stopping, cancel.signal)), { code: 'cancelled' });
  assert.equal(open(dir).all().length, 1);
});

test('a cell is compared with the baseline of its own benchmark, and only when all of the setup is equal', () => {
  const cells = planCells({ ...fakeRequest, levels: [0.5], benchmarks: ['a', 'b'] });
  const finished = cells.map((cell) => fakeCell(cell, FINGERPRINT));
  const header = { version: 1, winnow: '0', started: '', setup: setupOf(cells[0], FINGERPRINT) } as const;
  const summary = summarise('/x', header, finished);
  assert.deepEqual(summary.cells.map((c) => c.result.specification.level), [0, 0, 0.5, 0.5]);
  assert.ok(summary.cells.slice(0, 2).every((c) => c.ratio === null && c.verdict === null));
  for (const { ratio, result } of summary.cells.slice(2)) assert.ok(Math.abs(ratio!.value - Math.exp(result.specification.level)) < 1e-5);
  for (const change of [{ textSha256: 'other' }, { provider: 'webgpu' }, { tokenizer: 'other' }, { scoredTokens: 1 }, { computeDtype: 'F16' }]) {
    const changed = finished.map((one, i): FinishedCell => i < 2 ? one : { ...one, result: { ...one.result, evaluation: { ...one.result.evaluation!, ...change } as FinishedCell['result']['evaluation'] } });
    assert.ok(summarise('/x', header, changed).cells.every((c) => c.ratio === null), JSON.stringify(change));
  }
  const diverged = finished.map((one, i): FinishedCell => i < 2 ? one : { losses: null, result: { ...one.result, evaluation: null, problem: { code: 'not-finite', where: {}, detail: '' } } });
  assert.ok(summarise('/x', header, diverged).cells.slice(2).every((c) => c.ratio === null && c.result.problem?.code === 'not-finite'));
});
