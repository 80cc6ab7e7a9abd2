import type { CheckpointFile } from '../formats/contract';
import type { IoMode } from '../bytes/byteSource';
import type { DType } from '../tensor/dtype';
import type { EncodedBytes } from '../tensor/encoding';
import type { MagnitudeHistogram, Moments } from '../stats/contract';
import type { TensorRule } from '../pruning/contract';

/** Bytes of one tensor (or a slice of it that starts at element `first`) in one file. */
export interface SliceSource {
  readonly file: Pick<CheckpointFile, 'path' | 'realPath' | 'byteLength' | 'mtimeMs'>;
  readonly io: IoMode;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Bytes of the values: of the file, or of what `encoded` decodes to. */
  readonly from: number;
  readonly to: number;
  /** Where the values are not the file's bytes: those of the whole tensor. */
  readonly encoded?: EncodedBytes;
}

/** Where bytes go: a file that exists already, written by position. */
export interface Target {
  readonly path: string;
  readonly at: number;
}

/** Zero counts around a mask. `changed` is what became zero: zerosAfter - zerosBefore. */
export interface MaskCounts { readonly zerosBefore: number; readonly zerosAfter: number; readonly changed: number }

/** Counts about the layout of zeros; `groups` are whole groups of four inputs, `ready` those with at least two zeros. */
export interface Structure { readonly rows: number; readonly deadRows: number; readonly groups: number; readonly ready: number }

/** What a worker can be asked. A new kind is a new member here and a case in `worker.ts`. */
export type WorkerTask =
  /** Histogram and moments in one pass; counts |w| > threshold when it is given. */
  | { readonly kind: 'scan'; readonly source: SliceSource; readonly threshold: number | null }
  /** For F32 and F64: exact counts of the magnitudes inside each of the coarse `keys`, as sorted (value, count) pairs. */
  | { readonly kind: 'refine'; readonly source: SliceSource; readonly keys: readonly number[] }
  /**
   * Reads, applies the rule, writes at `at` of the target file, which exists already (null: only counts). Answers how many were zero before,
   * after, and changed. `columns` (rule `rows`, orientation in-out, a matrix): only these columns [from, to) of it.
   */
  | { readonly kind: 'mask'; readonly source: SliceSource; readonly rule: TensorRule; readonly target: Target | null; readonly columns?: { readonly from: number; readonly to: number } }
  /**
   * Exact counts of |w| below and equal to a magnitude, of any dtype. With `task.kind` `mask` and a `cut` rule this is how
   * the tie budget of a tensor is dealt out to its slices (see maskTensor.ts).
   */
  | { readonly kind: 'count'; readonly source: SliceSource; readonly magnitude: number }
  /** Dead rows (output units with only zeros) and groups of four inputs that already hold two zeros. Whole rows only. */
  | { readonly kind: 'structure'; readonly source: SliceSource; readonly orientation: 'out-in' | 'in-out' }
  /** Sums of |w| of each row and each column of whole rows of one matrix; what is not finite does not count. */
  | { readonly kind: 'sums'; readonly source: SliceSource }
  /** Copies bytes unchanged. */
  | { readonly kind: 'copy'; readonly source: SliceSource; readonly target: Target }
  /** SHA-256 of bytes as they are. */
  | { readonly kind: 'hash'; readonly source: SliceSource }
  /** Whole rows as bits and the values that they mark (see packTask.ts); without targets it only counts. `pairs`: two of every four. */
  | { readonly kind: 'pack'; readonly source: SliceSource; readonly bits: Target | null; readonly kept: Target | null; readonly pairs: boolean }
  | DenseTask;

/** F64 linear algebra on shared memory: of matrices (rows, columns), row-major, the columns [from, to). What a column gets depends on no other. */
export type DenseTask =
  /** `diagonal` (n, n), symmetric, of a matrix with a unit diagonal, gets its lower Cholesky factor L; the columns of `rows` (n, columns) become L^-1 rows. */
  | { readonly kind: 'eliminate'; readonly diagonal: Float64Array; readonly rows: SharedArrayBuffer; readonly columns: number; readonly from: number; readonly to: number }
  /**
   * SparseGPT's sweep over a block of n inputs: `weights` (n, outputs) in and out, `errors` (n, outputs) out, `pruned` (n, outputs) bytes, 1 = pruned; `factor`
   * (n, n) the block of the upper factor; `divisors` (n) of the scores. With `groups.of` > 0 the mask of each whole group is completed to `drop` on the way.
   */
  | {
    readonly kind: 'sweep'; readonly weights: SharedArrayBuffer; readonly errors: SharedArrayBuffer; readonly pruned: SharedArrayBuffer; readonly factor: Float64Array;
    readonly divisors: Float64Array; readonly groups: { readonly of: number; readonly drop: number }; readonly outputs: number; readonly from: number; readonly to: number;
  };

export interface DenseAnswers {
  /** The column without a pivot, or -1; and L^-1 (n, n), empty where there is none. */
  eliminate: { failed: number; inverse: Float64Array };
  sweep: Record<never, never>;
}

export interface WorkerAnswers extends DenseAnswers {
  scan: { moments: Moments; histogram: MagnitudeHistogram; above: number | null };
  refine: { values: Float64Array; counts: Float64Array };
  mask: MaskCounts;
  count: { less: number; equal: number };
  structure: Structure;
  sums: { rows: Float64Array; columns: Float64Array };
  copy: { bytes: number };
  hash: { sha256: string };
  pack: { rows: Float64Array; crowded: number };
}

/**
 * worker_threads with one WASM instance each. `run` resolves when the task is done and rejects with `cancelled` within
 * 100 ms of the signal (workers look at a shared flag between windows of a few MiB).
 */
export interface WorkerPool {
  readonly threads: number;
  run<T extends WorkerTask>(task: T, signal?: AbortSignal, onBytes?: (bytes: number) => void): Promise<WorkerAnswers[T['kind']]>;
  close(): Promise<void>;
}
