import { closeSync, fstatSync, openSync, readSync, realpathSync, statSync } from 'node:fs';
import { cannotOpen } from '../bytes/openSource';
import { CheckpointError } from '../errors';
import type { CheckpointFile } from './contract';

/** How much of a file is looked at to tell what it is: a tar's magic lies at 257. */
export const SNIFF_BYTES = 512;

/** Size and time of one file, links resolved, and its first bytes. */
export interface FileHead extends Pick<CheckpointFile, 'path' | 'realPath' | 'byteLength' | 'mtimeMs'> {
  readonly head: Uint8Array;
}

/** @throws CheckpointError `not-found`, `not-readable` */
export function readFileHead(file: string): FileHead {
  try {
    const realPath = realpathSync.native(file);
    return withFile(realPath, (fd, byteLength, mtimeMs) => {
      const head = new Uint8Array(Math.min(SNIFF_BYTES, byteLength));
      const got = readSync(fd, head, 0, head.length, 0);
      return { path: file, realPath, byteLength, mtimeMs, head: head.subarray(0, got) };
    });
  } catch (error) {
    throw cannotOpen(error, file);
  }
}

/** Runs `use` with the file open; regular files only, so that a pipe or a device never hangs a reader. */
export function withFile<T>(file: string, use: (fd: number, byteLength: number, mtimeMs: number) => T): T {
  if (!statSync(file).isFile()) throw new CheckpointError('not-readable', { file }, 'not a regular file');
  const fd = openSync(file, 'r');
  try {
    const stat = fstatSync(fd);
    return use(fd, stat.size, stat.mtimeMs);
  } finally {
    closeSync(fd);
  }
}

/** The bytes [0, length) of an open file. @throws CheckpointError `short-read` */
export function readExactly(fd: number, file: string, from: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; ) {
    const got = readSync(fd, bytes, at, length - at, from + at);
    if (got === 0) throw new CheckpointError('short-read', { file }, `wanted ${length} bytes at ${from}, got ${at}`);
    at += got;
  }
  return bytes;
}

/** A whole small text file, or null when it is longer than `most`. @throws system errors, TypeError when it is not UTF-8 */
export function readSmallText(file: string, most: number): string | null {
  return withFile(file, (fd, byteLength) =>
    byteLength > most ? null : new TextDecoder('utf-8', { fatal: true }).decode(readExactly(fd, file, 0, byteLength)));
}
