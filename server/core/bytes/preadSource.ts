import { closeSync, openSync, readSync } from 'node:fs';
import { CheckpointError } from '../errors';
import type { ByteSource } from './byteSource';
import { checkRange, checkUnchanged, type FileStamp } from './stamp';

/** Longest single system call: Linux stops at 2^31 - 4096 bytes. */
const MAX_CALL_BYTES = 2 ** 30;

/** Positioned reads. Works on every file system; a truncated file is a catchable short read. */
export function openPread(stamp: FileStamp): ByteSource {
  let fd = openSync(stamp.realPath, 'r');
  return {
    path: stamp.path,
    byteLength: stamp.byteLength,
    read(from, to, into) {
      if (fd < 0) throw new Error('read after close');
      checkRange(from, to, stamp.byteLength, into);
      checkUnchanged(fd, stamp);
      for (let at = from; at < to; ) {
        const got = readSync(fd, into, at - from, Math.min(to - at, MAX_CALL_BYTES), at);
        if (got === 0) {
          checkUnchanged(fd, stamp);
          throw new CheckpointError('short-read', { file: stamp.path }, `wanted bytes ${from} to ${to}, got ${at - from} of ${to - from}`);
        }
        at += got;
      }
    },
    close() {
      if (fd >= 0) closeSync(fd);
      fd = -1;
    },
  };
}
