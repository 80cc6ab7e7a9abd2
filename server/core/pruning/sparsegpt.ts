import type { BlockStatistics, InputStatistics } from '../calibration/contract';
import { CheckpointError } from '../errors';
import type { Problem } from '../errors';
import type { Job } from '../job';
import type { Model } from '../models/contract';
import { chooseProvider } from '../runtime/providers';
import { allocate } from './allocation';
import type { PlanTools, PrunePlan, PruneRequest, PruningMethod, TensorRule } from './contract';
import { calibrateWith, leftAlone } from './inputNorms';
import { isBlock, isGroups, patternText } from './pattern';
import { nanProblem, scanOf, type PlannedTensors } from './planned';
import { openProducts, type Products } from './products';
import { pruneScope, type ScopeTensor } from './pruneScope';
import { pruningPlan } from './pruningPlan';
import { roundHalfEven } from './rounding';
import { extentOf, scoreBase } from './scoreTensors';
import { makeHessians, sparseGptTensor, type Hessians } from './sparsegptTensor';

async function* plan(model: Model, request: PruneRequest, tools: PlanTools, signal?: AbortSignal): Job<PrunePlan> {
  const calibrate = calibrateWith(tools), scope = pruneScope(model, request), byName = new Map(scope.tensors.map((tensor) => [tensor.info.name, tensor]));
  const { sparsities, problems } = yield* allocate(model, scope.tensors, request, tools, signal);
  const { provider, threads } = request.calibration ?? { provider: 'cpu', threads: 1 };
  const products = openProducts(await chooseProvider(provider), threads), parts = new Map<string, PlannedTensors>();
  const means: Means = { hessians: makeHessians(parameter(request, 'damping'), products, tools), products, tools };

  async function* pruneBlock({ block, blocks, inputs }: BlockStatistics): Job<ReadonlyMap<string, TensorRule>> {
    const rules = new Map<string, TensorRule>();
    for (const [i, [name, statistics]] of [...inputs].entries()) {
      yield { stage: 'prune', done: i, total: inputs.size, unit: 'tensors', note: `block ${block + 1} of ${blocks}` };
      const tensor = byName.get(name);
      if (!tensor) continue;
      const part = await pruneTensor(model, tensor, statistics, { ...request, sparsity: sparsities?.get(name) ?? request.sparsity }, means, signal);
      parts.set(name, part);
      for (const [one, rule] of part.rules) rules.set(one, rule);
    }
    return rules;
  }

  try {
    const calibration = yield* calibrate('hessians', new Set(byName.keys()), pruneBlock, signal);
    const unseen = leftAlone(model, scope.tensors.filter(({ info }) => !parts.has(info.name)), tools);
    return pruningPlan('sparsegpt', request, scope, [...parts.values(), unseen], { problems, calibration });
  } finally {
    await products.close();
  }
}

interface Means { readonly hessians: Hessians; readonly products: Products; readonly tools: PlanTools }

const parameter = (request: PruneRequest, name: string): number => request.parameters?.[name] ?? parameters.find((one) => one.name === name)!.fallback;

async function pruneTensor(model: Model, tensor: ScopeTensor, statistics: InputStatistics, request: PruneRequest, means: Means, signal?: AbortSignal): Promise<PlannedTensors> {
  const { info } = tensor, scan = scanOf(means.tools, tensor), { zeros, nan, inf } = scan.moments, where = { file: model.checkpoint.files[info.file].path, tensor: info.name };
  const { orientation } = scoreBase(tensor), { inputs } = extentOf(tensor), { pattern, sparsity } = request;
  const part = (selected: number, rule: TensorRule | null, zerosAfter: number, problems: readonly Problem[]): PlannedTensors => (
    { selected, threshold: null, rules: new Map(rule ? [[info.name, rule]] : []), tensors: [{ name: info.name, elements: info.elements, zerosBefore: zeros, zerosAfter }], problems });
  const asItIs = (...problems: Problem[]): PlannedTensors => part(0, null, zeros, problems);
  if (nan > 0) return asItIs(...nanProblem(model, tensor, scan));
  // One infinite weight would make every weight of its output infinite.
  if (inf > 0) return asItIs({ code: 'infinite-in-scope', where, detail: `${inf} of ${info.elements}` });
  if (isBlock(pattern)) throw new CheckpointError('unsupported-pattern', { key: patternText(pattern) }, 'sparsegpt takes no blocks');
  const problems: Problem[] = [];
  if (isGroups(pattern) && inputs % pattern.of !== 0) {
    problems.push({ code: 'ragged-groups', where, detail: `${patternText(pattern)} on ${inputs} inputs: the last ${inputs % pattern.of} of each row are not pruned` });
  }
  const selected = isGroups(pattern) ? (info.elements / inputs) * Math.floor(inputs / pattern.of) * (pattern.of - pattern.keep) : roundHalfEven(sparsity * info.elements);
  if (info.elements === 0 || selected === 0) return asItIs(...problems);
  if (!isGroups(pattern) && zeros > selected) return part(selected, null, zeros, [{ code: 'already-sparser', where, detail: `${zeros} of ${info.elements} are zero, asked ${selected}` }]);
  const options = { sparsity, pattern, orientation, blockSize: parameter(request, 'block-size'), damping: parameter(request, 'damping') };
  const made = await sparseGptTensor(model, tensor, statistics, options, means, signal);
  return made.values ? part(selected, { kind: 'values', values: made.values }, made.zeros, [...problems, ...made.problems]) : asItIs(...problems, ...made.problems);
}

const parameters: PruningMethod['parameters'] = [
  { name: 'block-size', title: 'Block size', help: 'inputs whose weights are chosen together, in the order of the inputs', fallback: 128, min: 1, max: 1024, whole: true },
  { name: 'damping', title: 'Damping', help: 'added to the diagonal of the Hessian, as a fraction of its mean', fallback: 0.01, min: 0, max: 1, whole: false },
];

/** Chooses by what the outputs would lose, and makes up for it with the weights that stay. */
export const sparsegpt: PruningMethod = {
  id: 'sparsegpt',
  title: 'SparseGPT',
  summary: 'Zeroes what the outputs miss least on calibration text, block by block, and changes the weights that stay to make up for it.',
  defaultScope: 'tensor',
  scopes: ['tensor'],
  patterns: ['unstructured', 'n:m'],
  allocations: ['uniform', 'owl', 'table'],
  needs: 'hessians',
  parameters,
  source: 'Frantar and Alistarh 2023, SparseGPT: Massive Language Models Can be Accurately Pruned in One-Shot',
  plan,
};
