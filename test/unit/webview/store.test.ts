import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GRID_POINTS } from '../../../server/protocol/editor';
import type { Cut, Facts } from '../../../server/protocol/editor';
import { fractionAt, magnitudeAt } from '../../../webview/grid';
import { answerCut, batches, chooseTarget, chooseThreshold, firstCut, Fractions, noScan, provisionalCurve, readKept, roleMeans, scanAdvanced, shortRole } from '../../../webview/store';

const ramp = Uint16Array.from({ length: GRID_POINTS }, (_, i) => i * 257);
const base64 = (curve: Uint16Array): string => Buffer.from(curve.buffer).toString('base64');
const exact = (part: Partial<Cut>): Cut => ({ threshold: 0.1, sparsity: 0.5, selected: 50, scopeParameters: 100, exact: true, nodes: [], ...part });

test('threshold and target follow each other through the curve', () => {
  const byTarget = chooseTarget(firstCut, 0.25, ramp, true);
  assert.equal(byTarget.drive, 'target');
  assert.ok(Math.abs(fractionAt(ramp, byTarget.threshold ?? 0) - 0.25) < 1e-6);
  const byThreshold = chooseThreshold(byTarget, magnitudeAt(128), ramp, true);
  assert.equal(byThreshold.drive, 'threshold');
  assert.ok(Math.abs(byThreshold.sparsity - (128 * 257) / 65535) < 1e-9);
  assert.deepEqual(chooseThreshold(firstCut, 0.2, null, false), { ...firstCut, drive: 'threshold', threshold: 0.2 });
});

test('moving forgets the exact answer; the answer moves only the one that follows', () => {
  const settled = answerCut(chooseTarget(firstCut, 0.5, ramp, false), exact({ threshold: 0.087, sparsity: 0.500001 }));
  assert.equal(settled.threshold, 0.087);
  assert.equal(settled.sparsity, 0.5);
  assert.ok(settled.exact);
  assert.equal(chooseTarget(settled, 0.6, ramp, true).exact, null);
  const other = answerCut(chooseThreshold(firstCut, 0.2, ramp, false), exact({ threshold: 0.2, sparsity: 0.61 }));
  assert.equal(other.threshold, 0.2);
  assert.equal(other.sparsity, 0.61);
});

test('an infinite threshold does not reach the slider', () => {
  assert.equal(answerCut({ ...firstCut, threshold: 3 }, exact({ threshold: 'Infinity' })).threshold, 3);
});

test('a fraction is exact where it was asked, else the bound, else unknown', () => {
  const fractions = new Fractions();
  fractions.add([{ id: 't:a', base64: base64(ramp) }, { id: 't:bad', base64: 'AAAA' }]);
  assert.ok(Math.abs((fractions.of('t:a', magnitudeAt(64)) ?? 0) - (64 * 257) / 65535) < 1e-9);
  assert.equal(fractions.of('t:a', null), null);
  assert.equal(fractions.of('t:b', 0.1), null);
  assert.equal(fractions.of('t:bad', 0.1), null);
  fractions.addExact([{ id: 't:a', fraction: 0.123 }, { id: 't:b', fraction: null }]);
  assert.equal(fractions.of('t:a', magnitudeAt(64)), 0.123);
  assert.equal(fractions.of('t:b', 0.1), null);
});

test('progress never runs backwards, past the end, or after the scan', () => {
  const running = { ...noScan, state: 'running' as const };
  const half = scanAdvanced(running, { done: 50, total: 100, bytesPerSecond: 9 });
  assert.equal(scanAdvanced(half, { done: 40, total: 100, bytesPerSecond: 9 }).done, 50);
  assert.equal(scanAdvanced(half, { done: 400, total: 100, bytesPerSecond: 9 }).done, 100);
  const done = { ...half, state: 'done' as const };
  assert.equal(scanAdvanced(done, { done: 70, total: 100, bytesPerSecond: 9 }), done);
});

test('kept state is taken only when it is ours and of this file', () => {
  const kept = { version: 1, path: '/m', drive: 'threshold', threshold: 0.2, sparsity: 2, selection: { row: 't:a', node: 't:a', role: null, layer: null }, expanded: ['g:h.0', 7], scrollTop: -4, filter: 3, sort: 'size' };
  const read = readKept(kept, '/m');
  assert.deepEqual(read, { ...read, drive: 'threshold', threshold: 0.2, sparsity: 1, expanded: ['g:h.0'], scrollTop: 0, filter: '', sort: 'file' });
  for (const odd of [null, undefined, 3, 'x', [], { version: 2, path: '/m' }, { ...kept, path: '/other' }]) assert.deepEqual(readKept(odd, '/m'), readKept(null, '/m'));
  assert.equal(readKept({ ...kept, threshold: Infinity }, '/m').threshold, null);
});

test('ids are asked once, in their order, at most so many a call', () => {
  assert.deepEqual(batches(['a', 'b', 'a', 'c'], 2), [['a', 'b'], ['c']]);
  assert.deepEqual(batches([], 2), []);
});

test('the mean of a role is weighted by weights and waits for none', () => {
  const heat: Facts['heat'] = { roles: ['x', 'y'], layers: [0, 1], cells: [{ role: 'x', layer: 0, parameters: 300, tensors: 1 }, { role: 'x', layer: 1, parameters: 100, tensors: 1 }, { role: 'y', layer: 0, parameters: 5, tensors: 1 }] };
  const means = roleMeans({ heat } as Facts, (id) => ({ 'c:x|0': 0.5, 'c:x|1': 0.1 })[id] ?? null);
  assert.ok(Math.abs((means.get('x') ?? 0) - 0.4) < 1e-12);
  assert.equal(means.get('y'), null);
});

test('the stand-in curve is the weighted mean of the cells known, once enough of them are', () => {
  const flat = (value: number): Uint16Array => Uint16Array.from({ length: GRID_POINTS }, () => value);
  const facts = { prunableParameters: 400, heat: { roles: ['x'], layers: [0, 1], cells: [{ role: 'x', layer: 0, parameters: 300, tensors: 1 }, { role: 'x', layer: 1, parameters: 100, tensors: 1 }] } } as unknown as Facts;
  assert.equal(provisionalCurve(facts, new Map()), null);
  assert.deepEqual(provisionalCurve(facts, new Map([['c:x|0', flat(1000)]])), flat(1000));
  assert.deepEqual(provisionalCurve(facts, new Map([['c:x|0', flat(1000)], ['c:x|1', flat(5000)]])), flat(2000));
  assert.equal(provisionalCurve({ ...facts, prunableParameters: 1e6 }, new Map([['c:x|0', flat(1000)]])), null);
});

test('roles are short in a margin', () => {
  assert.equal(shortRole('attention.query'), 'attn.query');
  assert.equal(shortRole('mlp.up'), 'mlp.up');
});
