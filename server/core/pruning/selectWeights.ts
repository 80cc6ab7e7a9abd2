import { CheckpointError } from '../errors';
import type { Job } from '../job';
import type { Model } from '../models/contract';
import type { ScoreStep } from '../tensor/encoding';
import type { TensorInfo } from '../tensor/tensorInfo';
import type { PlanTools, PruneRequest, TensorRule } from './contract';
import { isBlock } from './pattern';
import { planBlocks } from './planBlocks';
import { cutSets, planCuts } from './planCuts';
import { scanOf } from './planned';
import type { PlannedTensors } from './planned';
import { planUnits } from './planUnits';
import type { ScopeTensor } from './pruneScope';
import { scanValues, scoreTensor } from './scoreTensors';

/**
 * The exact selection that a request asks for among some tensors in scope, by magnitudes or by scores: rules, counts and
 * remarks. Scores need a pass of their own, unless weights compete within rows or groups only.
 *
 * @param sparsities of each tensor by name, where they are not the request's
 * @param scores of every tensor by name; null: magnitudes
 * @throws CheckpointError `unsupported-scope`, `unsupported-pattern`, `cancelled`, and what reading throws
 */
export async function* selectWeights(
  model: Model, tensors: readonly ScopeTensor[], request: PruneRequest, sparsities: ReadonlyMap<string, number> | null, scores: ReadonlyMap<string, ScoreStep> | null,
  tools: PlanTools, signal?: AbortSignal,
): Job<PlannedTensors> {
  const sparsityOf = ({ info }: ScopeTensor): number => sparsities?.get(info.name) ?? request.sparsity;
  if (isBlock(request.pattern)) return yield* planBlocks(model, tensors, request, request.pattern, sparsityOf, scores, tools, signal);
  let planned: PlannedTensors;
  if (request.pattern !== 'unstructured' || request.scope === 'row') planned = yield* planUnits(model, tensors, request, sparsityOf, tools, signal);
  else {
    const values = tensors.map(({ info }) => (scores ? scoreTensor(info, scoreOf(scores, info)) : info));
    const scans = scores ? yield* scanValues(model, values, tools, signal) : null;
    const sets = cutSets(request, tensors, values, (i) => scans?.get(values[i].name) ?? scanOf(tools, tensors[i]), sparsityOf);
    planned = yield* planCuts(model, sets, tools, signal);
  }
  if (!scores) return planned;
  const rules = new Map([...planned.rules].map(([name, by]): [string, TensorRule] => [name, underScore(by, scores.get(name)!)]));
  return { ...planned, rules, threshold: null };
}

const underScore = (by: TensorRule, score: ScoreStep): TensorRule => {
  if (by.kind === 'cut' || by.kind === 'rows' || by.kind === 'groups') return { kind: 'scored', score, by };
  throw new CheckpointError('internal', {}, `${by.kind} under scores`);
};

function scoreOf(scores: ReadonlyMap<string, ScoreStep>, info: TensorInfo): ScoreStep {
  const score = scores.get(info.name);
  if (!score) throw new CheckpointError('internal', { tensor: info.name }, 'no score');
  return score;
}
