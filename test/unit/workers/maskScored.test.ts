import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { codeValues, readCode } from '../../../server/core/kernels/codes';
import { openValues } from '../../../server/core/bytes/decodedSource';
import type { MagnitudeRule, TensorRule } from '../../../server/core/pruning/contract';
import { dtypes, type DType } from '../../../server/core/tensor/dtype';
import type { ScoreStep } from '../../../server/core/tensor/encoding';
import { maskTensor } from '../../../server/core/workers/maskTensor';
import { makePool } from '../../../server/core/workers/pool';
import { randomWords, scratchFolder, sourceOf, targetOf } from './support';

const folder = scratchFolder();
const pool = makePool({ threads: 2 });
after(() => pool.close());

const LEAST = 2 ** -126;
const floats: readonly DType[] = ['BF16', 'F16', 'F32', 'F64', 'F8_E4M3', 'F8_E5M2', 'F6_E2M3', 'F4'];
type Orientation = 'out-in' | 'in-out';

/** Weights with zeros of both signs, NaN and infinities where the dtype has them. */
function weights(dtype: DType, n: number): { bytes: Uint8Array; values: number[] } {
  const next = randomWords(31 + n), { bits } = dtypes[dtype];
  const bytes = new Uint8Array(Math.ceil((n * bits) / 8));
  if (dtype === 'F64') new Float64Array(bytes.buffer).set(Array.from({ length: n }, () => [0, -0, 1e-300, -1e-300, NaN, Infinity, next() / 2 ** 31 - 1][next() % 12] ?? (next() / 2 ** 31 - 1)));
  else if (dtype === 'F32') new Float32Array(bytes.buffer).set(Array.from({ length: n }, () => [0, -0, 1e-40, NaN, -Infinity][next() % 20] ?? (next() / 2 ** 31 - 1)));
  else for (let i = 0; i < bytes.length; i++) bytes[i] = next() >>> 13;
  const view = new DataView(bytes.buffer);
  return { bytes, values: Array.from({ length: n }, (_, i) => (dtype === 'F32' ? view.getFloat32(4 * i, true) : dtype === 'F64' ? view.getFloat64(8 * i, true) : codeValues(dtype)![readCode(bytes, bits, i)])) };
}

/** Where a weight stands. */
function at(shape: readonly number[], orientation: Orientation, i: number): { matrix: number; output: number; input: number; outputs: number; inputs: number } {
  const width = shape.at(-1)!, height = shape.at(-2) ?? 1, matrix = Math.floor(i / (width * height)), y = Math.floor(i / width) % height, x = i % width;
  return orientation === 'out-in' ? { matrix, output: y, input: x, outputs: height, inputs: width } : { matrix, output: x, input: y, outputs: width, inputs: height };
}

/** The formulas of the papers, weight by weight. */
function referee(values: readonly number[], shape: readonly number[], { orientation, how }: ScoreStep): number[] {
  return values.map((w, i) => {
    const { matrix, output, input, outputs, inputs } = at(shape, orientation, i), size = Math.abs(w);
    if (size === 0 || Number.isNaN(w)) return w;
    if (size === Infinity) return w;
    let score = size;
    if (how.kind === 'wanda') score = size * how.norms[(how.norms.length > inputs ? matrix * inputs : 0) + input];
    if (how.kind === 'ria') score = (size / how.outputSums[matrix * outputs + output] + size / how.inputSums[matrix * inputs + input]) * how.norms[(how.norms.length > inputs ? matrix * inputs : 0) + input] ** how.power;
    return Math.sign(w) * Math.fround(Math.max(score, LEAST));
  });
}

function steps(dtype: DType, shape: readonly number[], orientation: Orientation): ScoreStep[] {
  const width = shape.at(-1)!, height = shape.at(-2) ?? 1, matrices = shape.length > 2 ? shape[0] : 1, next = randomWords(5);
  const inputs = orientation === 'out-in' ? width : height, outputs = orientation === 'out-in' ? height : width;
  const numbers = (n: number): number[] => Array.from({ length: n }, () => next() / 2 ** 28);
  const base = { kind: 'score', dtype, height, width, orientation } as const;
  const norms = Float32Array.from(numbers(inputs));
  norms[0] = 0; // a dead channel
  return [
    { ...base, how: { kind: 'magnitude' } }, { ...base, how: { kind: 'wanda', norms } }, { ...base, how: { kind: 'wanda', norms: Float32Array.from(numbers(matrices * inputs)) } },
    { ...base, how: { kind: 'ria', norms, outputSums: Float64Array.from(numbers(matrices * outputs)), inputSums: Float64Array.from(numbers(matrices * inputs)), power: 0.5 } },
    { ...base, how: { kind: 'random', seed: 3, key: 'a.weight' } },
  ];
}

