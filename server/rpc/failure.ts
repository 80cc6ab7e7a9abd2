import { CheckpointError } from '../core/errors';
import type { ErrorCode } from '../core/errors';

/** What the operating system's refusals are called here. */
const systemCodes: Readonly<Record<string, ErrorCode>> = {
  ENOENT: 'not-found', ENOTDIR: 'not-found', EACCES: 'not-readable', EPERM: 'not-readable', EISDIR: 'not-readable', EIO: 'not-readable',
  EMFILE: 'not-readable', ENOSPC: 'disk-full', EDQUOT: 'disk-full', EROFS: 'target-not-writable', ENOMEM: 'out-of-memory',
};

/** Any thrown thing as the one kind of error that has a sentence. The original is its cause. */
export function asCheckpointError(error: unknown): CheckpointError {
  if (error instanceof CheckpointError) return error;
  if (error instanceof Error) {
    const { code, path } = error as NodeJS.ErrnoException;
    const known = code === undefined ? undefined : systemCodes[code];
    if (known) return new CheckpointError(known, path === undefined ? {} : { file: path }, code ?? '', { cause: error });
    if (error.name === 'AbortError') return new CheckpointError('cancelled', {}, '', { cause: error });
    return new CheckpointError('internal', {}, error.message, { cause: error });
  }
  return new CheckpointError('internal', {}, String(error), { cause: error });
}
