import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MagnitudeHistogram, TensorScan } from '../../../server/core/stats/contract';
import { HistogramBudget } from '../../../server/core/stats/histogramBudget';
import { emptyMoments } from '../../../server/core/stats/moments';

const scanOf = (name: string, histogram: MagnitudeHistogram): TensorScan => ({ name, dtype: 'BF16', moments: emptyMoments, above: null, histogram });
const ofKeys = (...keys: number[]): MagnitudeHistogram => ({ space: 'BF16', keys: Uint32Array.from(keys), counts: Float64Array.from(keys, (key) => key + 0.5) });
const ofValues = (...values: number[]): MagnitudeHistogram => ({ space: 'value', keys: Uint32Array.from(values.keys()), counts: Float64Array.from(values, () => 3), values: Float64Array.from(values) });

test('what is past the budget comes back from disk as it was, of every shape', () => {
  const budget = new HistogramBudget(30);
  const given = [ofKeys(1, 2, 3), ofValues(0.25, 7), ofKeys(), ofKeys(9), ofValues(1)];
  const kept = given.map((histogram, i) => budget.keep(scanOf(`t${i}`, histogram)));
  assert.ok(budget.spilling && budget.usedBytes <= 30, `${budget.usedBytes} bytes stay`);
  for (const _again of [0, 1]) kept.forEach(({ histogram }, i) => assert.deepEqual(histogram, given[i]));
  assert.ok(budget.usedBytes <= 30, 'a look brings nothing back for good');
  budget.close();
  assert.throws(() => kept[0].histogram, /closed/);
});

test('within the budget nothing touches the disk, and a scan that is forgotten makes room', () => {
  const budget = new HistogramBudget(24);
  const first = budget.keep(scanOf('a', ofKeys(1)));
  budget.forget(first);
  budget.forget(first);
  budget.keep(scanOf('b', ofKeys(2)));
  const last = budget.keep(scanOf('c', ofKeys(3)));
  assert.equal(budget.spilling, false);
  assert.equal(budget.usedBytes, 24);
  assert.deepEqual(last.histogram, ofKeys(3));
  assert.deepEqual(first.histogram, ofKeys(1), 'who still holds it can still look');
});
