/** Run files of children: the next start ends those whose parent is gone (killed, with the child too busy to notice). */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { makeFolder } from '../core/bytes/makeFolder';
import { isAlive, startStamp } from './processIdentity';

interface ChildFile { readonly pid: number; readonly stamp: string | null; readonly parent: number; readonly parentStamp: string | null }

const NAME = /^\d+\.json$/;

/** Writes down that this process has a child. @returns what to call when the child has ended */
export function noteChild(folder: string, pid: number, parent = process.pid): () => void {
  const file = path.join(folder, `${pid}.json`);
  try {
    makeFolder(folder);
    writeFileSync(file, JSON.stringify({ pid, stamp: startStamp(pid), parent, parentStamp: startStamp(parent) } satisfies ChildFile));
  } catch { /* a full or read-only disk: the child still ends with its channel */ }
  return () => rmSync(file, { force: true });
}

/** Ends every noted child whose parent is gone; without a start time nothing is ended, for the pid may be another's by now. */
export function reapOrphans(folder: string): number[] {
  let names: string[];
  try { names = readdirSync(folder).filter((name) => NAME.test(name)); } catch { return []; }
  const ended: number[] = [];
  for (const name of names) {
    const file = path.join(folder, name);
    let child: ChildFile;
    try { child = JSON.parse(readFileSync(file, 'utf8')) as ChildFile; } catch { rmSync(file, { force: true }); continue; }
    if (isAlive(child.parent, child.parentStamp)) continue;
    if (child.stamp !== null && isAlive(child.pid, child.stamp)) {
      try { process.kill(child.pid, 'SIGKILL'); ended.push(child.pid); } catch { /* it ended in between */ }
    }
    rmSync(file, { force: true });
  }
  return ended;
}
