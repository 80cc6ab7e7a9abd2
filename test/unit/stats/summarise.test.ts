import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { CheckpointError, isCancelled } from '../../../server/core/errors';
import type { Checkpoint } from '../../../server/core/formats/contract';
import { runJob, type Progress } from '../../../server/core/job';
import type { Model, TensorRole } from '../../../server/core/models/contract';
import { exactAbove, RefinedBins } from '../../../server/core/stats/exactAbove';
import { scanModel } from '../../../server/core/stats/scan';
import { summarise } from '../../../server/core/stats/summarise';
import type { DType } from '../../../server/core/tensor/dtype';
import type { TensorInfo } from '../../../server/core/tensor/tensorInfo';
import { makePool } from '../../../server/core/workers/pool';
import { statsNumbers } from '../../../server/rpc/statsNumbers';
import { randomWords, scratchFolder, sourceOf } from '../workers/support';

const folder = scratchFolder();
const pool = makePool({ threads: 2 });
after(() => pool.close());

interface Part { name: string; dtype: DType; values: ArrayBufferView; elements: number; role: Partial<TensorRole> }

/** A model of one file without header: only what scanning needs. */
function modelOf(parts: readonly Part[], tied: readonly (readonly string[])[] = []): Model {
  const bytes = Buffer.concat(parts.map(({ values }) => Buffer.from(values.buffer, values.byteOffset, values.byteLength)));
  const { file } = sourceOf(folder, 'model', new Uint8Array(bytes), 'U8', [bytes.length]);
  let from = 0;
  const tensors = parts.map(({ name, dtype, elements, values }): TensorInfo => {
    const tensor = { name, dtype, shape: [elements], elements, file: 0, from, to: from + values.byteLength };
    from = tensor.to;
    return tensor;
  });
  const checkpoint: Checkpoint = { path: file.path, folder, name: 'model', format: 'test', files: [{ ...file, dataFrom: 0, metadata: null }], index: null, tensors, config: null, problems: [] };
  const roles = parts.map(({ role }): TensorRole => ({ role: 'other', layer: null, group: 'g', prunable: false, parameter: true, orientation: null, ...role }));
  return { checkpoint, architecture: null, roles, tied, problems: [] };
}

const floats = (...values: number[]): Float32Array => Float32Array.from(values);
const sample = (): Model => modelOf([
  { name: 'wte', dtype: 'F32', values: floats(1, 0, -3), elements: 3, role: {} },
  { name: 'h.1.mlp', dtype: 'F32', values: floats(0.5, -0, NaN, Infinity), elements: 4, role: { layer: 1, prunable: true } },
  { name: 'h.0.mlp', dtype: 'BF16', values: Uint16Array.of(0x3f80, 0x8000), elements: 2, role: { layer: 0, prunable: true } },
  { name: 'h.0.norm', dtype: 'F32', values: floats(2), elements: 1, role: { layer: 0 } },
  { name: 'h.0.mask', dtype: 'U8', values: Uint8Array.of(1, 1, 1, 0), elements: 4, role: { layer: 0, parameter: false } },
  { name: 'head', dtype: 'F32', values: floats(1, 0, -3), elements: 3, role: { prunable: true } },
  { name: 'none', dtype: 'F16', values: new Uint8Array(0), elements: 0, role: {} },
], [['wte', 'head']]);

test('block 0 of an encoder and block 0 of a decoder are two layers, the encoder\'s first', async () => {
  const part = (stack: 'encoder' | 'decoder', layer: number, elements: number) => ({ name: `${stack}.${layer}.${elements}`, dtype: 'F32' as const, values: new Float32Array(elements), elements, role: { layer, stack, prunable: true } });
  const model = modelOf([part('decoder', 0, 4), part('encoder', 1, 3), part('encoder', 0, 2), part('decoder', 0, 1)]);
  const { layers } = summarise(model, await runJob(scanModel(model, { threshold: 0, io: 'pread' }, pool)));
  assert.deepEqual(layers.map(({ stack, layer, moments }) => [stack, layer, moments.elements]), [['encoder', 0, 2], ['encoder', 1, 3], ['decoder', 0, 5]]);
});

test('parameters count tied tensors once and buffers not, stored counts all, prunable only what may be pruned', async () => {
  const model = sample(), scans = await runJob(scanModel(model, { threshold: 0.5, io: 'pread' }, pool));
  const { overall, stored, prunable, layers, tensors } = summarise(model, scans);
  assert.deepEqual([overall.moments.elements, overall.moments.zeros, overall.moments.nan, overall.moments.inf, overall.above], [10, 3, 1, 1, 5]);
  assert.deepEqual([stored.moments.elements, stored.moments.zeros, stored.above], [17, 5, 10]);
  assert.deepEqual([prunable.moments.elements, prunable.moments.zeros, prunable.above], [6, 2, 2]);
  assert.deepEqual(layers.map(({ layer, moments, prunable: p }) => [layer, moments.elements, p.moments.elements]), [[0, 3, 2], [1, 4, 4]]);
  assert.deepEqual(tensors.map(({ name }) => name), model.checkpoint.tensors.map(({ name }) => name));
});

