import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { CheckpointError } from '../../../server/core/errors';
import { codeValues, readCode } from '../../../server/core/kernels/codes';
import type { MagnitudeRule } from '../../../server/core/pruning/contract';
import { dtypes, type DType } from '../../../server/core/tensor/dtype';
import type { SliceSource } from '../../../server/core/workers/contract';
import { maskTensor } from '../../../server/core/workers/maskTensor';
import { makePool } from '../../../server/core/workers/pool';
import { SLICE_BYTES } from '../../../server/core/workers/slices';
import { randomWords, scratchFolder, sourceOf, targetOf } from './support';

const folder = scratchFolder();
const pool = makePool({ threads: 2 });
after(() => pool.close());

// The referee: magnitudes of the whole tensor, and sorting.
function magnitudes(dtype: DType, bytes: Uint8Array, n: number): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: n }, (_, i) => Math.abs(
    dtype === 'F32' ? view.getFloat32(4 * i, true) : dtype === 'F64' ? view.getFloat64(8 * i, true) : (codeValues(dtype) as Float64Array)[readCode(bytes, dtypes[dtype].bits, i)],
  ));
}

/** Index lists that compete with one another, and how many of each list go. */
function contests(rule: MagnitudeRule, shape: readonly number[], m: readonly number[]): { of: number[]; drop: number }[] {
  const all = m.map((_, i) => i);
  if (rule.kind === 'cut') {
    return [{ of: all, drop: m.filter((x) => x < rule.threshold).length + Math.min(rule.ties, m.filter((x) => x === rule.threshold).length) }];
  }
  const width = shape.at(-1) ?? 1, height = shape.at(-2) ?? 1, size = width * height;
  const lines = new Map<string, number[]>();
  for (const i of all) {
    const matrix = Math.floor(i / size), y = Math.floor((i % size) / width), x = i % width;
    const vector = shape.length < 2, outIn = vector || rule.orientation === 'out-in';
    const line = outIn ? `${matrix} ${y}` : `${matrix} ${x}`, along = outIn ? x : y;
    const key = rule.kind === 'rows' ? line : `${line} ${Math.floor(along / rule.of)}`;
    lines.set(key, [...(lines.get(key) ?? []), i]);
  }
  return [...lines.values()].map((of) => ({ of, drop: rule.kind === 'rows' ? rule.selected : of.length < rule.of ? 0 : rule.of - rule.keep }));
}

function referee(dtype: DType, shape: readonly number[], bytes: Uint8Array, rule: MagnitudeRule): Set<number> {
  const n = shape.reduce((a, b) => a * b, 1), m = magnitudes(dtype, bytes, n), selected = new Set<number>();
  for (const { of, drop } of contests(rule, shape, m)) {
    const order = of.filter((i) => !Number.isNaN(m[i])).sort((a, b) => m[a] - m[b] || a - b);
    for (const i of order.slice(0, drop)) selected.add(i);
  }
  return selected;
}

function expectedBytes(dtype: DType, bytes: Uint8Array, selected: ReadonlySet<number>): Uint8Array {
  const out = bytes.slice(), { bits } = dtypes[dtype];
  for (const i of selected) for (let bit = i * bits; bit < (i + 1) * bits; bit++) out[bit >> 3] &= ~(1 << (bit & 7));
  return out;
}

/** Few distinct patterns (so many ties), both zeros, infinities and NaN of every payload. */
function tiedBytes(dtype: DType, n: number, seed: number): Uint8Array {
  const next = randomWords(seed), size = Math.ceil((n * dtypes[dtype].bits) / 8);
  if (dtype === 'F32') return new Uint8Array(Uint32Array.from({ length: n }, () => [0, 0x80000000, 1, 0x3c000001, 0xbc000001, 0x3c000000, 0x7f800000, 0x7fc00001, 0x42280000 + (next() % 64)][next() % 9]).buffer);
  if (dtype === 'F64') return new Uint8Array(Float64Array.from({ length: n }, () => [0, -0, 5e-324, 1 / 3, -1 / 3, 1e300, Infinity, NaN, next() % 16][next() % 9]).buffer);
  if (dtypes[dtype].bits === 16) return new Uint8Array(Uint16Array.from({ length: n }, () => [0, 0x8000, 1, 0x3c01, 0xbc01, 0x7f80, 0x7f81, 0xffc1, 0x3c00 + (next() % 8)][next() % 9]).buffer);
  return Uint8Array.from({ length: size }, () => next() >>> 9);
}

const at = 5; // neither source nor target is aligned
async function check(dtype: DType, shape: readonly number[], rule: MagnitudeRule, label: string): Promise<void> {
  const n = shape.reduce((a, b) => a * b, 1), data = tiedBytes(dtype, n, 77 + n);
  const file = new Uint8Array(at + data.length + 3);
  file.set(data, at);
  const source = sourceOf(folder, 'in', file, dtype, shape, at, at + data.length), target = targetOf(folder, 'out', data.length + 9);
  const counts = await maskTensor(pool, source, rule, { path: target.path, at: 7 });
  const selected = referee(dtype, shape, data, rule), m = magnitudes(dtype, data, n);
  assert.deepEqual(target.read().subarray(7, 7 + data.length), expectedBytes(dtype, data, selected), label);
  assert.deepEqual(target.read().subarray(0, 7), new Uint8Array(7), `${label}: before the target`);
  const zerosBefore = m.filter((x) => x === 0).length, changed = [...selected].filter((i) => m[i] !== 0).length;
  assert.deepEqual(counts, { zerosBefore, changed, zerosAfter: zerosBefore + changed }, label);
}

