import { throwIfCancelled } from '../errors';
import type { WorkerPool } from '../workers/contract';
import { all } from '../workers/tensorTasks';
import { blockCounts, markSmallest } from './blockChoice';
import type { GroupPattern } from './contract';
import { inverseFactor, ranges, sharedMatrix } from './inverseFactor';
import type { Products } from './products';
import type { StoredMatrix } from './storedMatrix';

/** The second moments of a matrix's inputs: XᵀX (inputs, inputs), of `rows` tokens. */
export interface SecondMoments { readonly matrix: Float32Array; readonly rows: number }

export interface SparseGptOptions {
  readonly sparsity: number;
  readonly pattern: 'unstructured' | GroupPattern;
  readonly orientation: 'out-in' | 'in-out';
  /** Inputs that are chosen among together; of N:M a multiple of M is taken. */
  readonly blockSize: number;
  /** Added to the diagonal of the Hessian, as a fraction of its mean. */
  readonly damping: number;
}

/** How often a Hessian that is not positive definite is damped ten times as much. */
const MAX_RAISES = 3;
/** A score's divisor where an input was never seen: below every other score, by magnitude among themselves. */
const NEVER_SEEN = 1e200;

/** The factor of the damped Hessian, the damping that made it positive definite, and which inputs were seen (1) or never (0). */
export interface Solved { readonly u: Float64Array; readonly damping: number; readonly seen: Uint8Array }

/**
 * SparseGPT (Frantar and Alistarh 2023) on one matrix, in place: block after block of inputs the weights with the smallest w² / U[i][i]² go, and what
 * is left, in this block and those after it, is changed so that the outputs stay near. U is the Cholesky factor of the inverse Hessian (see `solve`).
 * Weights of an input that calibration never saw go first, but no more of them than asked. A weight that is zero already stays zero and counts first.
 *
 * Published code takes one threshold a block and everything up to it; here a block loses exactly its share (see `blockCounts`). Groups of N:M are
 * chosen when the sweep reaches them, ties by position; a ragged last group is not pruned, though changed.
 *
 * @returns how many finite weights became infinite in the matrix's dtype
 */
export async function sparseGptMatrix(
  weights: StoredMatrix, { u, seen }: Solved, options: SparseGptOptions, products: Products, pool: WorkerPool, signal?: AbortSignal,
): Promise<number> {
  const { inputs, outputs } = weights, { sparsity, pattern, orientation } = options;
  const groups = pattern === 'unstructured' ? { of: 0, drop: 0 } : { of: pattern.of, drop: pattern.of - pattern.keep };
  const step = groups.of > 0 ? Math.max(1, Math.floor(options.blockSize / groups.of)) * groups.of : options.blockSize;
  const blocks = Array.from({ length: Math.ceil(inputs / step) }, (_, i) => ({ from: i * step, count: Math.min(step, inputs - i * step) }));
  const wanted = pattern === 'unstructured' ? blockCounts(sparsity, blocks.map(({ count }) => count * outputs), blocks.map(({ from, count }) => zerosIn(weights, from, count))) : [];
  let errors = new Float64Array(0), overflowed = 0;
  products.begin(outputs);
  for (const [index, { from, count }] of blocks.entries()) {
    throwIfCancelled(signal);
    const block = sharedMatrix(count, outputs), pruned = new Uint8Array(new SharedArrayBuffer(count * outputs)), made = sharedMatrix(count, outputs);
    weights.read(from, count, block);
    for (let i = 0; i < block.length; i++) if (block[i] === 0) pruned[i] = 1;
    if (from > 0) {
      const q = new Float64Array(from * count);
      for (let row = 0; row < from; row++) q.set(u.subarray(row * inputs + from, row * inputs + from + count), row * count);
      const product = await products.next(errors, q, count, signal);
      for (let i = 0; i < block.length; i++) block[i] -= product[i];
    }
    const factor = new Float64Array(count * count), divisors = new Float64Array(count);
    for (let i = 0; i < count; i++) {
      const row = (from + i) * inputs + from;
      factor.set(u.subarray(row, row + count), i * count);
      divisors[i] = seen[from + i] === 1 ? u[row + i] : NEVER_SEEN;
    }
    if (pattern === 'unstructured') markSmallest(block, pruned, divisors, wanted[index], orientation);
    await all(ranges(outputs, pool.threads).map((range) => pool.run(
      { kind: 'sweep', weights: block.buffer, errors: made.buffer, pruned: pruned.buffer as SharedArrayBuffer, factor, divisors, groups, outputs, ...range }, signal)));
    errors = Float64Array.from(made);
    overflowed += weights.write(from, count, block);
  }
  return overflowed;
}

function zerosIn(weights: StoredMatrix, from: number, count: number): number {
  const block = new Float64Array(count * weights.outputs);
  weights.read(from, count, block);
  return block.reduce((sum, x) => sum + (x === 0 ? 1 : 0), 0);
}

/**
 * H = 2 / tokens XᵀX + damping x mean(diagonal), and the Cholesky factor of its inverse. An input that was never seen has 1 on the diagonal, as
 * published. Damping grows tenfold, at most three times, while H is not positive definite.
 *
 * @returns null when nothing helps
 */
export async function solve(n: number, { matrix, rows }: SecondMoments, asked: number, products: Products, pool: WorkerPool, signal?: AbortSignal): Promise<Solved | null> {
  const factor = rows > 0 ? 2 / rows : 0;
  const seen = Uint8Array.from({ length: n }, (_, i) => (matrix[i * n + i] * factor === 0 ? 0 : 1));
  const plain = Float64Array.from({ length: n }, (_, i) => (seen[i] === 1 ? matrix[i * n + i] * factor : 1));
  const mean = plain.reduce((sum, x) => sum + x, 0) / n;
  let damping = asked;
  for (let raises = 0; raises <= MAX_RAISES; raises++) {
    const u = await inverseFactor({ n, matrix, factor, diagonal: plain.map((x) => x + damping * mean) }, products, pool, signal);
    if (u !== null) return { u, damping, seen };
    damping = Math.max(damping * 10, 0.01);
  }
  return null;
}
