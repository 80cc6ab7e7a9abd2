import type { DType } from '../tensor/dtype';

/**
 * The magnitude histogram: counts of |w| by ordered bit pattern, stored sparse.
 *
 * `space` says what a key is. A larger key is a larger magnitude in every space.
 *   `BF16`, `F16`: the 15 magnitude bits: one key is exactly one magnitude.
 *   `F32`: the top 16 bits of the F32 pattern less the sign (keys 0..32767): one key is 65,536 magnitudes; `refine` tells them apart.
 *   `F64`: the top 16 bits of the F64 pattern less the sign, refined by sorting or further passes.
 *   `value`: every other dtype: keys are indices into `values`, the distinct magnitudes, ascending (at most 65,536; 64-bit
 *            integers and C64 beyond that are rounded to F64 magnitudes and marked coarse).
 * NaN is in no bin. Infinity has a bin. Zeros (+0 and -0) are key 0.
 */
export interface MagnitudeHistogram {
  readonly space: 'BF16' | 'F16' | 'F32' | 'F64' | 'value';
  /** Ascending. */
  readonly keys: Uint32Array;
  /** Same length as `keys`. F64, so that merged counts never overflow. */
  readonly counts: Float64Array;
  /** For space `value`: the magnitude of each key. */
  readonly values?: Float64Array;
}

/** Moments of one tensor or of a set. Over finite values; std is the population's (ddof 0). */
export interface Moments {
  readonly elements: number;
  readonly zeros: number;
  readonly nan: number;
  readonly inf: number;
  /** Of finite values; NaN when there are none. */
  readonly min: number;
  readonly max: number;
  readonly sum: number;
  /** Mean of the finite values, kept beside the sum because sum / n has lost digits where the mean is large. Absent: sum / n. */
  readonly mean?: number;
  /** Sum of squares about the mean (so that merging is stable, as Chan et al. do). */
  readonly m2: number;
  /** Square root of m2, only where m2 itself is beyond the doubles (F64 values above 1e154). */
  readonly root?: number;
  /** Largest finite or infinite |w|; NaN when there are none. */
  readonly absMax: number;
}

/** What one pass over one tensor yields. */
export interface TensorScan {
  readonly name: string;
  readonly dtype: DType;
  readonly moments: Moments;
  readonly histogram: MagnitudeHistogram;
  /** How many exact |w| are strictly greater than the asked threshold (inf counts, NaN does not); null when none was asked. */
  readonly above: number | null;
}

/** A magnitude and what lies at and below it, exact, as asked of `countAt`. */
export interface CountAt {
  readonly magnitude: number;
  /** Elements with |w| < magnitude. */
  readonly less: number;
  /** Elements with |w| = magnitude. */
  readonly equal: number;
}
