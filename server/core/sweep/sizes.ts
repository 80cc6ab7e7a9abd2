import { createReadStream } from 'node:fs';
import { createDeflate } from 'node:zlib';
import { CheckpointError, throwIfCancelled } from '../errors';
import type { WeightReference } from '../graph/contract';
import type { Job } from '../job';
import { itemBytes } from './cellJson';
import type { DType } from '../tensor/dtype';
import type { CellSizes } from './contract';

/** One stored tensor: in scope (compressed) when `nonzeros` is given, otherwise it stays dense. */
export interface SizedTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly elements: number;
  readonly byteLength: number;
  /** Weights that are not zero after pruning; null for a tensor that is left alone. */
  readonly nonzeros: number | null;
  /** Where the pruned bytes lie; null for a tensor that is left alone. */
  readonly bytes: WeightReference | null;
}

/** Above this a row pointer no longer fits into int32. */
const INT32_MAX = 2 ** 31 - 1;
const CHUNK_BYTES = 1 << 20;

/** One bit a weight, then the values that are not zero. */
export const bitmaskBytes = (elements: number, nonzeros: number, item: number): number => Math.ceil(elements / 8) + nonzeros * item;

/** Values, an int32 column for each, and `rows + 1` row pointers; a tensor of more than two axes is flattened to its last. */
export function csrBytes(shape: readonly number[], elements: number, nonzeros: number, item: number): number {
  const columns = shape.at(-1) ?? 1, rows = columns === 0 ? 0 : elements / columns;
  return nonzeros * (item + 4) + (rows + 1) * (nonzeros > INT32_MAX ? 8 : 4);
}

/**
 * Compresses the bytes [from, from + byteLength) of a file as they stream by and answers with the compressed size: zlib,
 * level 6. Memory stays at a few chunks.
 *
 * @throws CheckpointError `short-read`, `cancelled`
 */
export async function deflatedBytes(reference: WeightReference, signal?: AbortSignal, onBytes: (bytes: number) => void = () => {}): Promise<number> {
  throwIfCancelled(signal);
  if (reference.byteLength === 0) return 0;
  const input = createReadStream(reference.realPath, { start: reference.from, end: reference.from + reference.byteLength - 1, highWaterMark: CHUNK_BYTES });
  const deflate = createDeflate({ level: 6 });
  const stop = (): void => { input.destroy(new CheckpointError('cancelled', {}, '')); };
  signal?.addEventListener('abort', stop, { once: true });
  let read = 0, written = 0;
  try {
    await new Promise<void>((resolve, reject) => {
      input.on('data', (chunk) => { read += chunk.length; onBytes(chunk.length); });
      input.on('error', reject);
      deflate.on('error', reject);
      deflate.on('data', (chunk: Buffer) => { written += chunk.length; });
      deflate.on('end', resolve);
      input.pipe(deflate);
    });
  } finally {
    signal?.removeEventListener('abort', stop);
    input.destroy();
    deflate.destroy();
  }
  if (read !== reference.byteLength) throw new CheckpointError('short-read', { file: reference.realPath }, `${read} of ${reference.byteLength} bytes`);
  return written;
}

/** Sizes of all stored weights. Deflate really runs, on up to `threads` tensors at once. */
export async function* measureSizes(tensors: readonly SizedTensor[], options: { threads: number }, signal?: AbortSignal): Job<CellSizes> {
  let dense = 0, deflate = 0, bitmask = 0, csr = 0;
  const waiting: WeightReference[] = [];
  for (const tensor of tensors) {
    dense += tensor.byteLength;
    if (tensor.nonzeros === null || tensor.bytes === null) {
      deflate += tensor.byteLength;
      bitmask += tensor.byteLength;
      csr += tensor.byteLength;
      continue;
    }
    const item = itemBytes(tensor.dtype);
    bitmask += bitmaskBytes(tensor.elements, tensor.nonzeros, item);
    csr += csrBytes(tensor.shape, tensor.elements, tensor.nonzeros, item);
    waiting.push(tensor.bytes);
  }
  const total = waiting.reduce((sum, { byteLength }) => sum + byteLength, 0);
  let done = 0;
  // Largest first, so that no thread is left with one large tensor at the end.
  waiting.sort((a, b) => b.byteLength - a.byteLength);
  const running = new Set<Promise<void>>();
  let failure: unknown;
  try {
    while ((waiting.length > 0 || running.size > 0) && failure === undefined) {
      while (waiting.length > 0 && running.size < Math.max(1, Math.min(options.threads, 4))) {
        const one: Promise<void> = deflatedBytes(waiting.shift()!, signal, (bytes) => { done += bytes; })
          .then((bytes) => { deflate += bytes; }, (error: unknown) => { failure ??= error; })
          .finally(() => running.delete(one));
        running.add(one);
      }
      await Promise.race([...running, new Promise((resolve) => setTimeout(resolve, 200).unref())]);
      yield { stage: 'compressing', done, total, unit: 'bytes' };
    }
  } finally {
    await Promise.all(running);
  }
  if (failure !== undefined) throw failure;
  return { dense, deflate, bitmask, csr };
}
