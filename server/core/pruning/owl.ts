import type { Job } from '../job';
import type { Model } from '../models/contract';
import { tensorSource } from '../workers/slices';
import { countAt, sumsTensor } from '../workers/tensorTasks';
import type { Allocation, PlanTools } from './contract';
import { scanOf } from './planned';
import type { ScopeTensor } from './pruneScope';
import { scoreBase, scoreTensor } from './scoreTensors';
import { inputNorms, type DenseStatistics } from './inputNorms';

type Owl = Extract<Allocation, { kind: 'owl' }>;

/** One block of the network: its weights in scope, and which share of them are outliers. */
export interface OutlierShare { readonly weights: number; readonly share: number }

/**
 * Sparsity of each block (Yin et al. 2024, "Outlier Weighed Layerwise Sparsity"): shares of outliers are scaled to [0, 2 lambda], so that
 * the block with most outliers keeps most, and shifted so that the mean is what was asked. The paper's mean is over blocks; ours is over
 * weights, so that blocks of unequal sizes still give the asked total. Equal shares mean uniform. Every sparsity lies in [0, 1]: ours is
 * shifted until the total is right again, the published one is only clamped.
 */
export function owlSparsities(blocks: readonly OutlierShare[], sparsity: number, { lambda, published }: Owl): number[] {
  const shares = blocks.map(({ share }) => share), low = Math.min(...shares), high = Math.max(...shares);
  if (!(high > low)) return blocks.map(() => sparsity);
  const scaled = shares.map((share) => ((share - low) / (high - low)) * 2 * lambda);
  const weights = blocks.map((block) => (published ? 1 : block.weights)), total = weights.reduce((sum, n) => sum + n, 0);
  const mean = scaled.reduce((sum, x, i) => sum + x * weights[i], 0) / total;
  const wanted = scaled.map((x) => sparsity + mean - x);
  return published ? wanted.map(clamp) : shiftInto(wanted, weights, sparsity * total);
}

const clamp = (x: number): number => Math.min(1, Math.max(0, x));

/**
 * The numbers, all shifted by the same amount and clamped to [0, 1], such that their weighted sum is `sum`.
 *
 * @param sum between 0 and the sum of the weights
 */
export function shiftInto(wanted: readonly number[], weights: readonly number[], sum: number): number[] {
  const at = (shift: number): number => wanted.reduce((total, x, i) => total + weights[i] * clamp(x + shift), 0);
  if (wanted.every((x) => x >= 0 && x <= 1)) return wanted.slice();
  let low = -1 - Math.max(...wanted), high = 1 - Math.min(...wanted);
  // Halved until neighbouring doubles.
  for (let middle = (low + high) / 2; middle > low && middle < high; middle = (low + high) / 2) {
    if (at(middle) < sum) low = middle;
    else high = middle;
  }
  return wanted.map((x) => clamp(x + high));
}

/** The share of outliers of each block: scores |w| x norm above `m` times the mean over all the block's weights in scope. Two passes. */
export async function* outlierShares(model: Model, tensors: readonly ScopeTensor[], { m }: Owl, statistics: DenseStatistics, tools: PlanTools, signal?: AbortSignal): Job<{ blocks: OutlierShare[]; blockIndexOf: ReadonlyMap<string, number> }> {
  const order = [...new Set(tensors.map(({ info }) => statistics.blockOf.get(info.name)!))].sort((a, b) => a - b);
  const blocks: OutlierShare[] = [], blockIndexOf = new Map<string, number>();
  for (const [index, block] of order.entries()) {
    yield { stage: 'outliers', done: blockIndexOf.size, total: tensors.length, unit: 'tensors' };
    const inside = tensors.filter(({ info }) => statistics.blockOf.get(info.name) === block);
    const sources = inside.map((tensor) => {
      const norms = inputNorms(tensor, statistics.inputs.get(tensor.info.name)!);
      return tensorSource(model.checkpoint, scoreTensor(tensor.info, { ...scoreBase(tensor), how: { kind: 'wanda', norms } }), tools.io);
    });
    let sum = 0, weights = 0, numbers = 0, outliers = 0;
    for (const [i, source] of sources.entries()) {
      const { rows } = await sumsTensor(tools.pool, source, signal);
      const tensorSum = rows.reduce((total, row) => total + row, 0);
      sum += tensorSum;
      weights += inside[i].info.elements;
      numbers += inside[i].info.elements - scanOf(tools, inside[i]).moments.nan;
      blockIndexOf.set(inside[i].info.name, index);
    }
    const threshold = m * (numbers === 0 ? 0 : sum / numbers);
    for (const [i, source] of sources.entries()) {
      const { less, equal } = await countAt(tools.pool, source, threshold, signal);
      outliers += inside[i].info.elements - scanOf(tools, inside[i]).moments.nan - less - equal;
    }
    blocks.push({ weights, share: numbers === 0 ? 0 : outliers / numbers });
  }
  return { blocks, blockIndexOf };
}
