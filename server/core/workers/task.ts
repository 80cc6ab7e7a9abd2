import { closeSync, openSync, writeSync } from 'node:fs';
import { openValues } from '../bytes/decodedSource';
import type { ByteSource } from '../bytes/byteSource';
import { CheckpointError } from '../errors';
import { isKernelFloat } from '../kernels/floatBits';
import type { Kernels } from '../kernels/kernels';
import { WINDOW_BYTES } from '../kernels/layout';
import { dtypes, type DType } from '../tensor/dtype';
import type { SliceSource, Target } from './contract';

/** What a task works with: the worker's kernels, and how it hears of a cancel and tells of bytes. */
export interface TaskContext {
  readonly kernels: Kernels;
  /** Throws `cancelled` once the task was cancelled. Called between windows. */
  check(): void;
  progress(bytes: number): void;
}

/** Elements in `bytes` bytes of a dtype. */
export const elementsIn = (dtype: DType, bytes: number): number => (bytes * 8) / dtypes[dtype].bits;

/** Opens the source for the time of `work`. */
export function withSource<T>(slice: SliceSource, work: (bytes: ByteSource) => T): T {
  const bytes = openValues(slice.file, slice.io, slice.encoded);
  try {
    return work(bytes);
  } finally {
    bytes.close();
  }
}

/** A target file opened for positioned writing. */
export interface Writer { write(bytes: Uint8Array, at: number): void }

/** Opens the target for the time of `work`, which gets null where there is none. @throws `target-not-writable`, `disk-full` */
export function withTarget<T>(target: Target, work: (writer: Writer) => T): T;
export function withTarget<T>(target: Target | null, work: (writer: Writer | null) => T): T;
export function withTarget<T>(target: Target | null, work: (writer: Writer) => T): T {
  if (target === null) return (work as (writer: Writer | null) => T)(null);
  const place = { file: target.path };
  const refuse = (error: unknown): never => {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new CheckpointError(code === 'ENOSPC' || code === 'EDQUOT' ? 'disk-full' : 'target-not-writable', place, code ?? message, { cause: error });
  };
  let handle = -1;
  try {
    handle = openSync(target.path, 'r+');
  } catch (error) {
    refuse(error);
  }
  try {
    return work({
      write(bytes, at) {
        try {
          for (let done = 0; done < bytes.length;) done += writeSync(handle, bytes, done, bytes.length - done, at + done);
        } catch (error) {
          refuse(error);
        }
      },
    });
  } finally {
    closeSync(handle);
  }
}

/**
 * Reads a slice window by window into the kernels' buffer and hands each to `visit` with its size in bytes and its offset
 * within the slice. Windows are multiples of `unit` bytes (the last may be shorter).
 */
export function streamWindows(context: TaskContext, slice: SliceSource, bytes: ByteSource, unit: number, visit: (length: number, offset: number) => void): void {
  const { buffer } = context.kernels;
  // The plain paths are slower: shorter windows, so that a cancel is seen as soon.
  // So is what stands for many weights each.
  const window = slice.encoded?.steps.at(-1)?.kind === 'blockMeans' ? WINDOW_BYTES / 32 : isKernelFloat(slice.dtype) ? WINDOW_BYTES : WINDOW_BYTES / 4;
  const size = Math.max(unit, Math.floor(window / unit) * unit);
  if (size > buffer.length) throw new CheckpointError('unsupported-scope', { file: slice.file.path }, `a row or group of ${unit} bytes exceeds the window of ${buffer.length} bytes`);
  for (let from = slice.from; from < slice.to; from += size) {
    context.check();
    const to = Math.min(slice.to, from + size);
    bytes.read(from, to, buffer.subarray(0, to - from));
    visit(to - from, from - slice.from);
    context.progress(to - from);
  }
}
