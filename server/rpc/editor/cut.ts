/** Exact cuts: the threshold for a target sparsity over the prunable set, or the sparsity at a threshold. */
import type { IoMode } from '../../core/bytes/byteSource';
import { CheckpointError, throwIfCancelled } from '../../core/errors';
import type { Moments } from '../../core/stats/contract';
import { countAtMost } from '../../core/stats/histogram';
import type { SliceSource, WorkerAnswers, WorkerPool } from '../../core/workers/contract';
import { countAt, refineTensor } from '../../core/workers/tensorTasks';
import { tensorSource } from '../../core/workers/slices';
import { pruneScope } from '../../core/pruning/pruneScope';
import { roundHalfEven } from '../../core/pruning/rounding';
import { selectExact } from '../../core/pruning/selectExact';
import { MAX_IDS, type Cut, type Params } from '../../protocol/editor';
import { num } from '../encode';
import type { OpenModel } from './openModels';
import { elementsOf, type ViewTensor } from './view';

/** Inner counts of coarse bins kept in memory, as (value, count) pairs of 16 bytes. */
const MAX_REFINED_PAIRS = 4 << 20;

interface Tools { readonly pool: WorkerPool; readonly io: IoMode; readonly signal: AbortSignal }

/**
 * The exact threshold and counts for a target sparsity of the prunable set (global scope), or for a threshold. Answers at most MAX_IDS nodes.
 *
 * @throws CheckpointError `usage` for both or neither, `bad-sparsity`, `cancelled`, and what reading throws
 */
export async function exactCut(opened: OpenModel, { sparsity, threshold, ids }: Params<'cut'>, tools: Tools): Promise<Cut> {
  if ((sparsity === null) === (threshold === null)) throw new CheckpointError('usage', {}, 'cut takes a sparsity or a threshold');
  if (sparsity !== null && !(sparsity >= 0 && sparsity <= 1)) throw new CheckpointError('bad-sparsity', { key: String(sparsity) }, `${sparsity} is not a fraction from 0 to 1`);
  if (threshold !== null && !(threshold >= 0)) throw new CheckpointError('usage', {}, `${threshold} is no magnitude`);
  const scope = pruneScope(opened.model, { include: [], exclude: [] }).tensors;
  const elements = scope.reduce((sum, { info }) => sum + info.elements, 0);
  const atMost = new Map<string, number>();
  let limit = threshold ?? 0, selected = 0;
  if (sparsity !== null) {
    const moments = scope.map(({ info }) => momentsOf(opened, info.name));
    const nan = moments.reduce((sum, m) => sum + m.nan, 0), zeros = moments.reduce((sum, m) => sum + m.zeros, 0);
    selected = Math.min(roundHalfEven(sparsity * elements), elements - nan);
    // Nothing more is pruned than what is zero already: the threshold is 0, as the plan says too.
    if (selected > zeros) {
      const selection = await selectExact(scope.map(({ info }) => ({ get histogram() { return opened.scans.get(info.name)!.histogram; }, refine: async (keys) => await refine(opened, info.name, keys, tools) })), selected);
      limit = selection.threshold;
      scope.forEach(({ info }, i) => atMost.set(info.name, selection.counts[i].less + selection.counts[i].equal));
    }
  }
  const countOf = async (name: string): Promise<number> => {
    let count = atMost.get(name);
    if (count === undefined) atMost.set(name, count = await countExactly(opened, name, limit, tools));
    return count;
  };
  if (threshold !== null) selected = await sumOf(scope.map(({ info }) => info.name), countOf);
  const nodes: Cut['nodes'] = [];
  for (const id of ids.slice(0, MAX_IDS)) {
    const tensors: readonly ViewTensor[] = opened.view.tensorsOf(id) ?? [], total = elementsOf(tensors);
    nodes.push({ id, fraction: total > 0 ? (await sumOf(tensors.map(({ info }) => info.name), countOf)) / total : null });
  }
  throwIfCancelled(tools.signal);
  return { threshold: num(limit), sparsity: elements > 0 ? selected / elements : 0, selected, scopeParameters: elements, exact: true, nodes };
}

async function sumOf(names: readonly string[], countOf: (name: string) => Promise<number>): Promise<number> {
  // All at once: the pool queues them, and a cancel reaches each.
  const counts = await Promise.all(names.map(countOf));
  return counts.reduce((sum, count) => sum + count, 0);
}

/** Elements with |w| <= limit: from the histogram where a bin is one magnitude or the limit is at an edge, else by one pass. */
async function countExactly(opened: OpenModel, name: string, limit: number, { pool, io, signal }: Tools): Promise<number> {
  const scan = opened.scans.get(name);
  if (!scan) throw new CheckpointError('internal', { tensor: name }, 'it is not scanned yet');
  if (limit === 0) return scan.moments.zeros;
  const { low, high } = countAtMost(scan.histogram, limit);
  if (low === high) return low;
  const { less, equal } = await countAt(pool, sourceOf(opened, name, io), limit, signal);
  return less + equal;
}

async function refine(opened: OpenModel, name: string, keys: readonly number[], { pool, io, signal }: Tools): Promise<WorkerAnswers['refine']> {
  const id = `${name}\0${keys.join(' ')}`, known = opened.refined.get(id);
  if (known) return known;
  const answer = await refineTensor(pool, sourceOf(opened, name, io), keys, signal);
  opened.refined.set(id, answer);
  let pairs = 0;
  for (const { values } of opened.refined.values()) pairs += values.length;
  for (const [oldest, { values }] of opened.refined) { if (pairs <= MAX_REFINED_PAIRS) break; pairs -= values.length; opened.refined.delete(oldest); }
  return answer;
}

/** Reaches a tensor by name. @throws CheckpointError `tensor-missing` */
export function sourceOf(opened: OpenModel, name: string, io: IoMode): SliceSource {
  const info = opened.model.checkpoint.tensors.find((tensor) => tensor.name === name);
  if (!info) throw new CheckpointError('tensor-missing', { tensor: name }, 'no such tensor');
  return tensorSource(opened.model.checkpoint, info, io);
}

function momentsOf(opened: OpenModel, name: string): Moments {
  const moments = opened.scans.moments(name);
  if (!moments) throw new CheckpointError('internal', { tensor: name }, 'it is not scanned yet');
  return moments;
}
