import type { CellRuntime, Interval } from './contract';

export { seededRandom } from '../random';

/** Ratios within this of 1 make no difference to a person. */
export const RUNTIME_MARGIN = 0.05;

/** The middle value; the mean of the two middle ones where there is an even number. NaN for none. */
export function median(values: readonly number[]): number {
  if (values.length === 0) return Number.NaN;
  const sorted = [...values].sort((a, b) => a - b), middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/**
 * The largest rank r (from 0) for which [sorted[r], sorted[n - 1 - r]] holds the true median with 95 % confidence, whatever
 * the distribution is: the number of values below it is Binomial(n, 1/2). Null when n < 6, where no such interval exists.
 */
export function medianRank(n: number): number | null {
  let term = 0.5 ** n, below = 0, rank = -1;
  if (term === 0) return Math.max(0, Math.floor(n / 2 - 0.98 * Math.sqrt(n)) - 1); // n > 1074: the normal approximation, rounded outwards
  while (below + term <= 0.025) {
    below += term;
    rank++;
    term = term * (n - rank) / (rank + 1);
  }
  return rank < 0 ? null : rank;
}

/** The median with its distribution-free 95 % interval; low and high are NaN for fewer than six values. */
export function medianInterval(values: readonly number[]): Interval {
  const rank = medianRank(values.length), value = median(values);
  if (rank === null) return { value, low: Number.NaN, high: Number.NaN };
  const sorted = [...values].sort((a, b) => a - b);
  return { value, low: sorted[rank], high: sorted[sorted.length - 1 - rank] };
}

/** Equivalence first: `no difference` says that the whole interval lies within the margin, not that nothing was found. */
export function runtimeVerdict({ low, high }: Interval, margin = RUNTIME_MARGIN): CellRuntime['verdict'] {
  if (low >= 1 / (1 + margin) && high <= 1 + margin) return 'no difference';
  if (high < 1) return 'faster';
  if (low > 1) return 'slower';
  return 'not decided';
}

/** How long pairs go on: until the interval is narrow enough to decide, within the bounds. Stops on width alone, never on the sign. */
export const PAIRS = { least: 15, most: 400, halfWidth: 0.02, secondsMost: 4, pairsWhenSlow: 11 } as const;

/** Whether another pair is wanted after `ratios`, with `seconds` spent so far. */
export function wantsMorePairs(ratios: readonly number[], seconds: number): boolean {
  if (seconds > PAIRS.secondsMost) return ratios.length < PAIRS.pairsWhenSlow;
  if (ratios.length < PAIRS.least) return true;
  if (ratios.length >= PAIRS.most) return false;
  const { value, low, high } = medianInterval(ratios);
  return !((high - low) / 2 <= PAIRS.halfWidth * value);
}
