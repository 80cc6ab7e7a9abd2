import type { CheckpointFile } from '../formats/contract';
import type { IoMode } from '../bytes/byteSource';
import type { DType } from '../tensor/dtype';
import type { MagnitudeHistogram, Moments } from '../stats/contract';
import type { TensorRule } from '../pruning/contract';

/** Bytes of one tensor (or a slice of it that starts at element `first`) in one file. */
export interface SliceSource {
  readonly file: Pick<CheckpointFile, 'path' | 'realPath' | 'byteLength' | 'mtimeMs'>;
  readonly io: IoMode;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly from: number;
  readonly to: number;
}

/** What a worker can be asked. A new kind is a new member here and a case in `worker.ts`. */
export type WorkerTask =
  /** Histogram and moments in one pass; counts |w| > threshold when it is given. */
  | { readonly kind: 'scan'; readonly source: SliceSource; readonly threshold: number | null }
  /** For F32 and F64: exact counts of the magnitudes inside each of the coarse `keys`, as sorted (value, count) pairs. */
  | { readonly kind: 'refine'; readonly source: SliceSource; readonly keys: readonly number[] }
  /** Reads, applies the rule, writes at `at` of the open-for-writing target file. Answers how many were zero before, after, and changed. */
  | { readonly kind: 'mask'; readonly source: SliceSource; readonly rule: TensorRule; readonly target: { readonly path: string; readonly at: number } }
  /** Copies bytes unchanged. */
  | { readonly kind: 'copy'; readonly source: SliceSource; readonly target: { readonly path: string; readonly at: number } };

export interface WorkerAnswers {
  scan: { moments: Moments; histogram: MagnitudeHistogram; above: number | null };
  refine: { values: Float64Array; counts: Float64Array };
  mask: { zerosBefore: number; zerosAfter: number; changed: number };
  copy: { bytes: number };
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
