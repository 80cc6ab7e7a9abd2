import type { Evaluation } from './contract';
import { studentQuantile } from './student';

/** Fewer blocks say too little about how the means of blocks vary. */
const LEAST_BLOCKS = 20;
/** Losses are correlated over a window and a little beyond; a block is several windows long. */
const WINDOWS_A_BLOCK = 8;

export interface BlockOptions {
  /** Tokens of a window: a block is 8 windows long. */
  readonly context: number;
  /** Losses that do not depend on each other (one an item): a block is one of them. */
  readonly independent?: true;
  /** The value is exp(scale x mean loss): tokens a word, where it is told by words. */
  readonly scale?: number;
}

/** How the losses of an evaluation hang together. */
export const blockOptions = (of: Pick<Evaluation, 'context' | 'items' | 'perWord' | 'scoredTokens'>): BlockOptions => ({
  context: of.context, ...(of.items !== undefined && { independent: true as const }), ...(of.perWord !== undefined && { scale: of.scoredTokens / of.perWord.words }),
});

const blockOf = (options: BlockOptions): number => (options.independent ? 1 : WINDOWS_A_BLOCK * options.context);

export interface RatioInterval {
  /** exp(mean difference): perplexity over the baseline's. */
  readonly value: number;
  /** Ends of the 95 % interval. 0 and Infinity where there are too few blocks to say anything. */
  readonly low: number;
  readonly high: number;
}

export type Verdict = 'no difference' | 'better' | 'worse' | 'not decided';

/**
 * Standard error of the mean of correlated losses, by the moving-block bootstrap: what infinitely many resamples of overlapping
 * blocks would give, which for a mean has a closed form (Künsch 1989), so nothing is drawn and nothing depends on a seed. The
 * small-sample factor is that of overlapping batch means (Meketon and Schmeiser 1984).
 *
 * @param losses one a scored token, in text order
 * @returns null with fewer than 20 blocks
 */
export function standardErrorOfMean(losses: ArrayLike<number>, options: BlockOptions): number | null {
  const n = losses.length, block = blockOf(options);
  if (n < LEAST_BLOCKS * block) return null;
  const mean = meanOf(losses);
  let inside = 0;
  for (let i = 0; i < block; i++) inside += losses[i] - mean;
  let squares = (inside / block) ** 2;
  for (let i = block; i < n; i++) {
    inside += losses[i] - losses[i - block];
    squares += (inside / block) ** 2;
  }
  return Math.sqrt((block * squares) / ((n - block + 1) * (n - block)));
}

/** value x scale x SE(mean loss); null under 20 blocks. `value` is the perplexity, exp(scale x mean loss). */
export function standardError(losses: ArrayLike<number>, options: BlockOptions): number | null {
  const error = standardErrorOfMean(losses, options);
  return error === null ? null : scaled(losses, error, options.scale);
}

/** The error that llama.cpp prints, as if losses were independent: 2 to 4 times too small on text. Null for fewer than two losses. */
export function standardErrorIid(losses: ArrayLike<number>, scale = 1): number | null {
  const n = losses.length;
  if (n < 2) return null;
  const mean = meanOf(losses);
  let squares = 0;
  for (let i = 0; i < n; i++) squares += (losses[i] - mean) ** 2;
  return scaled(losses, Math.sqrt(squares / n / (n - 1)), scale);
}

/** Infinity times a zero error (a constant loss that overflows) is no error, not NaN. */
const scaled = (losses: ArrayLike<number>, error: number, scale = 1): number => (error === 0 ? 0 : Math.exp(scale * meanOf(losses)) * scale * error);

/**
 * Compares two runs over the same tokens: the 95 % interval of the mean difference of losses, shown as a ratio of perplexities. The
 * interval is mean +- t x SE, SE by the moving-block bootstrap of the differences, t with (blocks - 1) degrees of freedom.
 *
 * @throws RangeError when the runs have not scored the same number of tokens
 */
export function pairedRatio(losses: ArrayLike<number>, baselineLosses: ArrayLike<number>, options: BlockOptions): RatioInterval {
  if (losses.length !== baselineLosses.length) throw new RangeError(`${losses.length} losses against ${baselineLosses.length}`);
  const differences = new Float64Array(losses.length);
  for (let i = 0; i < differences.length; i++) differences[i] = losses[i] - baselineLosses[i];
  const scale = options.scale ?? 1, mean = scale * meanOf(differences), error = standardErrorOfMean(differences, options);
  if (error === null) return { value: Math.exp(mean), low: 0, high: Infinity };
  const blocks = Math.floor(losses.length / blockOf(options));
  const reach = studentQuantile(0.975, blocks - 1) * scale * error;
  return { value: Math.exp(mean), low: Math.exp(mean - reach), high: Math.exp(mean + reach) };
}

/**
 * What an interval of ratios says. `no difference` is equivalence: the whole interval lies within the margin about 1 (in ratio, so 1/(1+m) to
 * 1+m); an interval that merely holds 1 is `not decided`.
 *
 * @param margin relative, e.g. 0.005
 */
export function verdictOf(interval: { readonly low: number; readonly high: number }, margin: number): Verdict {
  if (interval.low >= 1 / (1 + margin) && interval.high <= 1 + margin) return 'no difference';
  if (interval.low > 1) return 'worse';
  if (interval.high < 1) return 'better';
  return 'not decided';
}

/** Mean with Neumaier's compensation: a million float losses added one by one would lose digits. */
export function meanOf(values: ArrayLike<number>): number {
  let sum = 0, lost = 0;
  for (let i = 0; i < values.length; i++) {
    const next = sum + values[i];
    lost += Math.abs(sum) >= Math.abs(values[i]) ? sum - next + values[i] : values[i] - next + sum;
    sum = next;
  }
  return (Number.isFinite(sum) ? sum + lost : sum) / values.length;
}
