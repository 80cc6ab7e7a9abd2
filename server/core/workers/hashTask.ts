import { createHash } from 'node:crypto';
import type { SliceSource } from './contract';
import { streamWindows, withSource, type TaskContext } from './task';

/** SHA-256 of the bytes of a slice, as lower-case hexadecimal: what `sha256sum` prints of a whole file. */
export function hashTask(context: TaskContext, source: SliceSource): { sha256: string } {
  const hash = createHash('sha256');
  withSource(source, (bytes) => streamWindows(context, source, bytes, 1, (length) => void hash.update(context.kernels.buffer.subarray(0, length))));
  return { sha256: hash.digest('hex') };
}
