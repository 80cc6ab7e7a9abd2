import type { BlockStatistics, CalibrationSummary } from '../calibration/contract';
import { CheckpointError } from '../errors';
import type { Job } from '../job';
import type { Model } from '../models/contract';
import type { ScoreStep } from '../tensor/encoding';
import { allocate, inWholeWeights, type Allocated } from './allocation';
import type { PlanTools, PrunePlan, PruneRequest, TensorRule } from './contract';
import { calibrateWith, denseStatistics, inputNorms, leftAlone } from './inputNorms';
import { isBlock } from './pattern';
import type { PlannedTensors } from './planned';
import { pruneScope } from './pruneScope';
import type { PruneScope, ScopeTensor } from './pruneScope';
import { pruningPlan } from './pruningPlan';
import { selectWeights } from './selectWeights';

/** How a method scores the weights of one tensor. */
export type Scoring = (context: { readonly model: Model; readonly request: PruneRequest; readonly tools: PlanTools }, tensor: ScopeTensor, norms: Float32Array, signal?: AbortSignal) => Job<ScoreStep>;

/** Plans a method without calibration. @param scoring null: magnitudes */
export async function* planPlain(method: string, model: Model, request: PruneRequest, scoring: Scoring | null, tools: PlanTools, signal?: AbortSignal): Job<PrunePlan> {
  const scope = pruneScope(model, request);
  const { sparsities, problems, statistics } = yield* allocateWhole(model, scope, request, tools, signal);
  const scores = scoring ? yield* scoresOf(scope.tensors, scoring, () => new Float32Array(0), { model, request, tools }, signal) : null;
  const planned = yield* selectWeights(model, scope.tensors, request, sparsities, scores, tools, signal);
  return pruningPlan(method, request, scope, [planned], { problems, ...(statistics ? { calibration: statistics.summary } : {}) });
}

/**
 * Plans a method that scores weights by the norms of their inputs. Where weights of different blocks compete (the global scope), and when
 * `oneShot` is asked, all norms are those of the model as it is; else a block's norms are of inputs that came through the pruned blocks
 * before it. An allocation by outliers always looks at the model as it is first.
 */
export async function* planCalibrated(method: string, model: Model, request: PruneRequest, scoring: Scoring, tools: PlanTools, signal?: AbortSignal): Job<PrunePlan> {
  const scope = pruneScope(model, request), oneShot = request.scope === 'global' || request.calibration?.oneShot === true;
  const { sparsities, problems, statistics: known } = yield* allocateWhole(model, scope, request, tools, signal);
  const context = { model, request, tools };
  if (!oneShot) return yield* planBlockByBlock(method, scope, { sparsities, problems }, scoring, context, signal);
  const { inputs, summary } = known ?? (yield* denseStatistics(scope.tensors, 'norms', tools, signal));
  const seen = scope.tensors.filter(({ info }) => inputs.has(info.name));
  const scores = yield* scoresOf(seen, scoring, (tensor) => inputNorms(tensor, inputs.get(tensor.info.name)!), context, signal);
  const planned = seen.length === 0 ? [] : [yield* selectWeights(model, seen, request, sparsities, scores, tools, signal)];
  return pruningPlan(method, request, scope, [...planned, leftAlone(model, scope.tensors.filter((tensor) => !seen.includes(tensor)), tools)], { problems, calibration: summary });
}

/** Allocates, and rounds what was dealt out by outliers to whole weights. A table, and the published mean, stay as they are; blocks round by themselves. */
async function* allocateWhole(model: Model, { tensors }: PruneScope, request: PruneRequest, tools: PlanTools, signal?: AbortSignal): Job<Allocated> {
  const allocated = yield* allocate(model, tensors, request, tools, signal), { allocation } = request;
  if (allocation?.kind !== 'owl' || allocation.published || !allocated.sparsities || isBlock(request.pattern)) return allocated;
  return { ...allocated, sparsities: inWholeWeights(tensors, allocated.sparsities, request) };
}

async function* planBlockByBlock(
  method: string, scope: PruneScope, allocated: { readonly sparsities: ReadonlyMap<string, number> | null; readonly problems: PrunePlan['problems'] }, scoring: Scoring,
  context: Parameters<Scoring>[0], signal?: AbortSignal,
): Job<PrunePlan> {
  const { model, request, tools } = context, parts: PlannedTensors[] = [], seen = new Set<string>();
  const prune = async function* (statistics: BlockStatistics): Job<ReadonlyMap<string, TensorRule>> {
    const tensors = scope.tensors.filter(({ info }) => statistics.inputs.has(info.name));
    for (const { info } of tensors) {
      if (seen.has(info.name)) throw new CheckpointError('internal', { tensor: info.name }, 'in two blocks');
      seen.add(info.name);
    }
    if (tensors.length === 0) return new Map();
    const scores = yield* scoresOf(tensors, scoring, (tensor) => inputNorms(tensor, statistics.inputs.get(tensor.info.name)!), context, signal);
    const part = yield* selectWeights(model, tensors, request, allocated.sparsities, scores, tools, signal);
    parts.push(part);
    return part.rules;
  };
  const summary: CalibrationSummary = yield* calibrateWith(tools)('norms', new Set(scope.tensors.map(({ info }) => info.name)), prune, signal);
  parts.push(leftAlone(model, scope.tensors.filter(({ info }) => !seen.has(info.name)), tools));
  return pruningPlan(method, request, scope, parts, { problems: allocated.problems, calibration: summary });
}

async function* scoresOf(
  tensors: readonly ScopeTensor[], scoring: Scoring, normsOf: (tensor: ScopeTensor) => Float32Array, context: Parameters<Scoring>[0], signal?: AbortSignal,
): Job<ReadonlyMap<string, ScoreStep>> {
  const scores = new Map<string, ScoreStep>();
  for (const tensor of tensors) scores.set(tensor.info.name, yield* scoring(context, tensor, normsOf(tensor), signal));
  return scores;
}
