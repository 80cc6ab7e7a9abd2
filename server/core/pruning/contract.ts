import type { IoMode } from '../bytes/byteSource';
import type { Calibrate, CalibrationRequest, CalibrationSummary, StatisticsKind } from '../calibration/contract';
import type { Checkpoint } from '../formats/contract';
import type { WeightReference } from '../graph/contract';
import type { Job } from '../job';
import type { Model } from '../models/contract';
import type { TensorScan } from '../stats/contract';
import type { ScoreStep } from '../tensor/encoding';
import type { WorkerPool } from '../workers/contract';

export type Scope = 'global' | 'tensor' | 'row';
/** Every scope, widest first. */
export const scopes: readonly Scope[] = ['global', 'tensor', 'row'];

/** N:M keeps `keep` of every `of` consecutive inputs. */
export interface GroupPattern { readonly keep: number; readonly of: number }
/** Whole rectangles of `rows` outputs x `columns` inputs go or stay together. */
export interface BlockPattern { readonly rows: number; readonly columns: number }
export type Pattern = 'unstructured' | GroupPattern | BlockPattern;

/**
 * Which weights of one tensor become +0.0: a pure function of the tensor's bytes that a worker applies while it streams.
 * NaN is never selected; an unselected -0.0 keeps its bits; a selected weight is written as +0.0.
 */
export type MagnitudeRule =
  /** Every |w| < threshold, and of those with |w| = threshold the first `ties` in flat order. */
  | { readonly kind: 'cut'; readonly threshold: number; readonly ties: number }
  /** In each row (one output unit) the `selected` smallest |w|, ties by position. */
  | { readonly kind: 'rows'; readonly selected: number; readonly orientation: 'out-in' | 'in-out' }
  /** In each whole group of `of` consecutive inputs the `of - keep` smallest |w|, ties by position; a ragged tail is left alone. */
  | { readonly kind: 'groups'; readonly keep: number; readonly of: number; readonly orientation: 'out-in' | 'in-out' };

export type TensorRule =
  | MagnitudeRule
  /**
   * `by` applied to scores instead of magnitudes: `score` makes of the weights a tensor of F32 scores of the same shape, with
   * the weight's sign, zero exactly where the weight is zero and NaN where it is NaN (see `ScoreStep`).
   */
  | { readonly kind: 'scored'; readonly score: ScoreStep; readonly by: MagnitudeRule }
  /** Whole blocks of the last two axes: those that `by`, a cut, selects among the blocks' scores (see `blockScores.ts`). */
  | { readonly kind: 'blocks'; readonly block: BlockPattern; readonly score: ScoreStep | null; readonly by: Extract<MagnitudeRule, { kind: 'cut' }>; readonly orientation: 'out-in' | 'in-out' }
  /** The tensor's new bytes, same dtype and shape, made while planning: methods that also change what they keep. */
  | { readonly kind: 'values'; readonly values: WeightReference }
  /**
   * A stored mask: bit 1 = kept, rows of the last axis, each beginning a byte, the first weight in the lowest bit; as many bytes
   * as rows x ceil(width / 8).
   */
  | { readonly kind: 'bits'; readonly bits: WeightReference };

/** How the total is dealt out to tensors where weights compete within a tensor or a row. */
export type Allocation =
  /** Every tensor gets the same sparsity. */
  | { readonly kind: 'uniform' }
  /**
   * Outlier weighed (Yin et al. 2024, OWL): blocks with more scores above `m` times their mean keep more; ratios lie within
   * `lambda` of the mean. `published`: the paper's unweighted mean over blocks instead of the parameter-weighted one.
   */
  | { readonly kind: 'owl'; readonly m: number; readonly lambda: number; readonly published: boolean }
  /** The first glob that names a tensor decides; tensors that none names share what is left of the total. */
  | { readonly kind: 'table'; readonly entries: readonly { readonly glob: string; readonly sparsity: number }[] };

