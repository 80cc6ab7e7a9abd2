import type { WeightReference } from '../graph/contract';
import type { Job } from '../job';
import type { TensorRule } from '../pruning/contract';
import type { Provider } from '../runtime/contract';

/** Which text a calibration reads and how much of it. Never the text that is evaluated. */
export interface CalibrationRequest {
  /** Absolute path of a text, or the split of a benchmark: `{ benchmark, split }`. */
  readonly text: string | { readonly benchmark: string; readonly split: 'train' | 'valid' };
  /** Windows drawn, by the seed. */
  readonly samples: number;
  /** Tokens of a window; null: min(the model's context, 2048). */
  readonly length: number | null;
  readonly seed: number;
  /** True: all statistics of the dense model in one run. False: each block sees inputs that came through the pruned blocks before it. */
  readonly oneShot: boolean;
  readonly provider: Provider | 'auto';
  readonly threads: number;
  readonly dataFolder: string | null;
}

/** `norms`: sums of squares per input channel. `hessians`: the second moments X^T X too. */
export type StatisticsKind = 'norms' | 'hessians';

/** What one matrix (or one expert) was fed during calibration. */
export interface InputStatistics {
  /** Stored name of the weight, its kept name where tied. */
  readonly tensor: string;
  readonly inputs: number;
  /** Tokens seen: rows of X. Of an expert, only those that were sent to it. */
  readonly rows: number;
  /** Sum over rows of x^2, (inputs). The L2 norm of a channel is its square root. */
  readonly sumOfSquares: Float64Array;
  /** X^T X, (inputs, inputs), F32, row-major, in a file; null unless asked. */
  readonly secondMoments: WeightReference | null;
}

/** One block of the network with everything known of its matrices' inputs. */
export interface BlockStatistics {
  /** Position in the order of computation, and how many blocks there are. */
  readonly block: number;
  readonly blocks: number;
  /** By the kept name of the tensor; only tensors asked for. */
  readonly inputs: ReadonlyMap<string, InputStatistics>;
  /**
   * Mean over tokens of 1 - cos(what flows in, what flows out) of a block: the block influence of Men et al. 2024 (ShortGPT). Only of a dense run, and null
   * where it is not one value that flows through.
   */
  readonly influence?: number | null;
}

/** What is written into results: everything that makes two calibrations the same. */
export interface CalibrationSummary {
  readonly text: string;
  readonly textSha256: string;
  readonly samples: number;
  readonly length: number;
  readonly tokens: number;
  readonly seed: number;
  readonly oneShot: boolean;
  readonly provider: Provider;
}

/**
 * Runs the model over the calibration text, block after block, in the order of computation.
 *
 * @param names kept names of the tensors whose inputs are wanted
 * @param prune called once a block; answers the rules of its tensors. Unless `oneShot`, the block is run again under these rules before the
 *   next one sees its outputs.
 * @param dense nothing is pruned on the way, whatever is answered: one pass, as with `oneShot`
 * @throws CheckpointError `calibration-is-evaluated`, `calibration-impossible`, `benchmark-not-found`, `too-few-tokens`, `context-too-long`, `out-of-memory`, `disk-full`,
 *   `cancelled`, and what building and running a graph throws
 */
export type Calibrate = (
  needs: StatisticsKind, names: ReadonlySet<string>, prune: (block: BlockStatistics) => Job<ReadonlyMap<string, TensorRule>>, signal?: AbortSignal, dense?: 'dense',
) => Job<CalibrationSummary>;
