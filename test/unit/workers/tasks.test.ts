import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { Worker } from 'node:worker_threads';
import { CheckpointError } from '../../../server/core/errors';
import { codeValues, readCode } from '../../../server/core/kernels/codes';
import { magnitudeOf, upperMagnitudeOf } from '../../../server/core/stats/histogram';
import { meanOf, stdOf } from '../../../server/core/stats/moments';
import { dtypes, type DType } from '../../../server/core/tensor/dtype';
import { makePool } from '../../../server/core/workers/pool';
import { SLICE_BYTES } from '../../../server/core/workers/slices';
import { countAt, refineTensor, scanTensor, structureTensor } from '../../../server/core/workers/tensorTasks';
import { exactSum } from '../kernels/referee';
import { randomWords, scratchFolder, sourceOf } from './support';

const folder = scratchFolder();
const pool = makePool({ threads: 2 });
after(() => pool.close());

/** Values of any dtype, one by one, as exactly as a double can. */
function valuesOf(dtype: DType, bytes: Uint8Array, n: number): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: n }, (_, i) => {
    if (dtype === 'F32') return view.getFloat32(4 * i, true);
    if (dtype === 'F64') return view.getFloat64(8 * i, true);
    if (dtype === 'I32') return view.getInt32(4 * i, true);
    if (dtype === 'U32') return view.getUint32(4 * i, true);
    if (dtype === 'I64') return Number(view.getBigInt64(8 * i, true));
    if (dtype === 'U64') return Number(view.getBigUint64(8 * i, true));
    if (dtype === 'C64') return Math.sqrt(view.getFloat32(8 * i, true) ** 2 + view.getFloat32(8 * i + 4, true) ** 2);
    return (codeValues(dtype) as Float64Array)[readCode(bytes, dtypes[dtype].bits, i)];
  });
}

function randomBytes(dtype: DType, n: number, seed: number): Uint8Array {
  const next = randomWords(seed), bytes = Uint8Array.from({ length: (n * dtypes[dtype].bits) / 8 }, () => next() >>> 11);
  // Wide floats from raw bits span 300 decades: keep them near one, with some zeros, so that sums mean something.
  if (dtype === 'F32' || dtype === 'C64') new Float32Array(bytes.buffer).forEach((_, i, all) => { all[i] = next() % 9 === 0 ? 0 : (next() % 9 === 0 ? NaN : next() / 2 ** 32 - 0.4); });
  if (dtype === 'F64') new Float64Array(bytes.buffer).forEach((_, i, all) => { all[i] = next() % 9 === 0 ? -0 : next() / 2 ** 32 - 0.4; });
  // Below 2^53, so that a double is the integer itself (beyond it there is a test of its own).
  if (dtype === 'I64' || dtype === 'U64') for (let i = 0; i < n; i++) bytes.fill(0, 8 * i + 6, 8 * i + 8);
  return bytes;
}

for (const dtype of Object.keys(dtypes) as DType[]) {
  test(`${dtype}: moments, histogram, counts and refined bins agree with the values read one by one`, async () => {
    const n = 2400, bytes = randomBytes(dtype, n, 31 + n), at = dtypes[dtype].bits === 64 ? 3 : 1;
    const file = new Uint8Array(bytes.length + at + 2).fill(0xff);
    file.set(bytes, at);
    const source = sourceOf(folder, `t-${dtype}`, file, dtype, [n], at, at + bytes.length), values = valuesOf(dtype, bytes, n);
    const finite = values.filter(Number.isFinite), magnitudes = values.filter((x) => !Number.isNaN(x)).map(Math.abs).sort((a, b) => a - b);
    const threshold = magnitudes[magnitudes.length >> 1];
    const { moments: m, histogram: h, above } = await scanTensor(pool, source, { threshold });
    assert.deepEqual([m.elements, m.zeros, m.nan, m.inf], [n, values.filter((x) => x === 0).length, values.filter(Number.isNaN).length, magnitudes.filter((x) => x === Infinity).length]);
    assert.deepEqual([m.min + 0, m.max + 0, m.absMax], [Math.min(...finite) + 0, Math.max(...finite) + 0, magnitudes.at(-1)]);
    const scale = Math.max(...finite.map(Math.abs)), mean = exactSum(finite) / finite.length;
    const deviation = Math.sqrt(exactSum(finite.map((x) => ((x - mean) / scale) ** 2)) / finite.length) * scale;
    assert.ok(Math.abs(meanOf(m) - mean) <= 1e-13 * scale, `mean ${meanOf(m)} ${mean}`);
    assert.ok(Math.abs(stdOf(m) / deviation - 1) <= 1e-12, `std ${stdOf(m)} ${deviation}`);
    assert.equal(above, magnitudes.filter((x) => x > threshold).length);
    h.keys.forEach((key, i) => {
      const low = magnitudeOf(h.space, key, h.values), high = upperMagnitudeOf(h.space, key, h.values);
      assert.equal(h.counts[i], magnitudes.filter((x) => low <= x && x <= high).length, `key ${key}`);
      assert.ok(i === 0 || h.keys[i - 1] < key);
    });
    assert.equal(h.counts.reduce((a, b) => a + b, 0), magnitudes.length);
    const { less, equal } = await countAt(pool, source, threshold);
    assert.deepEqual([less, equal], [magnitudes.filter((x) => x < threshold).length, magnitudes.filter((x) => x === threshold).length]);
    if (h.space !== 'F32' && h.space !== 'F64') return;
    // More keys than there are slots, so that several passes are needed.
    const keys = [...h.keys].filter((_, i) => i % 2 === 0), refined = await refineTensor(pool, source, keys);
    const inside = magnitudes.filter((x) => keys.some((key) => magnitudeOf(h.space, key) <= x && x <= upperMagnitudeOf(h.space, key)));
    assert.deepEqual([...refined.values], [...new Set(inside)]);
    assert.equal(refined.counts.reduce((a, b) => a + b, 0), inside.length);
  });
}

