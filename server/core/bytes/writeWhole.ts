import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { partialPath } from '../temporaries';

/** Writes beside and renames, so that a reader sees the old file or the whole new one. */
export function writeWhole(target: string, bytes: string | Uint8Array): void {
  const beside = partialPath(target);
  try {
    writeFileSync(beside, bytes);
    renameSync(beside, target);
  } catch (error) {
    rmSync(beside, { force: true });
    throw error;
  }
}
