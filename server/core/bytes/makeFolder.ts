import { mkdirSync, statSync } from 'node:fs';
import path from 'node:path';

/**
 * Makes a folder and the parents it lacks; one that is there is fine. Not `mkdirSync(..., { recursive: true })`: where the
 * system says ENOENT for a new name in an existing folder (below /proc), Node 20 tries for ever and hears no signal.
 *
 * @returns the outermost folder that was made, or undefined when all were there
 * @throws system errors of mkdir
 */
export function makeFolder(folder: string): string | undefined {
  const missing: string[] = [];
  for (let at = path.resolve(folder); ; at = path.dirname(at)) {
    if (statSync(at, { throwIfNoEntry: false })?.isDirectory() || path.dirname(at) === at) break;
    missing.push(at);
  }
  let outermost: string | undefined;
  for (const at of missing.reverse()) {
    try {
      mkdirSync(at);
      outermost ??= at;
    } catch (error) {
      // Another process may have made it meanwhile.
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || !statSync(at, { throwIfNoEntry: false })?.isDirectory()) throw error;
    }
  }
  return outermost;
}
