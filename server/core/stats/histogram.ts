import { float32FromBits, float64FromWords, valueOfBits } from '../kernels/floatBits';
import type { MagnitudeHistogram } from './contract';

export type Space = MagnitudeHistogram['space'];

/** Smallest magnitude of a key: the magnitude itself where a key is one magnitude. `values` is needed for space `value`. */
export function magnitudeOf(space: Space, key: number, values?: Float64Array): number {
  switch (space) {
    case 'BF16': case 'F16': return valueOfBits(space, key);
    case 'F32': return float32FromBits(key << 16);
    case 'F64': return float64FromWords(key << 16, 0);
    case 'value': return values ? values[key] : NaN;
  }
}

/** Largest magnitude that falls into a key. */
export function upperMagnitudeOf(space: Space, key: number, values?: Float64Array): number {
  if (space === 'F32') return key >= 0x7f80 ? Infinity : float32FromBits((key << 16) | 0xffff);
  if (space === 'F64') return key >= 0x7ff0 ? Infinity : float64FromWords((key << 16) | 0xffff, 0xffffffff);
  return magnitudeOf(space, key, values);
}

/** True when every key is one magnitude, so that counts at any threshold are exact. */
export const isExact = (h: MagnitudeHistogram): boolean => h.space !== 'F32' && h.space !== 'F64';

/** Lower edges of all keys of a histogram, ascending. */
export const magnitudes = (h: MagnitudeHistogram): Float64Array => Float64Array.from(h.keys, (key) => magnitudeOf(h.space, key, h.values));

/** Sum of all counts: elements that are not NaN. */
export function totalCount(h: MagnitudeHistogram): number {
  let total = 0;
  for (const count of h.counts) total += count;
  return total;
}

/** Sparse histogram of dense counts indexed by key. */
export function sparse(space: Exclude<Space, 'value'>, dense: ArrayLike<number>): MagnitudeHistogram {
  let filled = 0;
  for (let key = 0; key < dense.length; key++) if (dense[key] > 0) filled++;
  const keys = new Uint32Array(filled), counts = new Float64Array(filled);
  for (let key = 0, at = 0; key < dense.length; key++) {
    if (dense[key] > 0) { keys[at] = key; counts[at++] = dense[key]; }
  }
  return { space, keys, counts };
}

/** Histogram in space `value` of a magnitude -> count table. NaN is not allowed as a magnitude. */
export function ofValues(table: ReadonlyMap<number, number>): MagnitudeHistogram {
  const values = Float64Array.from(table.keys()).sort();
  return { space: 'value', keys: Uint32Array.from(values.keys()), counts: Float64Array.from(values, (value) => table.get(value) ?? 0), values };
}

/** Adds histograms of one space. @throws RangeError when the spaces differ or none is given */
export function mergeHistograms(histograms: readonly MagnitudeHistogram[]): MagnitudeHistogram {
  if (histograms.length === 0) throw new RangeError('no histograms');
  const { space } = histograms[0];
  if (histograms.some((h) => h.space !== space)) throw new RangeError('histograms of different spaces');
  if (histograms.length === 1) return histograms[0];
  if (space === 'value') {
    const table = new Map<number, number>();
    for (const h of histograms) h.keys.forEach((key, i) => {
      const value = magnitudeOf('value', key, h.values);
      table.set(value, (table.get(value) ?? 0) + h.counts[i]);
    });
    return ofValues(table);
  }
  const dense = new Float64Array(0x8000);
  for (const h of histograms) for (let i = 0; i < h.keys.length; i++) dense[h.keys[i]] += h.counts[i];
  return sparse(space, dense);
}

/** Bounds of a count: equal when the answer is exact. */
export interface Bounds { readonly low: number; readonly high: number }

/** How many |w| are < magnitude. */
export const countBelow = (h: MagnitudeHistogram, magnitude: number): Bounds => bounds(h, (edge) => edge < magnitude);

/** How many |w| are <= magnitude. */
export const countAtMost = (h: MagnitudeHistogram, magnitude: number): Bounds => bounds(h, (edge) => edge <= magnitude);

function bounds(h: MagnitudeHistogram, inside: (edge: number) => boolean): Bounds {
  let low = 0, high = 0;
  for (let i = 0; i < h.keys.length; i++) {
    if (!inside(magnitudeOf(h.space, h.keys[i], h.values))) break;
    high += h.counts[i];
    if (inside(upperMagnitudeOf(h.space, h.keys[i], h.values))) low += h.counts[i];
  }
  return { low, high };
}

/** The filled key whose bin holds `magnitude` strictly inside or at an edge, null when no filled bin does. */
export function keyAround(h: MagnitudeHistogram, magnitude: number): number | null {
  for (const key of h.keys) {
    if (magnitudeOf(h.space, key, h.values) > magnitude) return null;
    if (upperMagnitudeOf(h.space, key, h.values) >= magnitude) return key;
  }
  return null;
}

/**
 * The bin of the element of the given rank when sorted by magnitude (rank 0 is the smallest): what a quantile or a prune
 * target asks for. `below` is the count before the bin. Null when rank is not in [0, count).
 */
export function binOfRank(h: MagnitudeHistogram, rank: number): { key: number; below: number; count: number; lower: number; upper: number } | null {
  if (!(rank >= 0)) return null;
  let below = 0;
  for (let i = 0; i < h.keys.length; i++) {
    const count = h.counts[i], key = h.keys[i];
    if (rank < below + count) return { key, below, count, lower: magnitudeOf(h.space, key, h.values), upper: upperMagnitudeOf(h.space, key, h.values) };
    below += count;
  }
  return null;
}

/** `points` magnitudes, log-spaced over [min, max]. */
export function logGrid(points: number, min: number, max: number): Float64Array {
  const step = Math.log(max / min) / (points - 1);
  return Float64Array.from({ length: points }, (_, i) => (i === points - 1 ? max : min * Math.exp(step * i)));
}

/**
 * For each grid magnitude (ascending) the number of |w| <= it. Exact where a key is one magnitude; in the coarse spaces a
 * bin counts once its lower edge is reached, which is off by less than one bin (1/128 of an octave for F32).
 */
export function cumulativeCounts(h: MagnitudeHistogram, grid: Float64Array): Float64Array {
  const out = new Float64Array(grid.length);
  let at = 0, running = 0;
  for (let g = 0; g < grid.length; g++) {
    while (at < h.keys.length && magnitudeOf(h.space, h.keys[at], h.values) <= grid[g]) running += h.counts[at++];
    out[g] = running;
  }
  return out;
}

/** The same as fractions of `elements` (NaN stays in the denominator) over several histograms of any space; zeros where there is nothing. */
export function cumulativeFractions(histograms: readonly MagnitudeHistogram[], elements: number, grid: Float64Array): Float64Array {
  const out = new Float64Array(grid.length);
  for (const h of histograms) {
    const counts = cumulativeCounts(h, grid);
    for (let g = 0; g < grid.length; g++) out[g] += counts[g];
  }
  return elements > 0 ? out.map((count) => count / elements) : out;
}
