import { loadKoffi } from './koffi';

/**
 * Swaps two names of one file system in a single step: renameat2(RENAME_EXCHANGE) on Linux, renamex_np(RENAME_SWAP) on
 * macOS, reached through koffi because Node has no such call.
 *
 * @returns false, with nothing changed, where the system or the file system cannot
 */
export function exchangePaths(a: string, b: string): boolean {
  try {
    return exchanger()?.(a, b) ?? false;
  } catch {
    return false;
  }
}

type Exchange = (a: string, b: string) => boolean;

let loaded: Exchange | null | undefined;

function exchanger(): Exchange | null {
  if (loaded !== undefined) return loaded;
  loaded = null;
  const koffi = loadKoffi();
  if (process.platform === 'linux') {
    const AT_FDCWD = -100, RENAME_EXCHANGE = 2;
    const rename = koffi.load(null).func('int renameat2(int oldFolder, const char *oldPath, int newFolder, const char *newPath, unsigned int flags)');
    loaded = (a, b) => rename(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE) === 0;
  } else if (process.platform === 'darwin') {
    const RENAME_SWAP = 2;
    const rename = koffi.load(null).func('int renamex_np(const char *from, const char *to, unsigned int flags)');
    loaded = (a, b) => rename(a, b, RENAME_SWAP) === 0;
  }
  return loaded;
}
