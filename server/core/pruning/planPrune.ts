import type { IoMode } from '../bytes/byteSource';
import { CheckpointError } from '../errors';
import type { Calibrate } from '../calibration/contract';
import type { Job } from '../job';
import type { Model } from '../models/contract';
import type { TensorScan } from '../stats/contract';
import { scanModel } from '../stats/scan';
import type { WorkerPool } from '../workers/contract';
import type { PlanTools, PrunePlan, PruneRequest } from './contract';
import { checkAllocation } from './allocation';
import { checkParameters } from './options';
import { pruneScope } from './pruneScope';
import { checkPatternScope, patternKind, patternText } from './pattern';
import { findMethod } from './registry';

export interface PlanOptions {
  readonly io: IoMode;
  /** Scans that are known already (a sweep plans many levels from one pass); what is missing is scanned. */
  readonly scans?: ReadonlyMap<string, TensorScan>;
  /** How the model is fed; missing where nothing is calibrated. */
  readonly calibrate?: Calibrate | null;
  /** Where methods may put bytes that rules refer to (see `makeScratch`); looked at only by methods that need one. */
  readonly scratch?: { readonly path: string };
}

/**
 * Plans a pruning: which weights become zero, exactly, with nothing written. One pass over the tensors in scope that were
 * not scanned yet; for F32 and F64 one more, over the bins that hold the threshold.
 *
 * @throws CheckpointError `unknown-method`, `unsupported-scope`, `unsupported-pattern`, `unsupported-allocation`, `bad-parameter`, `bad-sparsity`, `no-match`,
 *   `unsupported-dtype`, `nothing-in-scope`, `cancelled`, and what reading throws
 */
export async function* planPrune(
  model: Model, methodId: string, request: PruneRequest, pool: WorkerPool, options: PlanOptions, signal?: AbortSignal,
): Job<PrunePlan> {
  const method = findMethod(methodId);
  if (!(request.sparsity >= 0 && request.sparsity <= 1)) {
    throw new CheckpointError('bad-sparsity', { key: String(request.sparsity) }, `${request.sparsity} is not a fraction from 0 to 1`);
  }
  if (!method.scopes.includes(request.scope)) {
    throw new CheckpointError('unsupported-scope', { key: request.scope }, `${method.id} takes ${method.scopes.join(', ')}`);
  }
  if (!method.patterns.includes(patternKind(request.pattern))) {
    throw new CheckpointError('unsupported-pattern', { key: patternText(request.pattern) }, `${method.id} takes ${method.patterns.join(', ')}`);
  }
  checkPatternScope(request.pattern, request.scope);
  checkAllocation(method, request);
  checkParameters(method, request.parameters);
  const names = method.structured ? [] : pruneScope(model, request).tensors.map(({ info }) => info.name);
  const missing = names.filter((name) => !options.scans?.has(name));
  const scans = new Map<string, TensorScan>(options.scans);
  if (missing.length > 0) {
    for (const [name, scan] of yield* scanModel(model, { threshold: null, names: missing, io: options.io }, pool, signal)) scans.set(name, scan);
  }
  const tools: PlanTools = {
    scans, pool, io: options.io, calibrate: options.calibrate ?? null,
    get scratch() {
      if (!options.scratch) throw new CheckpointError('internal', {}, `${method.id} needs a scratch folder`);
      return options.scratch.path;
    },
  };
  return yield* method.plan(model, request, tools, signal);
}
