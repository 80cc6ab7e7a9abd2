import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { CheckpointError } from '../errors';
import { cannotOpen } from './openSource';

/**
 * All bytes of a regular file of at most `most` bytes. Every small file goes through here: a pipe or a device would hang
 * the reader or fill the memory, and its size says nothing.
 *
 * @throws CheckpointError `not-found`, `not-readable` (no regular file, too long, refused), `file-changed-while-reading`
 */
export function readWhole(file: string, most: number): Uint8Array {
  try {
    const there = statSync(file);
    if (!there.isFile()) throw new CheckpointError('not-readable', { file }, there.isDirectory() ? 'it is a folder' : 'not a regular file');
    const fd = openSync(file, 'r');
    try {
      const { size } = fstatSync(fd);
      if (size > most) throw new CheckpointError('not-readable', { file }, `${size} bytes, at most ${most}`);
      const bytes = new Uint8Array(size);
      for (let at = 0; at < size; ) {
        const got = readSync(fd, bytes, at, size - at, at);
        if (got === 0) throw new CheckpointError('file-changed-while-reading', { file }, `had ${size} bytes, ends at ${at} now`);
        at += got;
      }
      return bytes;
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw cannotOpen(error, file);
  }
}

/** The same as text; what is not UTF-8 becomes replacement characters. */
export const readWholeText = (file: string, most: number): string => new TextDecoder('utf-8', { ignoreBOM: true }).decode(readWhole(file, most));
