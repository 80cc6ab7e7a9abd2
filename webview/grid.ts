/**
 * Curves on the shared grid: fraction of a node's elements with |w| <= t, at GRID_POINTS log-spaced magnitudes. Pure.
 *
 * A curve is Uint16 (GRID_POINTS,), 65535 = all. Between grid points it is read linearly in log t: a bound, off by at most one
 * grid step of 2^(32/255), about 9 %, in t. The exact answer comes from the server on release.
 */
import { GRID_MAX, GRID_MIN, GRID_POINTS } from '../server/protocol/editor';

const FULL = 65535;
const SPAN = Math.log(GRID_MAX / GRID_MIN);
const LAST = GRID_POINTS - 1;

/** Base64 of little-endian Uint16 (GRID_POINTS,) -> the curve. Null when the length is wrong: what comes in is bounded first. */
export function decodeCurve(base64: string): Uint16Array | null {
  if (base64.length > GRID_POINTS * 3) return null;
  const text = atob(base64);
  if (text.length !== GRID_POINTS * 2) return null;
  const curve = new Uint16Array(GRID_POINTS);
  for (let i = 0; i < GRID_POINTS; i += 1) curve[i] = text.charCodeAt(2 * i) | (text.charCodeAt(2 * i + 1) << 8);
  return curve;
}

/** Magnitude of grid point i (i may be fractional). */
export function magnitudeAt(i: number): number {
  return GRID_MIN * Math.exp((i / LAST) * SPAN);
}

/** Grid position of a magnitude, fractional, clamped to the grid. */
export function positionOf(magnitude: number): number {
  if (!(magnitude > GRID_MIN)) return 0;
  return Math.min(LAST, (Math.log(magnitude / GRID_MIN) / SPAN) * LAST);
}

/** Fraction 0..1 at a threshold. Below the grid only exact zeros are surely below, which is what point 0 holds. */
export function fractionAt(curve: Uint16Array, threshold: number): number {
  if (threshold < 0) return 0;
  const position = positionOf(threshold);
  const low = Math.floor(position);
  if (low >= LAST) return curve[LAST] / FULL;
  const part = position - low;
  return (curve[low] + (curve[low + 1] - curve[low]) * part) / FULL;
}

/** The threshold at which a curve reaches a fraction: the inverse of fractionAt, 0 when already exact zeros reach it. */
export function thresholdFor(curve: Uint16Array, fraction: number): number {
  const wanted = Math.min(1, Math.max(0, fraction)) * FULL;
  if (wanted <= curve[0]) return wanted === 0 || curve[0] === 0 ? 0 : GRID_MIN;
  let low = 0;
  let high = LAST;
  if (curve[high] < wanted) return GRID_MAX; // NaN stays in the denominator: a curve may end below 1
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (curve[middle] >= wanted) high = middle;
    else low = middle;
  }
  return magnitudeAt(low + (wanted - curve[low]) / (curve[high] - curve[low]));
}

/** The stretch of magnitudes worth a slider: from where 0.05 % lie below to where all do, padded by a grid step. */
export function usefulRange(curve: Uint16Array): { low: number; high: number } {
  let first = 0;
  while (first < LAST && curve[first] < FULL * 0.0005) first += 1;
  let last = LAST;
  while (last > first + 1 && curve[last - 1] >= curve[LAST]) last -= 1;
  return { low: magnitudeAt(Math.max(0, first - 1)), high: magnitudeAt(Math.min(LAST, last + 1)) };
}

/** A log slider: 0..1 <-> magnitude within a range. */
export const logScale = {
  toUnit: (value: number, range: { low: number; high: number }): number =>
    value <= range.low ? 0 : Math.min(1, Math.log(value / range.low) / Math.log(range.high / range.low)),
  fromUnit: (unit: number, range: { low: number; high: number }): number => range.low * Math.exp(unit * Math.log(range.high / range.low)),
};
