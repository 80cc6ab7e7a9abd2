import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { bitsOfFloat32, float64Key } from '../../../server/core/kernels/floatBits';
import type { MagnitudeHistogram } from '../../../server/core/stats/contract';
import { binOfRank, countAtMost, countBelow, cumulativeFractions, keyAround, logGrid, magnitudeOf, mergeHistograms, ofValues, sparse, totalCount, upperMagnitudeOf, type Space } from '../../../server/core/stats/histogram';
import { emptyMoments, MomentAccumulator, mergeMoments, meanOf, stdOf } from '../../../server/core/stats/moments';

const keyOf = (space: Space, magnitude: number): number => (space === 'F32' ? bitsOfFloat32(magnitude) >>> 16 : float64Key(magnitude));
const histogramOf = (space: 'F32' | 'F64', values: readonly number[]): MagnitudeHistogram => {
  const dense = new Float64Array(0x8000);
  for (const value of values) dense[keyOf(space, Math.abs(value))]++;
  return sparse(space, dense);
};
const values = fc.array(fc.oneof(fc.float({ noNaN: true }), fc.constantFrom(0, -0, 1, 1, -1, Infinity)), { minLength: 1, maxLength: 60 }).map((list) => list.map(Math.fround));

for (const space of ['F32', 'F64'] as const) {
  test(`a key of ${space} spans the magnitudes that fall into it, and keys are in order`, () => {
    fc.assert(fc.property(fc.float({ noNaN: true, min: 0 }), (x) => {
      const key = keyOf(space, x);
      assert.ok(magnitudeOf(space, key) <= x && x <= upperMagnitudeOf(space, key));
      if (key > 0) assert.ok(upperMagnitudeOf(space, key - 1) < magnitudeOf(space, key));
    }));
  });

  test(`bounds of ${space} enclose the exact counts, and the bin of a rank holds that rank`, () => {
    fc.assert(fc.property(values, fc.float({ noNaN: true, min: 0 }), (list, t) => {
      const h = histogramOf(space, list), m = list.map(Math.abs).sort((a, b) => a - b);
      const less = m.filter((x) => x < t).length, most = m.filter((x) => x <= t).length;
      assert.ok(countBelow(h, t).low <= less && less <= countBelow(h, t).high);
      assert.ok(countAtMost(h, t).low <= most && most <= countAtMost(h, t).high);
      const around = keyAround(h, t);
      if (around === null) assert.equal(countAtMost(h, t).low, countAtMost(h, t).high);
      m.forEach((x, rank) => {
        const bin = binOfRank(h, rank);
        assert.ok(bin && bin.lower <= x && x <= bin.upper && bin.below <= rank && rank < bin.below + bin.count);
      });
      assert.equal(binOfRank(h, m.length), null);
      assert.equal(totalCount(h), m.length);
    }));
  });
}

test('merging histograms adds counts, by key and by value', () => {
  const a = ofValues(new Map([[1, 2], [4, 1]])), b = ofValues(new Map([[0, 5], [4, 3]]));
  const sum = mergeHistograms([a, b]);
  assert.deepEqual([[...sum.values!], [...sum.counts], [...sum.keys]], [[0, 1, 4], [5, 2, 4], [0, 1, 2]]);
  assert.deepEqual(mergeHistograms([histogramOf('F32', [1, 2]), histogramOf('F32', [2])]), histogramOf('F32', [1, 2, 2]));
  assert.throws(() => mergeHistograms([a, histogramOf('F32', [1])]), RangeError);
});

test('the cumulative curve rises from the zeros to everything but NaN, over spaces of any kind', () => {
  const grid = logGrid(256, 2 ** -24, 2 ** 8);
  assert.deepEqual([grid[0], grid[255]], [2 ** -24, 2 ** 8]);
  assert.ok(grid.every((x, i) => i === 0 || x > grid[i - 1]));
  const curve = cumulativeFractions([histogramOf('F32', [0, 0.5, 300]), ofValues(new Map([[1, 1]]))], 5, grid);
  assert.equal(curve[0], 0.2);
  assert.equal(curve[255], 0.6);
  assert.ok(curve.every((x, i) => i === 0 || x >= curve[i - 1]));
  assert.deepEqual([...cumulativeFractions([], 0, grid)].filter((x) => x !== 0), []);
});

test('moments of parts merge to the moments of the whole', () => {
  const finite = fc.array(fc.oneof(fc.double({ min: -1e3, max: 1e3, noNaN: true }), fc.constantFrom(NaN, Infinity, -Infinity, 0, -0)), { maxLength: 50 });
  const of = (list: readonly number[]): ReturnType<MomentAccumulator['result']> => { const a = new MomentAccumulator(); a.add(Float64Array.from(list), list.length); return a.result(); };
  fc.assert(fc.property(finite, finite, (a, b) => {
    const merged = mergeMoments(of(a), of(b)), whole = of([...a, ...b]);
    for (const key of ['elements', 'zeros', 'nan', 'inf', 'min', 'max', 'absMax'] as const) assert.equal(merged[key] + 0, whole[key] + 0, key);
    const n = whole.elements - whole.nan - whole.inf;
    if (n > 0) {
      assert.ok(Math.abs(meanOf(merged) - meanOf(whole)) <= 1e-12 * 1e3);
      assert.ok(Math.abs(stdOf(merged) - stdOf(whole)) <= 1e-9 * 1e3);
    }
  }));
  assert.deepEqual(mergeMoments(emptyMoments, emptyMoments), emptyMoments);
});
