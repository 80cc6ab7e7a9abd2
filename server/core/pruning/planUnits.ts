import { CheckpointError, throwIfCancelled } from '../errors';
import type { Problem } from '../errors';
import type { Job } from '../job';
import type { Model } from '../models/contract';
import type { PlanTools, PrunePlan, PruneRequest, TensorRule } from './contract';
import { countUnits } from './countUnits';
import { isGroups, patternText } from './pattern';
import { nanProblem, scanOf } from './planned';
import type { PlannedTensors } from './planned';
import type { ScopeTensor } from './pruneScope';
import { roundHalfEven } from './rounding';

/** How many weights one unit has and loses; a unit is one row, or one group of a row. */
interface UnitShape { readonly length: number; readonly selected: number; readonly rule: TensorRule | null }

/**
 * Selection inside units along the input axis: each row on its own, or each whole group of N:M. GPT-2's Conv1D stores
 * (in, out): there the units run down the columns. Counts are exact: where a tensor has neither zeros nor NaN they follow
 * from its shape, else one more pass counts them.
 */
export async function* planUnits(
  model: Model, scope: readonly ScopeTensor[], request: PruneRequest, sparsityOf: (tensor: ScopeTensor) => number, tools: PlanTools, signal?: AbortSignal,
): Job<PlannedTensors> {
  const rules = new Map<string, TensorRule>(), tensors: PrunePlan['tensors'][number][] = [], problems: Problem[] = [];
  let selected = 0;
  for (const [i, tensor] of scope.entries()) {
    throwIfCancelled(signal);
    yield { stage: 'select', done: i, total: scope.length, unit: 'tensors' };
    const { info } = tensor, { moments } = scanOf(tools, tensor);
    const orientation = tensor.role.orientation ?? 'out-in', place = { file: model.checkpoint.files[info.file].path, tensor: info.name };
    if (info.shape.length < 2) {
      throw new CheckpointError(request.pattern === 'unstructured' ? 'unsupported-scope' : 'unsupported-pattern', place, `shape [${info.shape.join(', ')}] has no input axis`);
    }
    const inputs = info.shape[info.shape.length - (orientation === 'out-in' ? 1 : 2)];
    const unit = unitShape(request, sparsityOf(tensor), inputs, orientation);
    problems.push(...nanProblem(model, tensor, scanOf(tools, tensor)));
    if (request.pattern !== 'unstructured' && inputs % unit.length !== 0) {
      problems.push({ code: 'ragged-groups', where: place, detail: `${patternText(request.pattern)} on ${inputs} inputs: the last ${inputs % unit.length} of each row are left alone` });
    }
    const units = info.elements === 0 ? 0 : (info.elements / inputs) * Math.floor(inputs / unit.length);
    const before = { name: info.name, elements: info.elements, zerosBefore: moments.zeros };
    if (unit.rule === null || unit.selected === 0 || units === 0) { tensors.push({ ...before, zerosAfter: moments.zeros }); continue; }
    if (moments.zeros === 0 && moments.nan === 0) {
      selected += units * unit.selected;
      rules.set(info.name, unit.rule);
      tensors.push({ ...before, zerosAfter: units * unit.selected });
      continue;
    }
    const counts = await countUnits(model.checkpoint.files[info.file], info, { ...unit, inputs, orientation }, tools.io, signal);
    selected += counts.selected;
    tensors.push({ ...before, zerosAfter: counts.zerosAfter });
    if (counts.unitsAlreadySparser < counts.units) rules.set(info.name, unit.rule);
    else {
      problems.push({ code: 'already-sparser', where: place, detail: `${moments.zeros} of ${info.elements} are zero; every ${request.pattern === 'unstructured' ? 'row' : 'group'} has more than the ${unit.selected} of ${unit.length} asked` });
    }
  }
  return { selected, threshold: null, rules, tensors, problems };
}

function unitShape(request: PruneRequest, sparsity: number, inputs: number, orientation: 'out-in' | 'in-out'): UnitShape {
  if (isGroups(request.pattern)) {
    const { keep, of } = request.pattern;
    return { length: of, selected: of - keep, rule: { kind: 'groups', keep, of, orientation } };
  }
  const selected = roundHalfEven(sparsity * inputs);
  return { length: Math.max(inputs, 1), selected, rule: { kind: 'rows', selected, orientation } };
}
