import { CheckpointError } from '../errors';
import type { Problem } from '../errors';
import type { Job } from '../job';
import type { Model } from '../models/contract';
import type { Allocation, PlanTools, PruneRequest, PruningMethod } from './contract';
import { globMatcher } from './glob';
import { denseStatistics, type DenseStatistics } from './inputNorms';
import { outlierShares, owlSparsities } from './owl';
import { isGroups } from './pattern';
import type { ScopeTensor } from './pruneScope';
import { roundHalfEven } from './rounding';
import { extentOf } from './scoreTensors';

/** Every kind of allocation, the plain one first. */
export const allocationKinds: readonly Allocation['kind'][] = ['uniform', 'owl', 'table'];
/** What the paper of OWL uses for most of its models. */
export const OWL_DEFAULTS = { m: 5, lambda: 0.08 } as const;

/** How the total was dealt out. */
export interface Allocated {
  /** Sparsity of each tensor by name; null: every tensor gets the request's. */
  readonly sparsities: ReadonlyMap<string, number> | null;
  readonly problems: readonly Problem[];
  /** What was gathered on the way, for methods that look at the model as it is too. */
  readonly statistics: DenseStatistics | null;
}

/**
 * Refuses what makes no sense: an allocation that the method does not take, one beside the global scope (which deals out the total by
 * itself) or beside N:M (which gives every group the same).
 *
 * @throws CheckpointError `unsupported-allocation`
 */
export function checkAllocation(method: PruningMethod, { allocation, scope, pattern }: Pick<PruneRequest, 'allocation' | 'scope' | 'pattern'>): void {
  if (!allocation || allocation.kind === 'uniform') return;
  const refuse = (why: string): never => { throw new CheckpointError('unsupported-allocation', { key: allocation.kind }, why); };
  if (!method.allocations.includes(allocation.kind)) refuse(`${method.id} takes ${method.allocations.join(', ')}`);
  if (isGroups(pattern)) refuse('an N:M pattern gives every group the same sparsity');
  if (scope === 'global') refuse('the global scope deals out the total by itself; use the scope tensor or row');
}

/**
 * The sparsity of each tensor. Within a tensor (or a row) the count is then rounded as always: k = round-half-even(sparsity x weights); see `inWholeWeights`.
 *
 * @throws CheckpointError `bad-allocation` where a table leaves more or less than the other tensors can give, `no-match`, and as `denseStatistics`
 */
export async function* allocate(model: Model, tensors: readonly ScopeTensor[], request: PruneRequest, tools: PlanTools, signal?: AbortSignal): Job<Allocated> {
  const { allocation } = request;
  if (allocation?.kind === 'table') return { ...fromTable(model, tensors, request.sparsity, allocation.entries), statistics: null };
  if (allocation?.kind !== 'owl') return { sparsities: null, problems: [], statistics: null };
  const statistics = yield* denseStatistics(tensors, 'norms', tools, signal);
  const seen = tensors.filter(({ info }) => statistics.inputs.has(info.name));
  const { blocks, blockIndexOf } = yield* outlierShares(model, seen, allocation, statistics, tools, signal);
  const ofBlock = owlSparsities(blocks, request.sparsity, allocation);
  const sparsities = new Map(seen.map(({ info }) => [info.name, ofBlock[blockIndexOf.get(info.name)!]]));
  return { sparsities, problems: remark(model, tensors, sparsities, request.sparsity), statistics };
}