const floats: readonly DType[] = ['BF16', 'F16', 'F32', 'F64', 'F8_E4M3', 'F8_E5M2', 'F8_E4M3FNUZ', 'F8_E5M2FNUZ', 'F6_E2M3', 'F6_E3M2', 'F4'];

for (const dtype of floats) {
  test(`a cut of ${dtype} takes all below and the first ties, NaN never, at any tie budget`, async () => {
    const shape = [12, 20], m = magnitudes(dtype, tiedBytes(dtype, 240, 77 + 240), 240);
    const some = [...new Set(m.filter((x) => !Number.isNaN(x)))].sort((a, b) => a - b);
    for (const threshold of [some[0], some[1], some[some.length >> 1], some[some.length - 1], 0.00781, Infinity]) {
      for (const ties of [0, 7, 1e6]) await check(dtype, shape, { kind: 'cut', threshold, ties }, `${threshold} ${ties}`);
    }
  });

  test(`rows and groups of ${dtype} are chosen within themselves, in both orientations`, async () => {
    const shapes = [[8, 12], [12, 8], [6, 16], [24], [2, 8, 12], [1, 4]];
    for (const shape of shapes) for (const orientation of ['out-in', 'in-out'] as const) {
      const byColumns = orientation === 'in-out' && shape.length > 1;
      for (const selected of [0, 3, 100]) {
        const rule: MagnitudeRule = { kind: 'rows', selected, orientation };
        if (byColumns && dtypes[dtype].bits < 8) await assert.rejects(check(dtype, shape, rule, ''), (e) => e instanceof CheckpointError && e.code === 'unsupported-scope');
        else await check(dtype, shape, rule, `${shape} ${JSON.stringify(rule)}`);
      }
      for (const [keep, of] of [[2, 4], [4, 8], [1, 3], [0, 2]]) await check(dtype, shape, { kind: 'groups', keep, of, orientation }, `${shape} ${keep}:${of} ${orientation}`);
    }
  });
}

test('what has no zero to write is refused by name', async () => {
  for (const dtype of ['F8_E8M0', 'I32', 'BOOL', 'C64'] as const) {
    await assert.rejects(check(dtype, [8], { kind: 'cut', threshold: 1, ties: 0 }, dtype), (e) => e instanceof CheckpointError && e.code === 'unsupported-dtype');
  }
});

test('a tie budget is dealt out over slices so that exactly the first ties in flat order go', async () => {
  const n = SLICE_BYTES / 2 + 1001; // BF16: one slice and a bit
  const bits = new Uint16Array(n).fill(0x3c00);
  for (let i = 0; i < n; i += 1000) bits[i] = 0x3b00;
  const source: SliceSource = sourceOf(folder, 'large', new Uint8Array(bits.buffer), 'BF16', [n]);
  const below = Math.ceil(n / 1000), equal = n - below, firstSlice = SLICE_BYTES / 2;
  const inFirst = firstSlice - Math.ceil(firstSlice / 1000);
  for (const ties of [equal - 3, 5, inFirst, inFirst + 2, equal + 9]) {
    const target = targetOf(folder, 'large.out', 2 * n);
    const counts = await maskTensor(pool, source, { kind: 'cut', threshold: 2 ** -7, ties }, { path: target.path, at: 0 });
    const gone = below + Math.min(ties, equal);
    assert.deepEqual(counts, { zerosBefore: 0, zerosAfter: gone, changed: gone });
    const out = new Uint16Array(target.read().buffer);
    let seen = 0, wrong = 0;
    for (let i = 0; i < n; i++) {
      const expected = i % 1000 === 0 || seen++ < ties ? 0 : 0x3c00;
      if (out[i] !== expected) wrong++;
    }
    assert.equal(wrong, 0, `${ties} ties`);
  }
});

test('columns of a matrix beyond one buffer are cut in blocks, each column exactly', async () => {
  const height = 2048, width = 2500; // F32: 20.5 MB, two blocks of columns
  const next = randomWords(9), words = Float32Array.from({ length: height * width }, () => (next() % 1000) - 500);
  const source = sourceOf(folder, 'columns', new Uint8Array(words.buffer), 'F32', [height, width]), target = targetOf(folder, 'columns.out', words.byteLength);
  const counts = await maskTensor(pool, source, { kind: 'rows', selected: 1024, orientation: 'in-out' }, { path: target.path, at: 0 });
  const out = new Float32Array(target.read().buffer);
  assert.equal(counts.zerosAfter, out.reduce((sum, x) => sum + (x === 0 ? 1 : 0), 0));
  for (const x of [0, 1, 1999, 2047, 2048, 2499]) {
    const before = Array.from({ length: height }, (_, y) => Math.abs(words[y * width + x])), order = before.map((_, y) => y).sort((a, b) => before[a] - before[b] || a - b);
    const gone = new Set(order.slice(0, 1024));
    for (let y = 0; y < height; y++) assert.equal(out[y * width + x] + 0, gone.has(y) ? 0 : words[y * width + x] + 0);
  }
});