test('an empty or wholly non-finite set has null where a number would be 0/0', async () => {
  const model = sample(), scans = await runJob(scanModel(model, { threshold: 0, io: 'pread' }, pool)), { tensors } = summarise(model, scans);
  const none = statsNumbers(tensors.find(({ name }) => name === 'none')!);
  assert.deepEqual(none, { parameters: 0, zeros: 0, nan: 0, inf: 0, aboveThreshold: 0, fractionAbove: null, min: null, max: null, mean: null, std: null, absMax: null });
  const mlp = statsNumbers(tensors.find(({ name }) => name === 'h.1.mlp')!);
  assert.deepEqual([mlp.min, mlp.max, mlp.absMax, mlp.fractionAbove], [0, 0.5, 'Infinity', 0.5]);
});

test('counts above any threshold are exact after the scan, whichever way they are found', async () => {
  const next = randomWords(5), n = 5000;
  const f32 = Float32Array.from({ length: n }, () => Math.fround((next() / 2 ** 32 - 0.5) * 0.1)), f64 = Float64Array.from({ length: n }, () => next() / 2 ** 32 - 0.5);
  const i64 = BigInt64Array.from({ length: n }, (_, i) => (i % 2 ? 2n ** 53n + BigInt(i % 7) : -BigInt(i % 5)));
  const model = modelOf([
    { name: 'f32', dtype: 'F32', values: f32, elements: n, role: {} }, { name: 'f64', dtype: 'F64', values: f64, elements: n, role: {} },
    { name: 'i64', dtype: 'I64', values: i64, elements: n, role: {} }, { name: 'bf16', dtype: 'BF16', values: Uint16Array.from(f32, () => next() % 0x7f80), elements: n, role: {} },
  ]);
  const scans = await runJob(scanModel(model, { threshold: null, io: 'pread' }, pool)), cache = new RefinedBins();
  assert.equal(scans.get('f32')?.above, null);
  for (const threshold of [0, Math.abs(f32[17]), Math.abs(f64[3]), 0.0123, 2 ** 53, 2 ** 53 + 2, 1e-9, 4, Infinity]) {
    const asked = await runJob(scanModel(model, { threshold, io: 'pread' }, pool));
    for (let again = 0; again < 2; again++) {
      const above = await runJob(exactAbove(model, scans, threshold, pool, { io: 'pread', cache }));
      for (const [name, scan] of asked) assert.equal(above.get(name), scan.above, `${name} ${threshold}`);
    }
    assert.equal(asked.get('f32')?.above, f32.filter((x) => Math.abs(x) > threshold).length);
    assert.equal(asked.get('f64')?.above, f64.filter((x) => Math.abs(x) > threshold).length);
    if (Number.isFinite(threshold)) assert.equal(asked.get('i64')?.above, i64.filter((x) => (x < 0n ? -x : x) > BigInt(Math.floor(threshold))).length);
  }
});

test('a refined bin is read once and dropped when the cache is full', () => {
  const bin = (n: number): { values: Float64Array; counts: Float64Array } => ({ values: new Float64Array(n), counts: new Float64Array(n) });
  const cache = new RefinedBins(3000);
  const first = bin(50), second = bin(50), third = bin(50);
  cache.set('a', 1, first);
  cache.set('a', 2, second);
  assert.equal(cache.get('a', 1), first);
  cache.set('b', 1, third);
  assert.equal(cache.get('a', 1), undefined);
  assert.deepEqual([cache.get('a', 2), cache.get('b', 1)], [second, third]);
});

test('progress runs in bytes up to the total and never back', async () => {
  const model = sample(), seen: Progress[] = [];
  await runJob(scanModel(model, { threshold: null, io: 'pread' }, pool), (progress) => seen.push(progress));
  const total = model.checkpoint.tensors.reduce((sum, tensor) => sum + tensor.to - tensor.from, 0);
  assert.ok(seen.every(({ unit, total: t }) => unit === 'bytes' && t === total));
  assert.deepEqual(seen.map(({ done }) => done), seen.map(({ done }) => done).sort((a, b) => a - b));
  assert.equal(seen.at(-1)?.done, total);
});

test('a scan stops when its signal fires and when its file changes', async () => {
  const controller = new AbortController(), model = sample();
  await assert.rejects(runJob(scanModel(model, { threshold: null, io: 'pread' }, pool, controller.signal), () => controller.abort()), isCancelled);
  const [file] = model.checkpoint.files;
  const changed: Model = { ...model, checkpoint: { ...model.checkpoint, files: [{ ...file, mtimeMs: file.mtimeMs - 5000 }] } };
  await assert.rejects(runJob(scanModel(changed, { threshold: null, io: 'pread' }, pool)), (e) => e instanceof CheckpointError && e.code === 'file-changed-while-reading');
});
