import { throwIfCancelled } from '../../errors';
import type { Job } from '../../job';
import type { Model } from '../../models/contract';
import type { PlanTools, PrunePlan, PruneRequest, PruningMethod } from '../contract';
import { goneOf, planUnitChoice, refuseGlobs } from './planStructure';
import { neuronGroups, requireStructure } from './units';

async function* plan(model: Model, request: PruneRequest, tools: PlanTools, signal?: AbortSignal): Job<PrunePlan> {
  throwIfCancelled(signal);
  refuseGlobs('neurons', request);
  const groups = neuronGroups(model), { keys } = requireStructure(model);
  const gone = goneOf(groups[0].units, request.sparsity, request.parameters?.['multiple-of'] ?? 1);
  return yield* planUnitChoice({ unit: 'neurons', groups, gone, config: { [keys.inner!]: groups[0].units - gone }, problems: [] }, model, request, tools, signal);
}

/** Whole neurons of the MLPs, the same number from every block. */
export const neurons: PruningMethod = {
  id: 'neurons',
  title: 'Neurons',
  summary: 'Takes the neurons with the smallest weights, or with a calibration text those that pass least on, out of every MLP: a smaller, faster model.',
  defaultScope: 'tensor',
  scopes: ['tensor'],
  patterns: ['unstructured'],
  allocations: ['uniform'],
  needs: null,
  takes: 'norms',
  structured: true,
  parameters: [{ name: 'multiple-of', title: 'Multiple of', help: 'neurons that stay in a block are a multiple of this (64 suits most hardware)', fallback: 1, min: 1, max: 4096, whole: true }],
  source: null,
  plan,
};
