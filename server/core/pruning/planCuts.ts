import { throwIfCancelled } from '../errors';
import type { Problem } from '../errors';
import type { Job } from '../job';
import type { Model } from '../models/contract';
import type { TensorScan } from '../stats/contract';
import { tensorSource } from '../workers/slices';
import { emptyHistogram, refineTensor } from '../workers/tensorTasks';
import type { MagnitudeRule, PlanTools, PrunePlan, PruneRequest } from './contract';
import { follow } from './follow';
import { nanProblem, scanOf } from './planned';
import type { PlannedTensors } from './planned';
import type { ScopeTensor } from './pruneScope';
import { roundHalfEven } from './rounding';
import { selectExact } from './selectExact';
import { valueBytes, type TensorInfo } from '../tensor/tensorInfo';

/** A tensor that competes, and the values by which it does: its own, its scores, or those of its blocks. */
export interface Contender {
  readonly tensor: ScopeTensor;
  readonly values: TensorInfo;
  readonly scan: TensorScan;
}

/** What competes with one another, and how many of them go. */
export interface CutSet { readonly contenders: readonly Contender[]; readonly wanted: number }

/** Who competes with whom: all with all, or each tensor within itself. */
export function cutSets(
  request: PruneRequest, tensors: readonly ScopeTensor[], values: readonly TensorInfo[], scanAt: (index: number) => TensorScan, sparsityOf: (tensor: ScopeTensor) => number,
): CutSet[] {
  const contenders = tensors.map((tensor, i) => ({ tensor, values: values[i], scan: scanAt(i) }));
  if (request.scope === 'global') return [{ contenders, wanted: roundHalfEven(request.sparsity * contenders.reduce((sum, one) => sum + one.values.elements, 0)) }];
  return contenders.map((one) => ({ contenders: [one], wanted: roundHalfEven(sparsityOf(one.tensor) * one.values.elements) }));
}

/** Rules are cuts of the contenders' values; their tensors' counts are in values, which for blocks are fewer than the weights. */
export interface PlannedCuts extends PlannedTensors { readonly rules: ReadonlyMap<string, Extract<MagnitudeRule, { kind: 'cut' }>> }

/**
 * Unstructured selection: within each set exactly `wanted` values, zeros counted, the smallest magnitudes first; ties go to
 * the earlier tensor name, then to the lower flat index. One set for the global scope, one a tensor for the tensor scope.
 */
export async function* planCuts(model: Model, sets: readonly CutSet[], tools: PlanTools, signal?: AbortSignal): Job<PlannedCuts> {
  const rules = new Map<string, Extract<MagnitudeRule, { kind: 'cut' }>>(), tensors: PrunePlan['tensors'][number][] = [], problems: Problem[] = [];
  let selected = 0, threshold: number | null = null;
  for (const set of sets) {
    throwIfCancelled(signal);
    const cut = yield* cutSet(model, set, tools, signal);
    selected += cut.selected;
    threshold = sets.length === 1 ? cut.threshold : null;
    for (const [name, rule] of cut.rules) rules.set(name, rule);
    tensors.push(...cut.tensors);
    problems.push(...cut.problems);
  }
  return { selected, threshold, rules, tensors, problems };
}

async function* cutSet(model: Model, { contenders: set, wanted }: CutSet, tools: PlanTools, signal?: AbortSignal): Job<PlannedCuts> {
  const scans = set.map(({ scan }) => scan);
  const sum = (pick: (index: number) => number): number => set.reduce((total, _, i) => total + pick(i), 0);
  const elements = sum((i) => set[i].values.elements), zeros = sum((i) => scans[i].moments.zeros), nan = sum((i) => scans[i].moments.nan);
  const problems = set.flatMap(({ tensor }) => nanProblem(model, tensor, scanOf(tools, tensor)));
  const selected = Math.min(wanted, elements - nan);
  const place = set.length === 1 ? { file: model.checkpoint.files[set[0].values.file].path, tensor: set[0].values.name } : { file: model.checkpoint.path };
  if (selected < wanted) problems.push({ code: 'nan-in-scope', where: place, detail: `${wanted} of ${elements} asked, ${selected} possible` });

  const asTheyAre = set.map(({ values }, i) => ({ name: values.name, elements: values.elements, zerosBefore: scans[i].moments.zeros, zerosAfter: scans[i].moments.zeros }));
  if (selected === 0) return { selected, threshold: null, rules: new Map(), tensors: asTheyAre, problems };
  if (zeros > selected) {
    // The target is a final sparsity: nothing is added, and no bit changes.
    problems.push({ code: 'already-sparser', where: place, detail: `${zeros} of ${elements} are zero (${percent(zeros / elements)}), asked ${selected} (${percent(wanted / elements)})` });
    return { selected, threshold: 0, rules: new Map(), tensors: asTheyAre, problems };
  }

  const bytes = sum((i) => { const { space } = emptyHistogram(set[i].values.dtype); return space === 'F32' || space === 'F64' ? valueBytes(set[i].values) : 0; });
  const selection = yield* follow({ stage: 'select', unit: 'bytes', total: bytes }, (add) => selectExact(set.map(({ values }, i) => ({
    get histogram() { return scans[i].histogram; }, // looked at one by one: it may lie on disk
    refine: (keys) => refineTensor(tools.pool, tensorSource(model.checkpoint, values, tools.io), keys, signal, add),
  })), selected));

  let ties = selected - selection.counts.reduce((below, { less }) => below + less, 0);
  const rules = new Map<string, Extract<MagnitudeRule, { kind: 'cut' }>>();
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
