import assert from 'node:assert/strict';
import { test } from 'node:test';
import { logTicks, mustBeLog } from '../../../webview/charts/axes';
import { layerTicks } from '../../../webview/charts/heatmap';
import { decades, trimmed } from '../../../webview/charts/histogram';
import { niceDomain } from '../../../webview/charts/layers';
import { barParts } from '../../../webview/treeRow';

test('decades lie within, thinned to what fits', () => {
  assert.deepEqual(decades(1e-5, 1, 10), [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1]);
  assert.deepEqual(decades(0.7, 350_000, 3), [1, 100, 10_000]);
  assert.deepEqual(decades(2, 9, 5), []);
});

test('a log axis is chosen when a linear one would hide all but the last point', () => {
  assert.equal(mustBeLog([31.2, 31.24, 38.7]), false);
  assert.equal(mustBeLog([31.2, 4120]), true);
  assert.equal(mustBeLog([31.2]), false);
  assert.equal(mustBeLog([0, 500]), false);
});

test('log ticks are powers of ten, finer while there are few', () => {
  assert.deepEqual(logTicks(25, 100_000), [100, 1000, 10_000, 100_000]);
  assert.deepEqual(logTicks(25, 400), [50, 100, 200]);
  assert.ok(logTicks(1, 1e30).length <= 8);
});

test('layer numbers leave room for each other and always name the last', () => {
  const layers = Array.from({ length: 48 }, (_, i) => i);
  for (const step of [4, 8, 12, 30, 60]) {
    const ticks = layerTicks(layers, step);
    assert.equal(ticks[0], 0);
    assert.equal(ticks.at(-1), 47);
    for (let i = 1; i < ticks.length; i += 1) assert.ok((ticks[i] - ticks[i - 1]) * step >= 26, `step ${step}`);
  }
  assert.deepEqual(layerTicks([], 10), []);
});

test('the domain of fractions is round, wide enough and holds every value', () => {
  const rows: [number[], [number, number]][] = [[[], [0, 1]], [[0.31, 0.76], [0.3, 0.8]], [[0.51, 0.52], [0.4, 0.6]], [[0, 0.01], [0, 0.2]], [[0.99, 1], [0.8, 1]]];
  for (const [values, expected] of rows) assert.deepEqual(niceDomain(values), expected, String(values));
});

test('the empty ends of a histogram are cut, never below two decades', () => {
  const edges = Array.from({ length: 101 }, (_, i) => 10 ** (-8 + i / 10));
  const counts = edges.slice(1).map((_, i) => (i >= 60 && i < 80 ? 1000 : 0));
  const cut = trimmed({ edges, counts });
  assert.equal(cut.from, 60);
  assert.equal(cut.to, 80);
  const one = trimmed({ edges, counts: counts.map((_, i) => (i === 70 ? 5 : 0)) });
  assert.ok(one.high / one.low >= 99.9);
  assert.equal(trimmed({ edges: [0, 1], counts: [0] }).to, 0);
  const piled = trimmed({ edges, counts: counts.map((_, i) => (i === 0 ? 7000 : i < 50 ? 0 : 1000)) });
  assert.equal(piled.smaller, 7000, 'what lies below the first bar is a number, not a spike');
  assert.ok(piled.from > 0);
});

test('the split bar is to scale, without hairlines, and not split for one part', () => {
  assert.deepEqual(barParts({ parts: ['t:a', 't:b', 't:c'], partParameters: [750, 250, 1] }).map((part) => part.id), ['t:a', 't:b']);
  assert.deepEqual(barParts({ parts: ['t:a', 't:b'], partParameters: [1000, 1] }), []);
  assert.deepEqual(barParts({ parts: ['t:a', 't:b'] }), [{ id: 't:a', share: 1 }, { id: 't:b', share: 1 }]);
  assert.deepEqual(barParts({ parts: ['t:a'] }), []);
});
