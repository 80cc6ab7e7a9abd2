import { randomBytes } from 'node:crypto';
import { closeSync, existsSync, fsyncSync, linkSync, openSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import path from 'node:path';
import { CheckpointError } from '../errors';
import { announceTemporary, hostPart, isProcessAlive } from '../temporaries';
import { exchangePaths } from '../bytes/exchangePaths';

/** `.<name>.winnow-<host>-<pid>-<random>.tmp`: who is writing is in the name, so that leftovers of the dead are known. */
const stagedName = /^\.(.+)\.winnow-([A-Za-z0-9_]*)-(\d+)-[0-9a-f]{8}\.(tmp|old)$/;

/** A name for a temporary in the same folder as `target`, so that the rename at the end stays on one disk. */
export function stagedPath(target: string, role: 'tmp' | 'old' = 'tmp'): string {
  announceTemporary(path.dirname(target));
  // Long names are cut: most file systems end at 255 bytes.
  const name = Buffer.from(path.basename(target)).subarray(0, 150).toString().replace(/\uFFFD+$/u, '');
  return path.join(path.dirname(target), `.${name}.winnow-${hostPart()}-${process.pid}-${randomBytes(4).toString('hex')}.${role}`);
}

/** Removes temporaries in `folder` whose process is gone (a kill, a lost machine). Those of other machines are left alone. */
export function removeLeftovers(folder: string): void {
  for (const name of existsSync(folder) ? readdirSync(folder) : []) {
    const match = stagedName.exec(name);
    if (!match || match[2] !== hostPart() || isProcessAlive(Number(match[3]))) continue;
    const leftover = path.join(folder, name), target = path.join(folder, match[1]);
    // Killed between the two renames of a replacement: the old output is still whole, and goes back to its name.
    if (match[4] === 'old' && !existsSync(target)) renameSync(leftover, target);
    else rmSync(leftover, { recursive: true, force: true });
  }
}

/** Waits until a file's bytes are on the disk. */
export async function syncFile(file: string): Promise<void> {
  const handle = await open(file, 'r+');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** The same for the names in a folder. Windows has no such call and needs none. */
export function syncFolder(folder: string): void {
  if (process.platform === 'win32') return;
  const fd = openSync(folder, 'r');
  try {
    fsyncSync(fd);
  } catch {
    // Some network file systems refuse; the data itself is synced.
  } finally {
    closeSync(fd);
  }
}

/**
 * Gives the staged file or folder its name, replacing what is there in one step: whoever looks sees the old or the new.
 * The old is removed afterwards.
 *
 * @throws CheckpointError `target-exists` when something appeared there that was not to be replaced
 */
export function publishStaged(staged: string, target: string, kind: 'file' | 'folder', replaces: boolean): void {
  if (!replaces) {
    if (kind === 'file') {
      // Unlike rename, link refuses to replace a file that appeared meanwhile. Not every file system has it.
      try {
        linkSync(staged, target);
        rmSync(staged);
        return syncFolder(path.dirname(target));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw new CheckpointError('target-exists', { file: target }, 'it appeared while writing');
      }
    }
    if (existsSync(target)) throw new CheckpointError('target-exists', { file: target }, 'it appeared while writing');
    renameSync(staged, target);
  } else if (kind === 'file' || !existsSync(target)) {
    renameSync(staged, target);
  } else if (exchangePaths(staged, target)) {
    rmSync(staged, { recursive: true, force: true });
  } else {
    const old = stagedPath(target, 'old');
    renameSync(target, old);
    try {
      renameSync(staged, target);
    } catch (error) {
      renameSync(old, target);
      throw error;
    }
    rmSync(old, { recursive: true, force: true });
  }
  syncFolder(path.dirname(target));
}
