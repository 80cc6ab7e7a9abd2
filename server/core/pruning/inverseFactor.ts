import { throwIfCancelled } from '../errors';
import type { WorkerPool } from '../workers/contract';
import { all } from '../workers/tensorTasks';
import type { Products } from './products';

/** Rows of the matrix that are worked on at once: diagonal blocks in the kernels, everything else as products of blocks. */
const BLOCK = 128;

/** Columns [from, to) for each thread, even but for the last. */
export function ranges(columns: number, threads: number): readonly { readonly from: number; readonly to: number }[] {
  const size = Math.max(2, Math.ceil(columns / threads / 2) * 2);
  return Array.from({ length: Math.ceil(columns / size) }, (_, i) => ({ from: i * size, to: Math.min(columns, (i + 1) * size) }));
}

/** Shared memory of (rows, columns) doubles. */
export const sharedMatrix = (rows: number, columns: number): Float64Array<SharedArrayBuffer> => new Float64Array(new SharedArrayBuffer(rows * columns * 8));

/** H = factor * matrix off the diagonal (n, n, symmetric, row-major, read by rows), `diagonal` on it. */
export interface SymmetricMatrix { readonly n: number; readonly matrix: Float32Array; readonly factor: number; readonly diagonal: Float64Array }

/**
 * The upper triangle U with UᵀU = H⁻¹: the "Cholesky factor of the inverse" that SparseGPT (Frantar and Alistarh 2023) takes its columns' errors and
 * updates from. Neither the inverse nor a second factorisation is needed: with rows and columns in reverse order H = L Lᵀ, and L⁻¹ in reverse order
 * is U. H is scaled to a unit diagonal on the way. Block row k of L⁻¹ and of Lᵀ follows from the rows before it by one product.
 *
 * @returns U (n, n), row-major, zero below the diagonal; null when H is not positive definite
 */
export async function inverseFactor({ n, matrix, factor, diagonal }: SymmetricMatrix, products: Products, pool: WorkerPool, signal?: AbortSignal): Promise<Float64Array | null> {
  const scale = diagonal.map((x) => 1 / Math.sqrt(x)), last = n - 1;
  if (!scale.every((x) => x > 0 && Number.isFinite(x))) return null;
  // Row i, in reverse order: L⁻¹ up to its diagonal block, Lᵀ to the right of it.
  const rows = new Float64Array(n * n);
  let added = new Float64Array(0);
  products.begin(n);
  for (let from = 0; from < n; from += BLOCK) {
    throwIfCancelled(signal);
    const count = Math.min(BLOCK, n - from), block = sharedMatrix(count, n);
    for (let i = 0; i < count; i++) {
      const row = last - from - i, left = factor * scale[row];
      for (let j = 0; j < n; j++) block[i * n + j] = matrix[row * n + last - j] * left * scale[last - j];
      block[i * n + from + i] = 1;
    }
    if (from > 0) {
      const q = new Float64Array(from * count);
      for (let row = 0; row < from; row++) q.set(rows.subarray(row * n + from, row * n + from + count), row * count);
      const product = await products.next(added, q, count, signal);
      for (let i = 0; i < block.length; i++) block[i] -= product[i];
    }
    const own = new Float64Array(count * count);
    for (let i = 0; i < count; i++) own.set(block.subarray(i * n + from, i * n + from + count), i * count);
    const parts = await all(ranges(n, pool.threads).map((range) => pool.run({ kind: 'eliminate', diagonal: own, rows: block.buffer, columns: n, ...range }, signal)));
    const { failed, inverse } = parts[0];
    if (failed >= 0) return null;
    // Left of a diagonal block, rows below it start from A, not from zero: Lᵀ in the product takes that away again, L⁻¹ adds what is wanted.
    added = Float64Array.from(block);
    for (let i = 0; i < count; i++) for (let j = 0; j <= i; j++) added[i * n + from + j] = inverse[i * count + j] + (i === j ? block[i * n + from + j] : 0);
    rows.set(block, from * n);
    for (let i = 0; i < count; i++) rows.set(inverse.subarray(i * count, (i + 1) * count), (from + i) * n + from);
  }
  const u = new Float64Array(n * n);
  for (let i = 0; i < n; i++) for (let j = i; j < n; j++) u[i * n + j] = rows[(last - i) * n + last - j] * scale[j];
  return u;
}
