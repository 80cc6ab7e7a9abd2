import { CheckpointError } from '../core/errors';
import type { ErrorCode } from '../core/errors';

/** What the operating system's refusals are called here. */
const systemCodes: Readonly<Record<string, ErrorCode>> = {
  ENOENT: 'not-found', ENOTDIR: 'not-found', ENOSPC: 'disk-full', EDQUOT: 'disk-full', EFBIG: 'disk-full', EROFS: 'target-not-writable', ENOMEM: 'out-of-memory',
};

/** Calls that only a writer makes; all others are about reaching something. */
const writes = new Set(['write', 'mkdir', 'mkdtemp', 'rename', 'link', 'symlink', 'unlink', 'rmdir', 'rm', 'ftruncate', 'fsync', 'fdatasync', 'copyfile', 'cp', 'chmod', 'futime']);

function systemCode({ code, syscall }: NodeJS.ErrnoException): ErrorCode | undefined {
  if (code === undefined || syscall === undefined || !/^E[A-Z0-9]+$/.test(code)) return undefined;
  const known = systemCodes[code];
  return writes.has(syscall) && (known === undefined || known === 'not-found') ? 'target-not-writable' : known ?? 'not-readable';
}

/** Any thrown thing as the one kind of error that has a sentence. The original is its cause. */
export function asCheckpointError(error: unknown): CheckpointError {
  if (error instanceof CheckpointError) return error;
  if (error instanceof Error) {
    const { code, path } = error as NodeJS.ErrnoException, known = systemCode(error);
    if (known) return new CheckpointError(known, path === undefined ? {} : { file: path }, code ?? '', { cause: error });
    if (error.name === 'AbortError') return new CheckpointError('cancelled', {}, '', { cause: error });
    return new CheckpointError('internal', {}, error.message, { cause: error });
  }
  return new CheckpointError('internal', {}, String(error), { cause: error });
}
