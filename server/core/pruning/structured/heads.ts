import { throwIfCancelled } from '../../errors';
import type { Problem } from '../../errors';
import type { Job } from '../../job';
import type { Model } from '../../models/contract';
import type { PlanTools, PrunePlan, PruneRequest, PruningMethod } from '../contract';
import { goneOf, keepBest, refuseGlobs, structurePlan } from './planStructure';
import { outputNorms, scoreUnits } from './scoreUnits';
import { shrinkUnits } from './shrink';
import { headGroups, requireStructure } from './units';

async function* plan(model: Model, request: PruneRequest, tools: PlanTools, signal?: AbortSignal): Job<PrunePlan> {
  throwIfCancelled(signal);
  refuseGlobs('heads', request);
  const { groups, headDim, headsPerUnit, keyValueHeads } = headGroups(model), names = requireStructure(model).keys.heads!;
  const fed = yield* outputNorms(groups, tools, signal), scores = yield* scoreUnits(model.checkpoint, groups, fed?.norms ?? null, tools.io, signal);
  const { units } = groups[0], gone = goneOf(units, request.sparsity), left = units - gone;
  const kept = scores.map((score) => keepBest(score, gone));
  const counts = { [names.heads]: left * headsPerUnit, [names.headDim]: headDim, ...(keyValueHeads && { [names.keyValueHeads!]: left }) };
  const shrunk = shrinkUnits(model.checkpoint, groups.flatMap(({ parts }, i) => parts.map((part) => ({ part, units, kept: kept[i] }))), gone > 0 ? counts : {});
  const structure = { unit: 'heads', kept: groups.map(({ block }, i) => ({ block, of: units, units: kept[i] })), shrunk } as const;
  const problems: Problem[] = names.inTransformers || gone === 0 ? [] : [{ code: 'own-config-key', where: { file: model.checkpoint.path, key: names.headDim }, detail: `${names.headDim} ${headDim} with ${left * headsPerUnit} heads is written to config.json; transformers' ${model.architecture!.title} does not read it` }];
  return structurePlan('heads', model, request, structure, new Set(groups.flatMap(({ parts }) => parts.map(({ info }) => info.name))), problems, fed?.summary);
}

/** Whole attention heads, the same number from every block; with grouped queries, a head of keys and values with its queries. */
export const heads: PruningMethod = {
  id: 'heads',
  title: 'Attention heads',
  summary: 'Takes the attention heads with the smallest weights, or with a calibration text those that pass least on, out of every block: a smaller, faster model.',
  defaultScope: 'tensor',
  scopes: ['tensor'],
  patterns: ['unstructured'],
  allocations: ['uniform'],
  needs: null,
  takes: 'norms',
  structured: true,
  parameters: [],
  source: null,
  plan,
};
