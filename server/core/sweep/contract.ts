import type { CalibrationRequest, CalibrationSummary } from '../calibration/contract';
import type { Problem } from '../errors';
import type { Evaluation } from '../evaluation/contract';
import type { Divergence } from '../evaluation/divergence';
import type { Progress } from '../job';
import type { Allocation, Pattern, Scope } from '../pruning/contract';
import type { Provider } from '../runtime/contract';

/** A pure description of one unit of work: whoever runs it, wherever, gets the same answer. Written as SPEC.json. */
export interface CellSpecification {
  readonly version: 1;
  /** Absolute path of the checkpoint. */
  readonly checkpoint: string;
  readonly method: string;
  readonly scope: Scope;
  readonly pattern: Pattern;
  /** Sparsity asked; 0 is the baseline. */
  readonly level: number;
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  readonly seed: number;
  /** How the total is dealt out; missing: uniform. */
  readonly allocation?: Allocation;
  /** Every number that the method takes; missing where it takes none. */
  readonly parameters?: Readonly<Record<string, number>>;
  /** What the method is calibrated on; missing where it needs none. */
  readonly calibration?: CalibrationRequest;
  /** Benchmark id, or `text:<absolute path>`. */
  readonly benchmark: string;
  readonly protocol: string;
  readonly context: number;
  readonly stride: number;
  readonly limit: number | null;
  readonly provider: Provider | 'auto';
  readonly threads: number;
  readonly dataFolder: string | null;
  /** The field of a JSON Lines file that holds the documents, where it is not `text`. */
  readonly field?: string;
  /** Whether the predictions are compared with the dense model's, token by token: two to three times the time of the evaluation. Missing: not. */
  readonly divergence?: boolean;
  /** Whether the time of a window is measured against the baseline. */
  readonly runtime: boolean;
}

/** A value with the interval that holds it; low and high are NaN where there is too little to say. */
export interface Interval { readonly value: number; readonly low: number; readonly high: number }

/** Bytes of all stored weights: as they are, and with the tensors in scope compressed in three ways (the others stay dense). */
export interface CellSizes {
  readonly dense: number;
  /** zlib, level 6, each tensor by itself, really compressed. */
  readonly deflate: number;
  /** One bit a weight and the nonzero values. */
  readonly bitmask: number;
  /** Values, int32 columns, and row pointers (int32, or int64 where there are 2^31 values or more). */
  readonly csr: number;
}

export interface CellRuntime {
  readonly medianMs: number;
  readonly baselineMedianMs: number;
  /** Median of paired ratios pruned / baseline. */
  readonly ratio: Interval;
  readonly verdict: 'no difference' | 'faster' | 'slower' | 'not decided';
  readonly pairs: number;
  /** Relative margin of `no difference`. */
  readonly margin: number;
  readonly context: number;
  readonly threads: number;
  readonly provider: Provider;
}

/** What is the same for all cells of one checkpoint and stands beside every number. */
export interface CellModel {
  readonly name: string;
  readonly architecture: string | null;
  readonly parameters: number;
  readonly scopeParameters: number;
  readonly prunableParameters: number;
}

/** RESULT.json: everything a cell yields but its losses, which lie beside it as Float32, little endian, in text order. */
export interface CellResult {
  readonly version: 1;
  readonly specification: CellSpecification;
  /** Of the checkpoint as it was read: see `checkpointFingerprint`. */
  readonly fingerprint: string;
  readonly winnow: string;
  readonly model: CellModel;
  /** Zeros in scope over weights in scope, and over all parameters. */
  readonly achieved: number | null;
  readonly achievedTotal: number | null;
  readonly threshold: number | null;
  /** What the calibration really read, and where it ran; null or missing where there was none. */
  readonly calibration?: CalibrationSummary | null;
  /** Null when there is no value: `problem` says why. */
  readonly evaluation: Omit<Evaluation, 'losses'> | null;
  /** How far its predictions lie from the dense model's; null where that was not asked for, and for the dense model itself. Absent in results of earlier versions. */
  readonly divergence?: Divergence | null;
  readonly bytes: CellSizes;
  readonly runtime: CellRuntime | null;
  /** Why there is no `runtime` though the cell asks for it; null where there is one. Absent in results of earlier versions. */
  readonly runtimeProblem?: Problem | null;
  readonly seconds: number;
  readonly problem: Problem | null;
}

/** A finished cell with its losses (null when the evaluation has none). */
export interface FinishedCell {
  readonly result: CellResult;
  readonly losses: Float32Array | null;
}

/** Where a sweep hands its cells. One implementation today: this machine. Nothing else may assume where a cell ran. */
export interface Executor {
  readonly id: string;
  /** Runs one cell to its end; RESULT.json and the losses then lie at `resultPath`. */
  run(cell: CellSpecification, resultPath: string, report: (progress: Progress) => void, signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}