function decoded(dtype: DType, shape: readonly number[], bytes: Uint8Array, step: ScoreStep, windows: number[]): Float32Array {
  const source = sourceOf(folder, 'scores', bytes, dtype, shape), n = shape.reduce((a, b) => a * b, 1), out = new Uint8Array(4 * n);
  const values = openValues(source.file, 'pread', { from: 0, to: bytes.length, steps: [step] });
  assert.equal(values.byteLength, 4 * n);
  for (let i = 0; i + 1 < windows.length; i++) values.read(windows[i], windows[i + 1], out.subarray(windows[i], windows[i + 1]));
  values.close();
  return new Float32Array(out.buffer);
}

const shapes = [[8, 12], [12, 8], [2, 8, 12], [24]];

for (const dtype of floats) {
  test(`scores of ${dtype} are those of the formulas, in both layouts, whatever ranges are read`, () => {
    for (const shape of shapes) for (const orientation of ['out-in', 'in-out'] as const) {
      if (shape.length < 2 && orientation === 'in-out') continue;
      const n = shape.reduce((a, b) => a * b, 1), { bytes, values } = weights(dtype, n);
      for (const step of steps(dtype, shape, orientation)) {
        const whole = decoded(dtype, shape, bytes, step, [0, 4 * n]);
        assert.deepEqual(decoded(dtype, shape, bytes, step, [0, 1, 7, 36, 40, 4 * n - 3, 4 * n]), whole);
        whole.forEach((score, i) => {
          assert.ok(Object.is(Math.sign(score), Math.sign(values[i])), `${values[i]} scores ${score}`);
          if (values[i] !== 0) assert.ok(!(Math.abs(score) < LEAST));
        });
        if (step.how.kind !== 'random') assert.deepEqual(whole, Float32Array.from(referee(values, shape, step)), `${dtype} ${shape} ${orientation} ${step.how.kind}`);
      }
    }
  });

  test(`rules of ${dtype} under scores choose what sorting the scores chooses, and write only that`, async () => {
    for (const shape of shapes) for (const orientation of ['out-in', 'in-out'] as const) {
      const vector = shape.length < 2;
      if (vector && orientation === 'in-out') continue;
      const n = shape.reduce((a, b) => a * b, 1), { bytes, values } = weights(dtype, n), { bits } = dtypes[dtype];
      for (const step of steps(dtype, shape, orientation)) {
        const scores = [...decoded(dtype, shape, bytes, step, [0, 4 * n])].map(Math.abs), some = [...scores].filter((s) => !Number.isNaN(s)).sort((a, b) => a - b);
        const rules: MagnitudeRule[] = [
          { kind: 'cut', threshold: some[some.length >> 1], ties: 1 }, { kind: 'cut', threshold: some[some.length >> 1], ties: n }, { kind: 'cut', threshold: Infinity, ties: n },
          { kind: 'groups', keep: 2, of: 4, orientation }, { kind: 'groups', keep: 1, of: 5, orientation },
          ...(bits < 8 && orientation === 'in-out' ? [] : [{ kind: 'rows', selected: 5, orientation } as const]),
        ];
        for (const by of rules) {
          const selected = new Set<number>(), label = `${dtype} ${shape} ${step.how.kind} ${JSON.stringify(by)}`;
          const units = new Map<string, number[]>();
          for (let i = 0; i < n; i++) {
            const { matrix, output, input, inputs } = at(shape, orientation, i);
            if (by.kind === 'groups' && input >= inputs - (inputs % by.of)) continue;
            const key = by.kind === 'cut' ? '' : by.kind === 'rows' ? `${matrix} ${output}` : `${matrix} ${output} ${Math.floor(input / by.of)}`;
            units.set(key, [...(units.get(key) ?? []), i]);
          }
          for (const unit of units.values()) {
            const order = unit.filter((i) => !Number.isNaN(scores[i])).sort((a, b) => scores[a] - scores[b] || a - b);
            const drop = by.kind === 'rows' ? by.selected : by.kind === 'groups' ? by.of - by.keep
              : order.filter((i) => scores[i] < by.threshold).length + Math.min(by.ties, order.filter((i) => scores[i] === by.threshold).length);
            for (const i of order.slice(0, drop)) selected.add(i);
          }
          await check(dtype, shape, bytes, values, selected, { kind: 'scored', score: step, by }, label);
        }
      }
    }
  });

  test(`blocks of ${dtype} go whole, by the mean of their magnitudes or scores, smaller ones at the ends too`, async () => {
    for (const shape of [[8, 12], [10, 8], [2, 8, 12]]) for (const orientation of ['out-in', 'in-out'] as const) for (const [rows, columns] of [[4, 4], [3, 5], [1, 4], [16, 2]]) {
      const n = shape.reduce((a, b) => a * b, 1), { bytes, values } = weights(dtype, n);
      for (const step of [null, steps(dtype, shape, orientation)[1]]) {
        const scores = step ? [...decoded(dtype, shape, bytes, step, [0, 4 * n])] : values;
        const blocks = new Map<string, number[]>();
        for (let i = 0; i < n; i++) {
          const { matrix, output, input } = at(shape, orientation, i), key = `${matrix} ${Math.floor(output / rows)} ${Math.floor(input / columns)}`;
          blocks.set(key, [...(blocks.get(key) ?? []), i]);
        }
        const means = [...blocks.values()].map((block) => ({ block, mean: Math.fround(block.reduce((sum, i) => sum + Math.abs(scores[i]), 0) / block.length) }));
        const some = means.map(({ mean }) => mean).filter((mean) => !Number.isNaN(mean)).sort((a, b) => a - b);
        if (some.length === 0) continue;
        // Between two means, so that the order of the sums does not decide.
        const low = some[(some.length - 1) >> 1], high = some.find((mean) => mean > low * 1.001) ?? Infinity, threshold = high === Infinity ? Number.MAX_VALUE : (low * 1.0005 + high) / 2;
        const selected = new Set(means.filter(({ mean }) => mean < threshold).flatMap(({ block }) => block));
        await check(dtype, shape, bytes, values, selected, { kind: 'blocks', block: { rows, columns }, score: step, by: { kind: 'cut', threshold, ties: 0 }, orientation }, `${dtype} ${shape} ${rows}x${columns} ${orientation}`);
      }
    }
  });
}

