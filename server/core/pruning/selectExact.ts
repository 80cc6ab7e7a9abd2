import { CheckpointError } from '../errors';
import type { MagnitudeHistogram } from '../stats/contract';
import { CountedSum } from '../stats/counted';
import type { Counted } from '../stats/counted';
import { binsOf } from './magnitudeBins';

/** Exact counts of the magnitudes inside some coarse bins of one tensor. No magnitude twice. */
export type Refined = Counted;

/** What a selection needs of each tensor: its histogram, and a way to look inside coarse bins (one more pass). */
export interface SelectionSource {
  /** May be read from disk at each look. */
  readonly histogram: MagnitudeHistogram;
  /** Asked at most once a selection, and only where a coarse bin can hold the answer. */
  refine(keys: readonly number[]): Promise<Refined>;
}

/** Weights of one tensor below the threshold, and those that equal it. */
export interface BelowAndEqual { readonly less: number; readonly equal: number }

export interface Selection {
  /** The rank-th smallest magnitude of all, exact. */
  readonly threshold: number;
  /** In the order of the sources. */
  readonly counts: readonly BelowAndEqual[];
}

/** Count of a magnitude range, both ends inclusive. */
type Range = readonly [low: number, high: number, count: number];

/** The rank-th smallest with every weight at one end (0 low, 1 high) of its range. */
function rankAt(ranges: Range[], end: 0 | 1, rank: number): number {
  ranges.sort((a, b) => a[end] - b[end]);
  let below = 0;
  for (const range of ranges) { below += range[2]; if (below >= rank) return range[end]; }
  throw new CheckpointError('internal', {}, `rank ${rank} of ${below} magnitudes`);
}

/** Where the rank-th smallest magnitude can lie, from histograms alone. */
function bracket(sources: readonly SelectionSource[], rank: number): readonly [number, number] {
  const sums = new Map<string, { histogram: MagnitudeHistogram; counts: Float64Array }>();
  const ranges: Range[] = [];
  for (const { histogram } of sources) {
    if (histogram.space === 'value') {
      histogram.keys.forEach((key, i) => { ranges.push([histogram.values![key], histogram.values![key], histogram.counts[i]]); });
      continue;
    }
    let sum = sums.get(histogram.space);
    if (!sum) sums.set(histogram.space, (sum = { histogram, counts: new Float64Array(32768) }));
    const { counts } = sum;
    histogram.keys.forEach((key, i) => { counts[key] += histogram.counts[i]; });
  }
  for (const { histogram, counts } of sums.values()) {
    const { low, high } = binsOf(histogram);
    counts.forEach((count, key) => { if (count > 0) ranges.push([low[key], high[key], count]); });
  }
  return [rankAt(ranges, 0, rank), rankAt(ranges, 1, rank)];
}

/**
 * The exact `rank`-th smallest magnitude over all sources together, and each source's weights below and at it. Magnitudes
 * of different dtypes compare as doubles. Looks only inside bins that can hold the answer; NaN is in no bin.
 *
 * Memory: the distinct magnitudes inside those bins (for F32 a few bins of at most 65,536), never the weights.
 *
 * @param rank 1..total count of all histograms
 */
export async function selectExact(sources: readonly SelectionSource[], rank: number): Promise<Selection> {
  const [low, high] = bracket(sources, rank);
  /** Count of each magnitude in [low, high], over all sources. */
  const totals = new CountedSum();
  let below = 0;
  const inside = await Promise.all(sources.map(async (source) => {
    const { space, less, coarse, values, counts } = partition(source.histogram, low, high);
    const parts: Refined[] = [{ values, counts }];
    // F32 pairs are kept in half the room: a tensor has tens of thousands of them.
    if (coarse.length > 0) parts.push(compact(space, await source.refine(coarse)));
    below += less;
    for (const part of parts) totals.add(part);
    return { less, parts };
  }));
  const threshold = rankIn(totals.result(), rank - below);
  return {
    threshold,
    counts: inside.map(({ less: before, parts }) => {
      let less = before, equal = 0;
      for (const { values, counts } of parts) {
        for (let i = 0; i < values.length; i++) {
          if (values[i] < threshold) less += counts[i];
          else if (values[i] === threshold) equal += counts[i];
        }
      }
      return { less, equal };
    }),
  };
}

interface Partition { space: MagnitudeHistogram['space']; less: number; coarse: number[]; values: number[]; counts: number[] }

/** What of a histogram lies below `low`, what inside is one magnitude a bin, and which bins have to be looked into. */
function partition(histogram: MagnitudeHistogram, low: number, high: number): Partition {
  const bins = binsOf(histogram);
  const coarse: number[] = [], values: number[] = [], counts: number[] = [];
  let less = 0;
  histogram.keys.forEach((key, i) => {
    if (bins.high[key] < low) less += histogram.counts[i];
    else if (bins.low[key] > high) return;
    else if (bins.low[key] === bins.high[key]) { values.push(bins.low[key]); counts.push(histogram.counts[i]); }
    else coarse.push(key);
  });
  return { space: histogram.space, less, coarse, values, counts };
}

/** The rank-th smallest of ascending magnitudes. */
function rankIn({ values, counts }: Counted, rank: number): number {
  let below = 0;
  for (let i = 0; i < values.length; i++) { below += counts[i]; if (below >= rank) return values[i]; }
  throw new CheckpointError('internal', {}, `rank ${rank} of ${below} magnitudes`);
}

function compact(space: MagnitudeHistogram['space'], { values, counts }: Refined): Refined {
  return space === 'F32' ? { values: Float32Array.from(values), counts: Uint32Array.from(counts) } : { values, counts };
}
