import type { CalibrationSummary } from '../../calibration/contract';
import { CheckpointError } from '../../errors';
import type { Problem } from '../../errors';
import type { Checkpoint } from '../../formats/contract';
import type { Job } from '../../job';
import type { Model } from '../../models/contract';
import type { PlanTools, PrunePlan, PruneRequest, StructurePlan } from '../contract';
import { roundHalfEven } from '../rounding';
import { outputNorms, scoreUnits } from './scoreUnits';
import { shrinkUnits } from './shrink';
import type { UnitGroup } from './units';

/** How many of `units` go: round-half-even(sparsity x units), at least one stays; those that stay are a multiple of `multiple`, rounded up, where that is possible. */
export function goneOf(units: number, sparsity: number, multiple = 1): number {
  const kept = Math.max(1, units - roundHalfEven(sparsity * units)), rounded = Math.ceil(kept / multiple) * multiple;
  return units - Math.min(units, rounded);
}

/** The `gone` lowest scores go, ties by place; answers what stays, in rising order. `protectedUnits` never go. */
export function keepBest(scores: Float64Array, gone: number, protectedUnits: ReadonlySet<number> = new Set()): readonly number[] {
  const order = [...scores.keys()].filter((unit) => !protectedUnits.has(unit)).sort((a, b) => scores[a] - scores[b] || a - b);
  const leaves = new Set(order.slice(0, gone));
  return [...scores.keys()].filter((unit) => !leaves.has(unit));
}

/** Globs name tensors; units span many. @throws CheckpointError `usage` */
export function refuseGlobs(method: string, request: PruneRequest): void {
  if (request.include.length + request.exclude.length > 0) throw new CheckpointError('usage', {}, `${method} takes the same number of units from every block: --include and --exclude do not apply`);
}

/** A choice among heads or neurons: how many of each group's units go, and what the configuration says then. */
export interface UnitChoice { readonly unit: 'heads' | 'neurons'; readonly groups: readonly UnitGroup[]; readonly gone: number; readonly config: Readonly<Record<string, unknown>>; readonly problems: readonly Problem[] }

/** Scores the units of every group, keeps the best, and plans the checkpoint without the others. Groups have the same number of units. */
export async function* planUnitChoice({ unit, groups, gone, config, problems }: UnitChoice, model: Model, request: PruneRequest, tools: PlanTools, signal?: AbortSignal): Job<PrunePlan> {
  const fed = yield* outputNorms(groups, tools, signal), scores = yield* scoreUnits(model.checkpoint, groups, fed?.norms ?? null, tools.io, signal);
  const kept = scores.map((score) => keepBest(score, gone));
  const shrunk = shrinkUnits(model.checkpoint, groups.flatMap(({ parts, units }, i) => parts.map((part) => ({ part, units, kept: kept[i] }))), config);
  const structure = { unit, kept: groups.map(({ block, units }, i) => ({ block, of: units, units: kept[i] })), shrunk };
  return structurePlan(unit, model, request, structure, new Set(groups.flatMap(({ parts }) => parts.map(({ info }) => info.name))), problems, fed?.summary);
}

/** Puts the plan together: what each tensor of the old checkpoint loses is counted against the new one. */
export function structurePlan(method: string, model: Model, request: PruneRequest, structure: StructurePlan, competing: ReadonlySet<string>, problems: readonly Problem[], calibration?: CalibrationSummary): PrunePlan {
  const copies = new Map(model.tied.flatMap((group) => group.slice(1).map((copy) => [copy, group[0]] as const)));
  const after = elementsAfter(model.checkpoint, structure.shrunk);
  const tensors = model.checkpoint.tensors.filter(({ name }) => competing.has(name) && !copies.has(name)).map(({ name, elements }) => ({ name, elements, zerosBefore: 0, zerosAfter: elements - (after.get(name) ?? 0) }));
  return {
    method, request, structure, threshold: null, rules: new Map(), tensors, problems, ...(calibration && { calibration }),
    scopeParameters: tensors.reduce((sum, { elements }) => sum + elements, 0),
    selected: tensors.reduce((sum, { zerosAfter }) => sum + zerosAfter, 0),
  };
}

/** Elements of every old tensor that are left: a tensor is followed by its bytes, since blocks are renumbered. */
function elementsAfter(before: Checkpoint, after: Checkpoint): ReadonlyMap<string, number> {
  const place = ({ file, from, to, storedName, encoding }: Checkpoint['tensors'][number]): string => `${file}:${from}:${to}:${storedName ?? ''}:${encoding?.[0]?.kind === 'slice' ? JSON.stringify(encoding[0]) : ''}`;
  const left = new Map<string, number[]>();
  for (const info of after.tensors) left.set(place(info), [...(left.get(place(info)) ?? []), info.elements]);
  return new Map(before.tensors.map((info) => [info.name, left.get(place(info))?.shift() ?? 0]));
}
