import { sumsTensor } from '../workers/tensorTasks';
import { tensorSource } from '../workers/slices';
import type { MethodParameter, PruningMethod } from './contract';
import { planCalibrated, type Scoring } from './planByScore';
import { scoreBase } from './scoreTensors';

const power: MethodParameter = {
  name: 'ria-power', title: 'Power of the norm', help: 'how much the norm of an input counts: its power in the score; 0 leaves it out', fallback: 0.5, min: 0, max: 4, whole: false,
};

const scoring: Scoring = async function* ({ model, request, tools }, tensor, norms, signal) {
  yield { stage: 'sums', done: 0, total: null, unit: 'bytes', note: tensor.info.name };
  const base = scoreBase(tensor);
  const { rows, columns } = await sumsTensor(tools.pool, { ...tensorSource(model.checkpoint, tensor.info, tools.io) }, signal);
  const [outputSums, inputSums] = base.orientation === 'out-in' ? [rows, columns] : [columns, rows];
  return { ...base, how: { kind: 'ria', norms, outputSums, inputSums, power: request.parameters?.[power.name] ?? power.fallback } };
};

/** |w| as a share of what its output and its input weigh, times the norm of the input to a power; without the paper's permutation of channels. */
export const ria: PruningMethod = {
  id: 'ria',
  title: 'RIA',
  summary: 'Zeroes the weights that matter least to their output and their input, weighed by the norm of the input; needs a calibration text.',
  defaultScope: 'row',
  scopes: ['global', 'tensor', 'row'],
  patterns: ['unstructured', 'n:m', 'block'],
  allocations: ['uniform', 'owl', 'table'],
  needs: 'norms',
  parameters: [power],
  source: 'Zhang et al. 2024, Plug-and-Play: An Efficient Post-training Pruning Method for Large Language Models',
  plan: (model, request, tools, signal) => planCalibrated('ria', model, request, scoring, tools, signal),
};
