import { fstatSync } from 'node:fs';
import { CheckpointError } from '../errors';
import type { CheckpointFile } from '../formats/contract';

/** What has to stay true of a file while it is read. */
export type FileStamp = Pick<CheckpointFile, 'path' | 'realPath' | 'byteLength' | 'mtimeMs'>;

/**
 * Compares the open file with what it was when its header was read. Called before every window: a file truncated under
 * a map kills the process, so the check has to come first.
 *
 * @throws CheckpointError `file-changed-while-reading`
 */
export function checkUnchanged(fd: number, stamp: FileStamp): void {
  const now = fstatSync(fd);
  if (now.size !== stamp.byteLength) {
    throw new CheckpointError('file-changed-while-reading', { file: stamp.path }, `had ${stamp.byteLength} bytes when opened, has ${now.size} now`);
  }
  if (now.mtimeMs !== stamp.mtimeMs) {
    throw new CheckpointError('file-changed-while-reading', { file: stamp.path }, 'was written to after it was opened');
  }
}

/**
 * The caller's duty, checked before any native copy: a range that lies in the file and fits in the target.
 *
 * @throws RangeError
 */
export function checkRange(from: number, to: number, byteLength: number, into: Uint8Array): void {
  if (!Number.isSafeInteger(from) || !Number.isSafeInteger(to) || from < 0 || to < from || to > byteLength) {
    throw new RangeError(`bytes [${from}, ${to}) do not lie in [0, ${byteLength})`);
  }
  // A detached or grown-away buffer has length 0 and is caught here too.
  if (into.byteLength < to - from) throw new RangeError(`${to - from} bytes do not fit into ${into.byteLength}`);
}
