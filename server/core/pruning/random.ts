import type { PruningMethod } from './contract';
import { planPlain, type Scoring } from './planByScore';
import { scoreBase } from './scoreTensors';

const scoring: Scoring = async function* ({ request }, tensor) {
  return { ...scoreBase(tensor), how: { kind: 'random', seed: request.seed, key: tensor.info.name } };
};

/** Weights go by lot: what any other method has to beat. Zeros go first, so that an already sparse tensor keeps its zeros. */
export const random: PruningMethod = {
  id: 'random',
  title: 'Random',
  summary: 'Zeroes weights by lot, from a seed: the baseline that every method must beat.',
  defaultScope: 'global',
  scopes: ['global', 'tensor', 'row'],
  patterns: ['unstructured', 'n:m', 'block'],
  allocations: ['uniform', 'table'],
  needs: null,
  parameters: [],
  source: null,
  plan: (model, request, tools, signal) => planPlain('random', model, request, scoring, tools, signal),
};
