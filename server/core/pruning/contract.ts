import type { IoMode } from '../bytes/byteSource';
import type { Job } from '../job';
import type { Model } from '../models/contract';
import type { TensorScan } from '../stats/contract';
import type { WorkerPool } from '../workers/contract';

export type Scope = 'global' | 'tensor' | 'row';
/** Every scope, widest first. */
export const scopes: readonly Scope[] = ['global', 'tensor', 'row'];

/** N:M keeps `keep` of every `of` consecutive inputs. */
export interface GroupPattern { readonly keep: number; readonly of: number }
export type Pattern = 'unstructured' | GroupPattern;

/**
 * Which weights of one tensor become +0.0: a pure function of the tensor's bytes that a worker applies while it streams.
 * NaN is never selected; an unselected -0.0 keeps its bits; a selected weight is written as +0.0.
 */
export type TensorRule =
  /** Every |w| < threshold, and of those with |w| = threshold the first `ties` in flat order. */
  | { readonly kind: 'cut'; readonly threshold: number; readonly ties: number }
  /** In each row (one output unit) the `selected` smallest |w|, ties by position. */
  | { readonly kind: 'rows'; readonly selected: number; readonly orientation: 'out-in' | 'in-out' }
  /** In each whole group of `of` consecutive inputs the `of - keep` smallest |w|, ties by position; a ragged tail is left alone. */
  | { readonly kind: 'groups'; readonly keep: number; readonly of: number; readonly orientation: 'out-in' | 'in-out' };

export interface PruneRequest {
  readonly sparsity: number;
  readonly scope: Scope;
  readonly pattern: Pattern;
  /** Globs over tensor names; `include` adds to the prunable set, `exclude` takes away afterwards. */
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  readonly seed: number;
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
  /** Remarks: NaN in scope, ragged groups, already sparser. */
  readonly problems: Model['problems'];
}

/** What a method may use besides the model: the scans of every tensor in scope, and workers for further passes. */
export interface PlanTools {
  readonly scans: ReadonlyMap<string, TensorScan>;
  readonly pool: WorkerPool;
  readonly io: IoMode;
}

/** A way of choosing weights. Adding one is one new file and one line in `registry.ts`. */
export interface PruningMethod {
  readonly id: string;
  readonly title: string;
  /** One sentence for a person. */
  readonly summary: string;
  readonly defaultScope: Scope;
  readonly scopes: readonly Scope[];
  readonly patterns: readonly ('unstructured' | 'n:m')[];
  readonly needsCalibration: boolean;
  plan(model: Model, request: PruneRequest, tools: PlanTools, signal?: AbortSignal): Job<PrunePlan>;
}