/** A number that one method takes, with the flag and recipe key of the same name. */
export interface MethodParameter {
  readonly name: string;
  readonly title: string;
  readonly help: string;
  readonly fallback: number;
  readonly min: number;
  readonly max: number;
  readonly whole: boolean;
}

export interface PruneRequest {
  readonly sparsity: number;
  readonly scope: Scope;
  readonly pattern: Pattern;
  /** Globs over tensor names; `include` adds to the prunable set, `exclude` takes away afterwards. */
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  readonly seed: number;
  /** Missing: uniform. */
  readonly allocation?: Allocation;
  /** Values of the method's `parameters`, by name; what is missing takes its fallback. */
  readonly parameters?: Readonly<Record<string, number>>;
  /** Null or missing for methods that need no calibration. */
  readonly calibration?: CalibrationRequest | null;
}

/** What would be done, exactly, before anything is written. A sweep evaluates it and `prune` writes it: the same bits. */
export interface PrunePlan {
  readonly method: string;
  readonly request: PruneRequest;
  /** Weights in scope, N. */
  readonly scopeParameters: number;
  /** k = round-half-to-even(sparsity * N), less what NaN makes impossible. */
  readonly selected: number;
  /** The global threshold (largest selected magnitude), null where there is none. */
  readonly threshold: number | null;
  /** Rule of each tensor in scope, by the name that is kept of a tied group. Tensors without a rule stay bit-identical. */
  readonly rules: ReadonlyMap<string, TensorRule>;
  /** Exact counts of each tensor in scope. */
  readonly tensors: readonly { readonly name: string; readonly elements: number; readonly zerosBefore: number; readonly zerosAfter: number }[];
  /** Remarks for a person. */
  readonly problems: Model['problems'];
  /** What structured methods take away; there are no rules then, and the counts of `tensors` are of weights that are gone. */
  readonly structure?: StructurePlan;
  /** What the calibration read, for the manifest; missing or null where there was none. */
  readonly calibration?: CalibrationSummary | null;
}

/** Whole units that go: the model gets smaller and is computed faster. */
export interface StructurePlan {
  readonly unit: 'heads' | 'neurons' | 'layers';
  /** Which units stay, in rising order, of every block (or row of blocks). */
  readonly kept: readonly { readonly block: string; readonly of: number; readonly units: readonly number[] }[];
  /** The checkpoint as it will be: tensors that are read as their kept parts, and the configuration that goes with them. */
  readonly shrunk: Checkpoint;
}

/** What a method may use besides the model: the scans of every tensor in scope, and workers for further passes. */
export interface PlanTools {
  readonly scans: ReadonlyMap<string, TensorScan>;
  readonly pool: WorkerPool;
  readonly io: IoMode;
  /** Runs the calibration of `request.calibration` block by block; null when there is none. */
  readonly calibrate: Calibrate | null;
  /** An existing folder of this run's own for bytes that rules refer to (`values`); whoever made it removes it after the plan was used. */
  readonly scratch: string;
}

/** A way of choosing weights. Adding one is one new file and one line in `registry.ts`. */
export interface PruningMethod {
  readonly id: string;
  readonly title: string;
  /** One sentence for a person. */
  readonly summary: string;
  readonly defaultScope: Scope;
  readonly scopes: readonly Scope[];
  readonly patterns: readonly ('unstructured' | 'n:m' | 'block')[];
  /** Allocations besides uniform that make sense with the method. */
  readonly allocations: readonly Allocation['kind'][];
  /** What it must know of the inputs of each matrix: nothing, their norms, or their second moments. */
  readonly needs: StatisticsKind | null;
  /** What it uses where a calibration is asked for, though it works without. */
  readonly takes?: StatisticsKind;
  readonly parameters: readonly MethodParameter[];
  /** It takes whole units away (`PrunePlan.structure`) and reads what it needs itself: no scans are made for it. */
  readonly structured?: true;
  /** The paper that the method is from, by name; null for folklore. */
  readonly source: string | null;
  plan(model: Model, request: PruneRequest, tools: PlanTools, signal?: AbortSignal): Job<PrunePlan>;
}
