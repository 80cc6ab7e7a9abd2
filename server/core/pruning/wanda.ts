import type { PruningMethod } from './contract';
import { planCalibrated, type Scoring } from './planByScore';
import { scoreBase } from './scoreTensors';

const scoring: Scoring = async function* (_, tensor, norms) {
  return { ...scoreBase(tensor), how: { kind: 'wanda', norms } };
};

/** |w| times the norm of its input channel. The paper compares within each output. */
export const wanda: PruningMethod = {
  id: 'wanda',
  title: 'Wanda',
  summary: 'Zeroes the weights with the smallest product of size and norm of their input; needs a calibration text.',
  defaultScope: 'row',
  scopes: ['global', 'tensor', 'row'],
  patterns: ['unstructured', 'n:m', 'block'],
  allocations: ['uniform', 'owl', 'table'],
  needs: 'norms',
  parameters: [],
  source: 'Sun et al. 2024, A Simple and Effective Pruning Approach for Large Language Models',
  plan: (model, request, tools, signal) => planCalibrated('wanda', model, request, scoring, tools, signal),
};
