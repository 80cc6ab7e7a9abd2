import { randomBytes } from 'node:crypto';
import { lstatSync, readdirSync, rmSync } from 'node:fs';
import { hostname } from 'node:os';
import path from 'node:path';
import { makeFolder } from './bytes/makeFolder';

/**
 * Names of things that must not outlive the process that makes them: `<name>.<host>-<pid>-<random>.partial` for a file that
 * is renamed when it is whole, `.scratch-<host>-<pid>-<random>` for a folder. Whole outputs have the names of
 * `pruning/staging.ts`. The host is in the name because two machines may work in one shared folder, and a process of the
 * other one only looks gone.
 */
const temporaryNames = [/\.([A-Za-z0-9_]*)-(\d+)-[0-9a-f]{8}\.partial$/, /^\.scratch-([A-Za-z0-9_]*)-(\d+)-[0-9a-f]{8}$/];

/** This machine, in letters that fit into a name without ending a part of it. */
export const hostPart = (): string => hostname().replace(/[^A-Za-z0-9_]/g, '_').slice(0, 40);

const ownPart = (): string => `${hostPart()}-${process.pid}-${randomBytes(4).toString('hex')}`;

let listener: (folder: string) => void = () => {};

/** Tells `hear` of every folder that a temporary is about to lie in: a parent cleans up there when this process is killed. */
export function onTemporary(hear: (folder: string) => void): void {
  listener = hear;
}

/** To be called before a temporary is made in `folder`. */
export const announceTemporary = (folder: string): void => listener(folder);

/** A name for a file that becomes `target` by a rename. */
export function partialPath(target: string): string {
  announceTemporary(path.dirname(target));
  return `${target}.${ownPart()}.partial`;
}

/** A name for a folder of this process below `folder`. */
export function scratchPath(folder: string): string {
  announceTemporary(folder);
  return path.join(folder, `.scratch-${ownPart()}`);
}

/** A folder of this process that is made when it is first asked for, and removed with all that is in it. */
export interface Scratch { readonly path: string; remove(): void }

/** A scratch folder below `folder`, which may not be there yet. What a kill leaves is known by its name (`removeTemporaries`). */
export function makeScratch(folder: string): Scratch {
  let made: string | null = null;
  return {
    get path() {
      if (made === null) {
        made = scratchPath(folder);
        makeFolder(made);
      }
      return made;
    },
    remove() {
      if (made !== null) rmSync(made, { recursive: true, force: true });
      made = null;
    },
  };
}

/** True while a process with this id runs, whoever's it is. */
export function isProcessAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Removes what killed processes left in `folder`; a folder that is not there holds nothing. */
export function removeTemporaries(folder: string): void {
  if (!lstatSync(folder, { throwIfNoEntry: false })) return;
  for (const name of readdirSync(folder)) {
    const match = temporaryNames.map((one) => one.exec(name)).find((found) => found !== null);
    if (match && match[1] === hostPart() && !isProcessAlive(Number(match[2]))) rmSync(path.join(folder, name), { recursive: true, force: true });
  }
}