test('64-bit integers are compared exactly where doubles would round', async () => {
  const values = BigInt64Array.of(-(2n ** 53n) - 1n, 2n ** 53n, 2n ** 62n + 1n, -(2n ** 63n), 0n);
  const source = sourceOf(folder, 'big', new Uint8Array(values.buffer), 'I64', [5]);
  assert.deepEqual(await countAt(pool, source, 2 ** 53), { magnitude: 2 ** 53, less: 1, equal: 1 });
  assert.equal((await scanTensor(pool, source, { threshold: 2 ** 62 })).above, 2);
  assert.equal((await scanTensor(pool, source, { threshold: 2 ** 63 })).above, 0);
});

test('a scan over several slices is the same to the last bit for any number of threads', async () => {
  const words = new Uint32Array(SLICE_BYTES / 2 + 5), next = randomWords(3); // two slices and a bit
  for (let i = 0; i < words.length; i++) words[i] = 0x3c000000 + (next() & 0x80ffffff);
  const source = sourceOf(folder, 'slices', new Uint8Array(words.buffer), 'F32', [words.length]);
  const answers = [];
  for (const threads of [1, 2, 3]) {
    const some = makePool({ threads });
    answers.push(await scanTensor(some, source, { threshold: 0.01 }));
    await some.close();
  }
  assert.deepEqual(answers[1], answers[0]);
  assert.deepEqual(answers[2], answers[0]);
  assert.equal(answers[0].moments.elements, words.length);
  const bf16 = await scanTensor(pool, { ...source, dtype: 'BF16', shape: [words.length * 2] }, { threshold: null });
  assert.equal(bf16.histogram.counts.reduce((a, b) => a + b, 0) + bf16.moments.nan, words.length * 2);
});

test('dead rows and groups that hold 2:4 are counted along the inputs', async () => {
  // (4, 8) in rows: one dead, one half ready. Read as (in, out) the same bytes have columns of four.
  const rows = [[0, 0, 0, 0, 0, -0, 0, 0], [1, 0, 0, 2, 1, 1, 1, 0], [1, 1, 1, 1, 0, 0, 0, 0], [1, 2, 3, 4, 5, 6, 7, 8]];
  for (const dtype of ['F32', 'F64'] as const) {
    const flat = rows.flat(), bytes = new Uint8Array((dtype === 'F32' ? Float32Array.from(flat) : Float64Array.from(flat)).buffer);
    const source = sourceOf(folder, `rows-${dtype}`, bytes, dtype, [4, 8]);
    assert.deepEqual(await structureTensor(pool, source, 'out-in'), { rows: 4, deadRows: 1, groups: 8, ready: 4 });
    assert.deepEqual(await structureTensor(pool, source, 'in-out'), { rows: 8, deadRows: 0, groups: 8, ready: 6 });
  }
  const columns = sourceOf(folder, 'columns', new Uint8Array(Float32Array.of(0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 5).buffer), 'F32', [4, 3]);
  assert.deepEqual(await structureTensor(pool, columns, 'in-out'), { rows: 3, deadRows: 1, groups: 3, ready: 3 });
});

test('a worker that dies rejects its own task with child-died and is replaced', async () => {
  const one = makePool({ threads: 1 });
  const bytes = new Uint8Array(64 * 2 ** 20), source = sourceOf(folder, 'dies', bytes, 'F64', [bytes.length / 8]);
  const seats = (one as unknown as { seats: Set<{ worker: Worker }> }).seats;
  const dying = one.run({ kind: 'scan', source, threshold: null }, undefined, () => { for (const { worker } of seats) void worker.terminate(); });
  const waiting = one.run({ kind: 'scan', source: { ...source, to: 8 }, threshold: null });
  await assert.rejects(dying, (error) => error instanceof CheckpointError && error.code === 'child-died');
  assert.equal((await waiting).moments.zeros, 1);
  await one.close();
});
