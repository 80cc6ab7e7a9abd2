import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { codeValues } from '../../../server/core/kernels/codes';
import { countAtMost } from '../../../server/core/stats/histogram';
import { meanOf, stdOf } from '../../../server/core/stats/moments';
import type { DType } from '../../../server/core/tensor/dtype';
import { makePool } from '../../../server/core/workers/pool';
import { countAt, scanTensor } from '../../../server/core/workers/tensorTasks';
import { randomWords, scratchFolder, sourceOf } from '../workers/support';

type Num = number | string;
interface Golden { name: string; dtype: DType; elements: number; zeros: number; nan: number; inf: number; min: Num; max: Num; mean: Num; std: Num; absMax: Num; above: [number, number][] }

const goldenFolder = path.resolve(__dirname, '../../golden/stats');
const golden = JSON.parse(readFileSync(path.join(goldenFolder, 'stats.json'), 'utf8')) as Golden[];
const codes = JSON.parse(readFileSync(path.join(goldenFolder, 'codes.json'), 'utf8')) as Record<DType, Num[]>;
const folder = scratchFolder();
const pool = makePool({ threads: 2 });
after(() => pool.close());

/** The same data as test/golden/stats/make.py. */
const words = (seed: number, n: number): Uint32Array => { const next = randomWords(seed); return Uint32Array.from({ length: n }, next); };
const uniform = (seed: number, n: number): Float64Array => Float64Array.from(words(seed, n), (x) => x / 2 ** 32 - 0.5);
const data: Readonly<Record<string, (n: number) => ArrayBufferLike>> = {
  'BF16 raw patterns': (n) => Uint16Array.from(words(1, n), (x) => x >>> 8).buffer,
  'BF16 small': (n) => Uint16Array.from(new Uint32Array(Float32Array.from(uniform(2, n), (x) => x * 0.1).buffer), (x) => x >>> 16).buffer,
  'F16 raw patterns': (n) => Uint16Array.from(words(3, n), (x) => x >>> 8).buffer,
  'F32 raw patterns, exponents below 2^60': (n) => Uint32Array.from(words(4, n), (x) => x & 0x9dffffff).buffer,
  'F32 with a large mean': (n) => Float32Array.from(uniform(5, n), (x) => x + 1e6).buffer,
  'F32 centred': (n) => Float32Array.from(uniform(6, n), (x) => x * 0.05).buffer,
  'F64 with a large mean': (n) => uniform(7, n).map((x) => x + 1e4).buffer,
  'F64 huge': (n) => uniform(8, n).map((x) => x * 1e300).buffer,
};

const close = (a: number, b: Num, tolerance: number): boolean => Math.abs(a / Number(b) - 1) <= tolerance;

for (const want of golden) {
  test(`statistics of "${want.name}" equal numpy's`, async () => {
    const bytes = new Uint8Array(data[want.name](want.elements)), source = sourceOf(folder, 'g', bytes, want.dtype, [want.elements]);
    for (const [threshold, above] of want.above) {
      const scan = await scanTensor(pool, source, { threshold }), m = scan.moments;
      assert.deepEqual([m.elements, m.zeros, m.nan, m.inf, m.min, m.max, m.absMax], [want.elements, want.zeros, want.nan, want.inf, want.min, want.max, want.absMax === 'Infinity' ? Infinity : want.absMax]);
      assert.ok(close(meanOf(m), want.mean, 1e-11), `mean ${meanOf(m)} ${want.mean}`);
      assert.ok(close(stdOf(m), want.std, 1e-12), `std ${stdOf(m)} ${want.std}`);
      assert.equal(scan.above, above, `above ${threshold}`);
      const bounds = countAtMost(scan.histogram, threshold), { less, equal } = await countAt(pool, source, threshold);
      assert.equal(want.elements - want.nan - less - equal, above);
      assert.ok(bounds.low <= less + equal && less + equal <= bounds.high);
    }
  });
}

for (const [dtype, values] of Object.entries(codes)) {
  test(`the 256 codes of ${dtype} have PyTorch's values`, () => {
    const ours = codeValues(dtype as DType) as Float64Array;
    values.forEach((value, code) => assert.ok(Object.is(ours[code], Number(value)), `code ${code}: ${ours[code]}, ${value}`));
  });
}

test('the 4- and 6-bit codes have the values of the OCP micro-scaling formats', () => {
  assert.deepEqual([...codeValues('F4') as Float64Array], [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0, -0.5, -1, -1.5, -2, -3, -4, -6]);
  const e2m3 = codeValues('F6_E2M3') as Float64Array, e3m2 = codeValues('F6_E3M2') as Float64Array;
  assert.deepEqual([e2m3[1], e2m3[8], e2m3[31], e2m3[63]], [0.125, 1, 7.5, -7.5]);
  assert.deepEqual([e3m2[1], e3m2[4], e3m2[31], e3m2[63]], [0.0625, 0.25, 28, -28]);
});
