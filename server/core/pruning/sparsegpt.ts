import type { BlockStatistics } from '../calibration/contract';
import { CheckpointError } from '../errors';
import type { Problem } from '../errors';
import type { Job } from '../job';
import type { Model } from '../models/contract';
import { chooseProvider } from '../runtime/providers';
import type { PlanTools, PrunePlan, PruneRequest, PruningMethod, TensorRule } from './contract';
import { patternText } from './pattern';
import { nanProblem, scanOf } from './planned';
import { openProducts, type Products } from './products';
import { pruneScope, type ScopeTensor } from './pruneScope';
import { roundHalfEven } from './rounding';
import { sparseGptTensor } from './sparsegptTensor';

interface Outcome { readonly rule: TensorRule | null; readonly selected: number; readonly zerosAfter: number; readonly problems: readonly Problem[] }

async function* plan(model: Model, request: PruneRequest, tools: PlanTools, signal?: AbortSignal): Job<PrunePlan> {
  if (tools.calibrate === null || !request.calibration) throw new CheckpointError('calibration-needed', { file: model.checkpoint.path }, 'sparsegpt');
  const scope = pruneScope(model, request), byName = new Map(scope.tensors.map((tensor) => [tensor.info.name, tensor]));
  const outcomes = new Map<string, Outcome>();
  const provider = await chooseProvider(request.calibration.provider), products = openProducts(provider, request.calibration.threads);

  async function* pruneBlock({ block, blocks, inputs }: BlockStatistics): Job<ReadonlyMap<string, TensorRule>> {
    const rules = new Map<string, TensorRule>();
    for (const [i, [name, statistics]] of [...inputs].entries()) {
      yield { stage: 'prune', done: i, total: inputs.size, unit: 'tensors', note: `block ${block + 1} of ${blocks}` };
      const tensor = byName.get(name);
      if (!tensor) continue;
      const outcome = await pruneTensor(model, tensor, statistics, request, products, tools, signal);
      outcomes.set(name, outcome);
      if (outcome.rule) rules.set(name, outcome.rule);
    }
    return rules;
  }

  try {
    const calibration = yield* tools.calibrate('hessians', new Set(byName.keys()), pruneBlock, signal);
    const rest: Outcome = { rule: null, selected: 0, zerosAfter: 0, problems: [] };
    const done = scope.tensors.map((tensor) => {
      const { info } = tensor, { zeros } = scanOf(tools, tensor).moments;
      const unseen = (): Outcome => ({ ...rest, zerosAfter: zeros, problems: [{ code: 'inputs-unknown', where: placeOf(model, tensor), detail: `${info.shape.join(' x ')}` }] });
      return { info, zeros, outcome: outcomes.get(info.name) ?? unseen() };
    });
    return {
      method: 'sparsegpt', request, threshold: null, calibration,
      scopeParameters: done.reduce((sum, { info }) => sum + info.elements, 0),
      selected: done.reduce((sum, { outcome }) => sum + outcome.selected, 0),
      rules: new Map(done.flatMap(({ info, outcome }) => (outcome.rule ? [[info.name, outcome.rule] as const] : []))),
      tensors: done.map(({ info, zeros, outcome }) => ({ name: info.name, elements: info.elements, zerosBefore: zeros, zerosAfter: outcome.zerosAfter })),
      problems: [...scope.problems, ...done.flatMap(({ outcome }) => outcome.problems)],
    };
  } finally {
    await products.close();
  }
}

const placeOf = (model: Model, { info }: ScopeTensor): Problem['where'] => ({ file: model.checkpoint.files[info.file].path, tensor: info.name });

async function pruneTensor(
  model: Model, tensor: ScopeTensor, statistics: Parameters<typeof sparseGptTensor>[2], request: PruneRequest, products: Products, tools: PlanTools, signal?: AbortSignal,
): Promise<Outcome> {
  const { info, role } = tensor, scan = scanOf(tools, tensor), { zeros, nan, inf } = scan.moments, where = placeOf(model, tensor);
  const orientation = role.orientation ?? 'out-in', { pattern, sparsity } = request;
  const asItIs = (problems: readonly Problem[]): Outcome => ({ rule: null, selected: 0, zerosAfter: zeros, problems });
  if (nan > 0) return asItIs(nanProblem(model, tensor, scan));
  // One infinite weight would make every weight of its row infinite.
  if (inf > 0) return asItIs([{ code: 'nan-in-scope', where, detail: `${inf} infinite values; it is left as it is` }]);
  if (pattern !== 'unstructured' && !('of' in pattern)) throw new CheckpointError('unsupported-pattern', where, patternText(pattern));
  const inputs = info.shape[info.shape.length - (orientation === 'out-in' ? 1 : 2)], problems: Problem[] = [];
  const selected = pattern === 'unstructured' ? roundHalfEven(sparsity * info.elements) : (info.elements / inputs) * Math.floor(inputs / pattern.of) * (pattern.of - pattern.keep);
  if (pattern !== 'unstructured' && inputs % pattern.of !== 0) {
    problems.push({ code: 'ragged-groups', where, detail: `${patternText(pattern)} on ${inputs} inputs: the last ${inputs % pattern.of} of each row are not pruned` });
  }
  if (selected === 0) return asItIs(problems);
  if (pattern === 'unstructured' && zeros > selected) {
    return { ...asItIs([{ code: 'already-sparser', where, detail: `${zeros} of ${info.elements} are zero, asked ${selected}` }]), selected };
  }
  const value = (name: string): number => request.parameters?.[name] ?? parameters.find((one) => one.name === name)!.fallback;
  const made = await sparseGptTensor(model, info, statistics, { sparsity, pattern, orientation, blockSize: value('block-size'), damping: value('damping') }, products, tools, signal);
  problems.push(...made.problems);
  if (!made.values) return asItIs(problems);
  return { rule: { kind: 'values', values: made.values }, selected, zerosAfter: made.zeros, problems };
}

const parameters: PruningMethod['parameters'] = [
  { name: 'block-size', title: 'Block size', help: 'Inputs whose weights are chosen together, in the order of the inputs.', fallback: 128, min: 1, max: 1024, whole: true },
  { name: 'damping', title: 'Damping', help: 'Added to the diagonal of the Hessian, as a fraction of its mean.', fallback: 0.01, min: 0, max: 1, whole: false },
];

/** Chooses by what the outputs would lose, and makes up for it with the weights that stay. */
export const sparsegpt: PruningMethod = {
  id: 'sparsegpt',
  title: 'SparseGPT',
  summary: 'Zeroes what the outputs miss least on calibration text, block by block, and changes the weights that stay to make up for it.',
  defaultScope: 'tensor',
  scopes: ['tensor'],
  patterns: ['unstructured', 'n:m'],
  allocations: ['uniform'],
  needs: 'hessians',
  parameters,
  source: 'Frantar and Alistarh 2023, SparseGPT',
  plan,
};
