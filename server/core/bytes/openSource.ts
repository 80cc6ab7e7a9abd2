import { CheckpointError, type ErrorCode } from '../errors';
import type { ByteSource, IoMode } from './byteSource';
import { isOnLocalFileSystem } from './localFileSystem';
import { openMapped } from './mappedSource';
import { loadMapper } from './nativeMap';
import { openPread } from './preadSource';
import type { FileStamp } from './stamp';

/**
 * Opens the bytes of one weight file. `auto` maps on local file systems and reads elsewhere; a machine without koffi
 * reads, whatever was asked.
 *
 * @param file as the checkpoint has it: size and time are checked again before each window
 * @throws CheckpointError `not-found`, `not-readable`
 */
export function openSource(file: FileStamp, io: IoMode): ByteSource {
  const wantsMap = io === 'mmap' || (io === 'auto' && isOnLocalFileSystem(file.realPath));
  const mapper = wantsMap ? loadMapper().mapper : null;
  try {
    return mapper ? openMapped(file, mapper) : openPread(file);
  } catch (error) {
    throw cannotOpen(error, file.path);
  }
}

/** Turns a system error into `not-found` or `not-readable`; passes a CheckpointError on. */
export function cannotOpen(error: unknown, file: string): CheckpointError {
  if (error instanceof CheckpointError) return error;
  const system = error as NodeJS.ErrnoException;
  const code: ErrorCode = system.code === 'ENOENT' || system.code === 'ENOTDIR' ? 'not-found' : 'not-readable';
  return new CheckpointError(code, { file }, system.code ?? String(error), { cause: error });
}
