import type { Job } from '../job';
import type { Model } from '../models/contract';
import type { PlanTools, PrunePlan, PruneRequest, PruningMethod } from './contract';
import { planCuts } from './planCuts';
import { planUnits } from './planUnits';
import { pruneScope } from './pruneScope';
import type { PlannedTensors } from './planned';

async function* plan(model: Model, request: PruneRequest, tools: PlanTools, signal?: AbortSignal): Job<PrunePlan> {
  const scope = pruneScope(model, request);
  let planned: PlannedTensors;
  if (request.pattern !== 'unstructured' || request.scope === 'row') planned = yield* planUnits(model, scope.tensors, request, tools, signal);
  else if (request.scope === 'tensor') planned = yield* planCuts(model, scope.tensors.map((tensor) => [tensor]), request, tools, signal);
  else planned = yield* planCuts(model, [scope.tensors], request, tools, signal);

  return {
    method: 'magnitude',
    request,
    scopeParameters: planned.tensors.reduce((sum, tensor) => sum + tensor.elements, 0),
    selected: planned.selected,
    threshold: planned.threshold,
    rules: planned.rules,
    tensors: planned.tensors,
    problems: [...scope.problems, ...planned.problems],
  };
}

/** The smallest weights go: the plain method that the others are compared with. */
export const magnitude: PruningMethod = {
  id: 'magnitude',
  title: 'Magnitude',
  summary: 'Zeroes the weights with the smallest absolute value; needs no data.',
  defaultScope: 'global',
  scopes: ['global', 'tensor', 'row'],
  patterns: ['unstructured', 'n:m'],
  allocations: ['uniform', 'table'],
  needs: null,
  parameters: [],
  source: null,
  plan,
};
