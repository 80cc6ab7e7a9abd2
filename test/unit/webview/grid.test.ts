import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { GRID_MAX, GRID_MIN, GRID_POINTS } from '../../../server/protocol/editor';
import { decodeCurve, fractionAt, logScale, magnitudeAt, positionOf, thresholdFor, usefulRange } from '../../../webview/grid';

const encode = (values: readonly number[]): string => Buffer.from(Uint16Array.from(values).buffer).toString('base64');
/** A random cumulative curve: sorted Uint16. */
const curves = fc.array(fc.integer({ min: 0, max: 65535 }), { minLength: GRID_POINTS, maxLength: GRID_POINTS }).map((values) => Uint16Array.from(values.sort((a, b) => a - b)));

test('a curve comes out of base64 as it went in, little endian', () => {
  fc.assert(fc.property(curves, (curve) => { assert.deepEqual(decodeCurve(encode([...curve])), curve); }), { numRuns: 50 });
});

test('a curve of another length is refused', () => {
  for (const length of [0, 1, GRID_POINTS - 1, GRID_POINTS + 1, GRID_POINTS * 40]) assert.equal(decodeCurve(encode(new Array(length).fill(7))), null);
});

test('the grid is log-spaced from end to end, and position inverts magnitude', () => {
  assert.equal(magnitudeAt(0), GRID_MIN);
  assert.ok(Math.abs(magnitudeAt(GRID_POINTS - 1) / GRID_MAX - 1) < 1e-12);
  for (let i = 0; i < GRID_POINTS; i += 5) assert.ok(Math.abs(positionOf(magnitudeAt(i)) - i) < 1e-9);
  for (const outside of [0, -1, GRID_MIN / 2, NaN]) assert.equal(positionOf(outside), 0);
  assert.equal(positionOf(GRID_MAX * 4), GRID_POINTS - 1);
});

test('fractions hit the grid points, rise with the threshold and stay within 0..1', () => {
  fc.assert(fc.property(curves, fc.double({ min: 0, max: 512, noNaN: true }), fc.double({ min: 0, max: 512, noNaN: true }), (curve, a, b) => {
    const [low, high] = a < b ? [a, b] : [b, a];
    assert.ok(fractionAt(curve, low) <= fractionAt(curve, high));
    assert.ok(fractionAt(curve, low) >= 0 && fractionAt(curve, high) <= 1);
  }));
  const ramp = Uint16Array.from({ length: GRID_POINTS }, (_, i) => i * 257);
  for (const i of [0, 17, 128, 255]) assert.ok(Math.abs(fractionAt(ramp, magnitudeAt(i)) - (i * 257) / 65535) < 1e-9);
  assert.equal(fractionAt(ramp, -1), 0);
});

test('the threshold for a fraction reaches that fraction, and no lower one does by more than a step', () => {
  fc.assert(fc.property(curves, fc.double({ min: 0, max: 1, noNaN: true }), (curve, fraction) => {
    const threshold = thresholdFor(curve, fraction);
    if (fraction * 65535 > curve[GRID_POINTS - 1]) { assert.equal(threshold, GRID_MAX); return; }
    if (fraction * 65535 <= curve[0]) { assert.ok(threshold <= GRID_MIN); return; }
    assert.ok(Math.abs(fractionAt(curve, threshold) - fraction) < 1e-6);
  }));
});

test('a sparsity that exact zeros already reach needs no threshold of its own', () => {
  const half = Uint16Array.from({ length: GRID_POINTS }, () => 32768);
  assert.equal(thresholdFor(half, 0), 0);
  assert.ok(thresholdFor(half, 0.3) <= GRID_MIN);
});

test('the slider covers where weights are, and nothing is out of its reach', () => {
  const curve = Uint16Array.from({ length: GRID_POINTS }, (_, i) => (i < 100 ? 0 : i < 180 ? (i - 99) * 809 : 65535));
  const range = usefulRange(curve);
  assert.ok(range.low >= magnitudeAt(97) && range.low <= magnitudeAt(100));
  assert.ok(fractionAt(curve, range.high) === 1 && range.high <= magnitudeAt(183));
  for (const constant of [0, 65535]) { const flat = usefulRange(Uint16Array.from({ length: GRID_POINTS }, () => constant)); assert.ok(flat.low < flat.high); }
});

test('the log scale goes there and back', () => {
  const range = { low: 1e-4, high: 2 };
  for (const unit of [0.01, 0.3, 0.77, 1]) assert.ok(Math.abs(logScale.toUnit(logScale.fromUnit(unit, range), range) - unit) < 1e-12);
  assert.equal(logScale.toUnit(0, range), 0);
  assert.equal(logScale.toUnit(99, range), 1);
});