/** The first glob that names a tensor decides; what is left of the total is shared evenly by tensors that none names. */
function fromTable(model: Model, tensors: readonly ScopeTensor[], sparsity: number, entries: Extract<Allocation, { kind: 'table' }>['entries']): Pick<Allocated, 'sparsities' | 'problems'> {
  const place = { file: model.checkpoint.path };
  const globs = entries.map((entry) => ({ ...entry, matches: globMatcher(entry.glob), used: false }));
  const sparsities = new Map<string, number>(), rest: ScopeTensor[] = [];
  let weights = 0, named = 0, free = 0;
  for (const tensor of tensors) {
    const { name, elements } = tensor.info;
    for (const one of globs) if (one.matches(name)) one.used = true;
    const entry = globs.find(({ matches }) => matches(name));
    weights += elements;
    if (entry) { sparsities.set(name, entry.sparsity); named += entry.sparsity * elements; } else { rest.push(tensor); free += elements; }
  }
  const idle = globs.find(({ used }) => !used);
  if (idle) throw new CheckpointError('no-match', { ...place, key: idle.glob }, `the allocation ${idle.glob} names none of ${tensors.length} tensors in scope`);
  if (free > 0) {
    const left = (sparsity * weights - named) / free;
    if (left < -1e-9 || left > 1 + 1e-9) {
      throw new CheckpointError('bad-allocation', place, `${sparsity} of ${weights} weights are asked, the table takes ${Math.round(named)}, and the ${free} weights of other tensors would need sparsity ${Number(left.toPrecision(4))}`);
    }
    for (const { info } of rest) sparsities.set(info.name, Math.min(1, Math.max(0, left)));
  }
  return { sparsities, problems: remark(model, tensors, sparsities, sparsity) };
}

/**
 * Sparsities that whole weights can have. A tensor, and in the row scope each of its rows, loses a whole number of them; tensors are rounded up,
 * those with the largest remainder first, while that brings the total nearer to k = round-half-even(sparsity x weights), or to what the sparsities come to where that is another
 * total. In the tensor scope the total is then k exactly; in the row scope it is missed by at most half the outputs of one tensor.
 */
export function inWholeWeights(tensors: readonly ScopeTensor[], sparsities: ReadonlyMap<string, number>, { scope, sparsity }: Pick<PruneRequest, 'scope' | 'sparsity'>): ReadonlyMap<string, number> {
  const parts = tensors.filter(({ info }) => sparsities.has(info.name)).map((tensor) => {
    const inputs = scope === 'row' ? extentOf(tensor).inputs : tensor.info.elements, ideal = sparsities.get(tensor.info.name)! * inputs, whole = Math.floor(ideal);
    return { name: tensor.info.name, inputs, rows: inputs === 0 ? 0 : tensor.info.elements / inputs, whole, rest: ideal - whole, elements: tensor.info.elements };
  });
  const elements = parts.reduce((sum, part) => sum + part.elements, 0), ideal = parts.reduce((sum, { rows, whole, rest }) => sum + rows * (whole + rest), 0);
  // A table that names everything, or the published mean, means another total than is asked: then its own is kept to.
  const total = roundHalfEven(Math.abs(ideal - sparsity * elements) < 1e-6 * elements ? sparsity * elements : ideal);
  let missing = total - parts.reduce((sum, { rows, whole }) => sum + rows * whole, 0);
  const counts = new Map(parts.map(({ name, whole }) => [name, whole]));
  // A stable sort: equal remainders in the order of names.
  for (const { name, rows, rest, whole } of [...parts].sort((a, b) => b.rest - a.rest)) {
    if (rest === 0 || missing < rows / 2) continue;
    counts.set(name, whole + 1);
    missing -= rows;
  }
  return new Map(parts.map(({ name, inputs }) => [name, inputs === 0 ? 0 : counts.get(name)! / inputs]));
}

/** Says so where an allocation does not give the total that was asked: a table that names everything, or the published mean over blocks. */
function remark(model: Model, tensors: readonly ScopeTensor[], sparsities: ReadonlyMap<string, number>, asked: number): Problem[] {
  const weights = tensors.reduce((sum, { info }) => sum + info.elements, 0), given = tensors.reduce((sum, { info }) => sum + info.elements * (sparsities.get(info.name) ?? asked), 0) / weights;
  if (weights === 0 || Math.abs(given - asked) < 1e-6) return [];
  return [{ code: 'allocation-total', where: { file: model.checkpoint.path }, detail: `${percent(given)} of the weights in scope, ${percent(asked)} asked` }];
}

const percent = (fraction: number): string => `${Number((fraction * 100).toPrecision(5))} %`;