async function check(dtype: DType, shape: readonly number[], bytes: Uint8Array, values: readonly number[], selected: ReadonlySet<number>, rule: TensorRule, label: string): Promise<void> {
  const { bits } = dtypes[dtype], expected = bytes.slice();
  for (const i of selected) for (let bit = i * bits; bit < (i + 1) * bits; bit++) expected[bit >> 3] &= ~(1 << (bit & 7));
  const file = new Uint8Array(5 + bytes.length + 3);
  file.set(bytes, 5);
  const source = sourceOf(folder, 'in', file, dtype, shape, 5, 5 + bytes.length), target = targetOf(folder, 'out', bytes.length + 9);
  const counts = await maskTensor(pool, source, rule, { path: target.path, at: 7 });
  assert.deepEqual(target.read().subarray(7, 7 + bytes.length), expected, label);
  const zerosBefore = values.filter((w) => w === 0).length, changed = [...selected].filter((i) => values[i] !== 0).length;
  assert.deepEqual(counts, { zerosBefore, changed, zerosAfter: zerosBefore + changed }, label);
  assert.deepEqual(await maskTensor(pool, source, rule, null), counts, `${label}: counting alone`);
}

test('a tensor of several slices is masked by scores as in one piece, rows, columns, cuts and blocks', async () => {
  const height = 2600, width = 2600, n = height * width; // more scores than one slice holds
  const next = randomWords(8), data = Uint16Array.from({ length: n }, () => 0x3c00 + (next() % 512)), bytes = new Uint8Array(data.buffer);
  const values = Array.from(data, (code) => codeValues('BF16')![code]);
  const source = sourceOf(folder, 'large', bytes, 'BF16', [height, width]);
  const norms = Float32Array.from({ length: width }, () => 1 + (next() % 3));
  for (const orientation of ['out-in', 'in-out'] as const) {
    const score: ScoreStep = { kind: 'score', dtype: 'BF16', height, width, orientation, how: { kind: 'wanda', norms } };
    const scores = referee(values, [height, width], score), lookUp = (output: number, input: number): number => (orientation === 'out-in' ? output * width + input : input * width + output);
    for (const kind of ['cut', 'rows', 'blocks'] as const) {
      const target = targetOf(folder, 'large.out', bytes.length);
      const sorted = Float64Array.from(scores).sort(), threshold = sorted[n >> 1], equal = scores.filter((s) => s === threshold).length, ties = Math.floor(equal / 3);
      const rule: TensorRule = kind === 'cut' ? { kind: 'scored', score, by: { kind, threshold, ties } } : kind === 'rows' ? { kind: 'scored', score, by: { kind, selected: 1000, orientation } }
        : { kind, block: { rows: 3, columns: 2 }, score: null, by: { kind: 'cut', threshold: 0.0085, ties: 0 }, orientation };
      const { changed } = await maskTensor(pool, source, rule, { path: target.path, at: 0 });
      const out = new Uint16Array(target.read().buffer);
      let wrong = 0, gone = 0;
      if (kind === 'cut') {
        let seen = 0;
        for (let i = 0; i < n; i++) { const go = scores[i] < threshold || (scores[i] === threshold && seen++ < ties); if (go) gone++; if (go !== (out[i] === 0)) wrong++; }
      } else if (kind === 'rows') {
        for (const output of [0, 1, 2418, 2419, 2599]) {
          const line = Array.from({ length: 2600 }, (_, input) => lookUp(output, input)), chosen = new Set([...line].sort((a, b) => scores[a] - scores[b] || a - b).slice(0, 1000));
          for (const i of line) if (chosen.has(i) !== (out[i] === 0)) wrong++;
        }
        gone = 1000 * 2600;
      } else for (let output = 0; output < 2600; output += 3) for (let input = 0; input < 2600; input += 2) {
        const block = [0, 1, 2].filter((r) => output + r < 2600).flatMap((r) => [lookUp(output + r, input), lookUp(output + r, input + 1)]);
        const go = Math.fround(block.reduce((sum, i) => sum + values[i], 0) / block.length) < 0.0085;
        for (const i of block) { if (go) gone++; if (go !== (out[i] === 0)) wrong++; }
      }
      assert.deepEqual([wrong, changed], [0, gone], `${kind} ${orientation}`);
    }
  }
});

