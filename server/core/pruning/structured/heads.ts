import { throwIfCancelled } from '../../errors';
import type { Problem } from '../../errors';
import type { Job } from '../../job';
import type { Model } from '../../models/contract';
import type { PlanTools, PrunePlan, PruneRequest, PruningMethod } from '../contract';
import { goneOf, planUnitChoice, refuseGlobs } from './planStructure';
import { headGroups, requireStructure } from './units';

async function* plan(model: Model, request: PruneRequest, tools: PlanTools, signal?: AbortSignal): Job<PrunePlan> {
  throwIfCancelled(signal);
  refuseGlobs('heads', request);
  const { groups, headDim, headsPerUnit, keyValueHeads } = headGroups(model), names = requireStructure(model).keys.heads!;
  const gone = goneOf(groups[0].units, request.sparsity), left = groups[0].units - gone;
  const counts = { [names.heads]: left * headsPerUnit, [names.headDim]: headDim, ...(keyValueHeads && { [names.keyValueHeads!]: left }) };
  const problems: Problem[] = names.inTransformers || gone === 0 ? [] : [{ code: 'own-config-key', where: { file: model.checkpoint.path, key: names.headDim }, detail: `${names.headDim} ${headDim} with ${left * headsPerUnit} heads is written to config.json; transformers' ${model.architecture!.title} does not read it` }];
  return yield* planUnitChoice({ unit: 'heads', groups, gone, config: gone > 0 ? counts : {}, problems }, model, request, tools, signal);
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
