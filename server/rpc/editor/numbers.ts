/** Curves and bars of a set of tensors, from their scans: nothing here reads weights. */
import type { TensorScan, MagnitudeHistogram } from '../../core/stats/contract';
import { cumulativeCounts, logGrid, magnitudeOf } from '../../core/stats/histogram';
import { GRID_MAX, GRID_MIN, GRID_POINTS } from '../../protocol/editor';

/** The magnitudes that all curves share. */
export const grid: Float64Array = logGrid(GRID_POINTS, GRID_MIN, GRID_MAX);

/** Elements with |w| at or below each magnitude of the shared grid (see `cumulativeCounts` for its bound). */
export const gridCounts = (histogram: MagnitudeHistogram): Float64Array => cumulativeCounts(histogram, grid);

/** Base64 of GRID_POINTS little-endian Uint16: the fraction of `elements` at or below each grid magnitude. */
export function encodeCurve(counts: readonly Float64Array[], elements: number): string {
  const bytes = Buffer.alloc(GRID_POINTS * 2);
  for (let g = 0; g < GRID_POINTS; g++) {
    let sum = 0;
    for (const tensor of counts) sum += tensor[g];
    bytes.writeUInt16LE(elements > 0 ? Math.min(65_535, Math.round((sum / elements) * 65_535)) : 0, g * 2);
  }
  return bytes.toString('base64');
}

/** The share of the smallest non-zero weights that falls into the first bar, so that one denormal does not stretch the axis. */
const FIRST_BAR_SHARE = 0.0005;

/**
 * Counts of non-zero finite |w| in at most `bars` log-spaced bars. The first bar also holds what is smaller than its lower edge.
 * A coarse F32 or F64 bin goes, whole, where its lower edge lies.
 */
export function barsOf(scans: readonly TensorScan[], bars: number): { edges: number[]; counts: number[] } {
  const points: { magnitude: number; count: number }[] = [];
  for (const { histogram } of scans) histogram.keys.forEach((key, i) => {
    const magnitude = magnitudeOf(histogram.space, key, histogram.values);
    const zeroBin = key === 0 && histogram.space !== 'value';
    if ((magnitude > 0 || zeroBin) && Number.isFinite(magnitude)) points.push({ magnitude, count: histogram.counts[i] });
  });
  // Key 0 holds the zeros and, in the coarse spaces, magnitudes too small to tell from it: those stay in the first bar.
  const zeros = scans.reduce((sum, { moments, histogram }) => sum + (histogram.space === 'value' ? 0 : moments.zeros), 0);
  const total = points.reduce((sum, { count }) => sum + count, 0) - zeros;
  const filled = points.filter(({ magnitude }) => magnitude > 0).sort((a, b) => a.magnitude - b.magnitude);
  if (filled.length === 0 || total <= 0) return { edges: [], counts: [] };
  const high = filled[filled.length - 1].magnitude;
  let low = filled[0].magnitude, below = 0;
  for (const { magnitude, count } of filled) { low = magnitude; below += count; if (below > total * FIRST_BAR_SHARE) break; }
  if (low >= high) return { edges: [low, high * (1 + 2 ** -7)], counts: [total] };
  // The last edge is just above the largest, so that every bar is [from, to).
  const edges = logGrid(bars + 1, low, high * (1 + 2 ** -7)), counts = new Array<number>(bars).fill(0);
  const scale = bars / Math.log(edges[bars] / low);
  for (const { magnitude, count } of points) counts[magnitude <= low ? 0 : Math.min(bars - 1, Math.floor(Math.log(magnitude / low) * scale))] += count;
  counts[0] -= zeros;
  return { edges: [...edges], counts };
}