test('values that are decoded on the way are scored as they decode', async () => {
  const rows = 6, columns = 10, n = rows * columns, next = randomWords(21), stored = Float32Array.from({ length: n }, () => next() / 2 ** 31 - 1);
  const turned = Float32Array.from({ length: n }, (_, i) => stored[(i % rows) * columns + Math.floor(i / rows)]); // (columns, rows)
  const plain = sourceOf(folder, 'plain', new Uint8Array(turned.buffer), 'F32', [columns, rows]);
  const file = sourceOf(folder, 'stored', new Uint8Array(stored.buffer), 'F32', [rows, columns]);
  const encoded = { ...file, shape: [columns, rows], encoded: { from: 0, to: 4 * n, steps: [{ kind: 'transpose', itemBytes: 4, rows, columns }] } } as const;
  const score: ScoreStep = { kind: 'score', dtype: 'F32', height: columns, width: rows, orientation: 'out-in', how: { kind: 'wanda', norms: Float32Array.from({ length: rows }, (_, i) => 1 + i) } };
  for (const rule of [{ kind: 'scored', score, by: { kind: 'rows', selected: 3, orientation: 'out-in' } }, { kind: 'scored', score, by: { kind: 'cut', threshold: 1, ties: 0 } },
    { kind: 'blocks', block: { rows: 3, columns: 4 }, score, by: { kind: 'cut', threshold: 1.5, ties: 0 }, orientation: 'out-in' }] as const) {
    const [a, b] = await Promise.all([plain, encoded].map(async (source, i) => {
      const target = targetOf(folder, `decoded.${i}`, 4 * n), counts = await maskTensor(pool, source, rule, { path: target.path, at: 0 });
      return { counts, bytes: target.read() };
    }));
    assert.deepEqual(b, a);
    assert.ok(a.counts.changed > 0 && a.counts.changed < n);
  }
});

test('draws depend on seed, name and place alone, spread evenly, and are the same in both layouts', () => {
  const height = 40, width = 25, n = height * width, ones = new Uint8Array(Float32Array.from({ length: n }, () => 1).buffer);
  const draws = (seed: number, key: string, orientation: Orientation, shape: [number, number]): Float32Array =>
    decoded('F32', shape, ones, { kind: 'score', dtype: 'F32', height: shape[0], width: shape[1], orientation, how: { kind: 'random', seed, key } }, [0, 4 * n]);
  const base = draws(0, 'a', 'out-in', [height, width]);
  assert.deepEqual(draws(0, 'a', 'out-in', [height, width]), base);
  const turned = draws(0, 'a', 'in-out', [width, height]);
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) assert.equal(turned[x * height + y], base[y * width + x]);
  for (const other of [draws(1, 'a', 'out-in', [height, width]), draws(0, 'b', 'out-in', [height, width])]) {
    const mean = other.reduce((sum, x, i) => sum + x * base[i], 0) / n; // of a product of two independent draws: 1/4
    assert.ok(Math.abs(mean - 0.25) < 5 * Math.sqrt(7 / 144 / n), `${mean}`);
  }
  for (let tenth = 0; tenth < 10; tenth++) {
    const inside = base.filter((x) => x > tenth / 10 && x <= (tenth + 1) / 10).length;
    assert.ok(Math.abs(inside - n / 10) < 5 * Math.sqrt(n * 0.09), `${inside} of ${n} in tenth ${tenth}`);
  }
});
