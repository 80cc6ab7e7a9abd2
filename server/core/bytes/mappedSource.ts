import { closeSync, openSync } from 'node:fs';
import type { ByteSource } from './byteSource';
import { GRANULARITY, type Mapper } from './nativeMap';
import { openPread } from './preadSource';
import { checkRange, checkUnchanged, type FileStamp } from './stamp';

/** Longest stretch mapped at a time, so that address space and page tables stay small whatever the file's size. */
export const MAX_WINDOW_BYTES = 2 ** 30;

/**
 * Memory maps, one window at a time, copied out. The address stays in this closure.
 * A file truncated between the check and the copy is SIGBUS: run this only where a parent can say so. A file system that
 * refuses to map is read instead, from then on.
 *
 * @param windowBytes for tests; a multiple of GRANULARITY
 */
export function openMapped(stamp: FileStamp, mapper: Mapper, windowBytes = MAX_WINDOW_BYTES): ByteSource {
  let fd = openSync(stamp.realPath, 'r');
  let window: { address: bigint; from: number; to: number } | null = null;
  let reader: ByteSource | null = null;

  const unmap = (): void => {
    if (window) mapper.unmap(window.address, window.to - window.from);
    window = null;
  };
  const windowAt = (at: number): { address: bigint; from: number; to: number } | null => {
    if (window && at >= window.from && at < window.to) return window;
    unmap();
    const from = at - (at % GRANULARITY), to = Math.min(from + windowBytes, stamp.byteLength);
    const address = mapper.map({ fd, realPath: stamp.realPath }, from, to - from);
    window = address === null ? null : { address, from, to };
    return window;
  };

  return {
    path: stamp.path,
    byteLength: stamp.byteLength,
    read(from, to, into) {
      if (fd < 0) throw new Error('read after close');
      checkRange(from, to, stamp.byteLength, into);
      for (let at = from; at < to; ) {
        checkUnchanged(fd, stamp);
        const here = windowAt(at);
        if (!here) return (reader ??= openPread(stamp)).read(at, to, into.subarray(at - from));
        const end = Math.min(to, here.to);
        mapper.copy(here.address + BigInt(at - here.from), into.subarray(at - from, end - from), end - at);
        at = end;
      }
    },
    close() {
      unmap();
      reader?.close();
      if (fd >= 0) closeSync(fd);
      fd = -1;
    },
  };
}
