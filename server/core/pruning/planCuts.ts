import { throwIfCancelled } from '../errors';
import type { Problem } from '../errors';
import type { Job } from '../job';
import type { Model } from '../models/contract';
import { tensorSource } from '../workers/slices';
import { emptyHistogram, refineTensor } from '../workers/tensorTasks';
import type { PlanTools, PrunePlan, PruneRequest, TensorRule } from './contract';
import { follow } from './follow';
import { nanProblem, scanOf } from './planned';
import type { PlannedTensors } from './planned';
import type { ScopeTensor } from './pruneScope';
import { roundHalfEven } from './rounding';
import { selectExact } from './selectExact';
import { valueBytes } from '../tensor/tensorInfo';

/**
 * Unstructured selection: within each set, exactly k = round-half-even(sparsity x N) weights, zeros counted, the smallest
 * first; ties go to the earlier tensor name, then to the lower flat index. One set for the global scope, one a tensor for
 * the tensor scope.
 */
export async function* planCuts(
  model: Model, sets: readonly (readonly ScopeTensor[])[], request: PruneRequest, tools: PlanTools, signal?: AbortSignal,
): Job<PlannedTensors> {
  const rules = new Map<string, TensorRule>(), tensors: PrunePlan['tensors'][number][] = [], problems: Problem[] = [];
  let selected = 0, threshold: number | null = null;
  for (const set of sets) {
    throwIfCancelled(signal);
    const cut = yield* cutSet(model, set, request.sparsity, tools, signal);
    selected += cut.selected;
    threshold = sets.length === 1 ? cut.threshold : null;
    for (const [name, rule] of cut.rules) rules.set(name, rule);
    tensors.push(...cut.tensors);
    problems.push(...cut.problems);
  }
  return { selected, threshold, rules, tensors, problems };
}

async function* cutSet(model: Model, set: readonly ScopeTensor[], sparsity: number, tools: PlanTools, signal?: AbortSignal): Job<PlannedTensors> {
  const scans = set.map((tensor) => scanOf(tools, tensor));
  const sum = (pick: (index: number) => number): number => set.reduce((total, _, i) => total + pick(i), 0);
  const elements = sum((i) => set[i].info.elements), zeros = sum((i) => scans[i].moments.zeros), nan = sum((i) => scans[i].moments.nan);
  const problems = set.flatMap((tensor, i) => nanProblem(model, tensor, scans[i]));
  const wanted = roundHalfEven(sparsity * elements), selected = Math.min(wanted, elements - nan);
  const place = set.length === 1 ? { file: model.checkpoint.files[set[0].info.file].path, tensor: set[0].info.name } : { file: model.checkpoint.path };
  if (selected < wanted) problems.push({ code: 'nan-in-scope', where: place, detail: `${wanted} of ${elements} asked, ${selected} possible` });

  const asTheyAre = set.map(({ info }, i) => ({ name: info.name, elements: info.elements, zerosBefore: scans[i].moments.zeros, zerosAfter: scans[i].moments.zeros }));
  if (selected === 0) return { selected, threshold: null, rules: new Map(), tensors: asTheyAre, problems };
  if (zeros > selected) {
    // The target is a final sparsity: nothing is added, and no bit changes.
    problems.push({ code: 'already-sparser', where: place, detail: `${zeros} of ${elements} are zero (${percent(zeros / elements)}), asked ${selected} (${percent(sparsity)})` });
    return { selected, threshold: 0, rules: new Map(), tensors: asTheyAre, problems };
  }

  const bytes = sum((i) => { const { space } = emptyHistogram(set[i].info.dtype); return space === 'F32' || space === 'F64' ? valueBytes(set[i].info) : 0; });
  const selection = yield* follow({ stage: 'select', unit: 'bytes', total: bytes }, (add) => selectExact(set.map(({ info }, i) => ({
    get histogram() { return scans[i].histogram; }, // looked at one by one: it may lie on disk
    refine: (keys) => refineTensor(tools.pool, tensorSource(model.checkpoint, info, tools.io), keys, signal, add),
  })), selected));

  let ties = selected - selection.counts.reduce((below, { less }) => below + less, 0);
  const rules = new Map<string, TensorRule>();
  const tensors = asTheyAre.map((tensor, i) => {
    const { less, equal } = selection.counts[i], taken = Math.min(ties, equal);
    ties -= taken;
    if (less + taken === 0) return tensor;
    rules.set(tensor.name, { kind: 'cut', threshold: selection.threshold, ties: taken });
    return { ...tensor, zerosAfter: Math.max(tensor.zerosBefore, less + taken) };
  });
  return { selected, threshold: selection.threshold, rules, tensors, problems };
}

const percent = (fraction: number): string => `${Number((fraction * 100).toPrecision(6))} %`;
