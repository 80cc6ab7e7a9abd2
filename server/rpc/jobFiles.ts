/** The files of one job in the storage folder: `<id>.json` (the run file), `<id>.progress`, `<id>.log`. Read as a stranger's. */
import { closeSync, fstatSync, openSync, readdirSync, readFileSync, readSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { JobJson } from '../protocol/editor';
import type { JobProgressJson } from '../protocol/verbs';
import { isJobEnd, type JobEndJson } from './progressFile';

/** A job as it is written down: what the editor sees, and what is needed to find the process again. */
export interface RunFile { readonly job: JobJson; readonly stamp: string | null; readonly cancelledMs: number | null }

/** Where the job appends its progress. */
export const progressPath = (folder: string, id: string): string => path.join(folder, `${id}.progress`);
/** Where what the job prints goes. */
export const logPath = (folder: string, id: string): string => path.join(folder, `${id}.log`);
const runPath = (folder: string, id: string): string => path.join(folder, `${id}.json`);
const ID = /^[a-z]+-[0-9a-z-]{1,60}$/;
const MAX_RUN_BYTES = 1 << 20, TAIL_BYTES = 16_384;

/** Writes the run file beside and renames it. */
export function writeRun(folder: string, run: RunFile): void {
  const target = runPath(folder, run.job.id), beside = `${target}.${process.pid}.tmp`;
  writeFileSync(beside, JSON.stringify(run));
  renameSync(beside, target);
}

/** Removes all files of a job. */
export function removeRun(folder: string, id: string): void {
  for (const file of [runPath(folder, id), progressPath(folder, id), logPath(folder, id)]) rmSync(file, { force: true });
}

/** Every run file that can be read, oldest first; others are left alone. */
export function readRuns(folder: string): RunFile[] {
  let names: string[];
  try { names = readdirSync(folder); } catch { return []; }
  const runs: RunFile[] = [];
  for (const name of names) {
    const id = name.endsWith('.json') ? name.slice(0, -5) : '';
    if (!ID.test(id)) continue;
    try {
      const text = readFileSync(runPath(folder, id), 'utf8');
      const run = text.length <= MAX_RUN_BYTES ? (JSON.parse(text) as RunFile) : null;
      if (run && run.job.id === id && Number.isSafeInteger(run.job.pid) && Array.isArray(run.job.args)) runs.push(run);
    } catch { /* half written, or not ours */ }
  }
  return runs.sort((a, b) => a.job.startedMs - b.job.startedMs);
}

/** The last whole lines of a file, at most TAIL_BYTES of them; empty when there is none. */
export function tail(file: string): string[] {
  let fd: number;
  try { fd = openSync(file, 'r'); } catch { return []; }
  try {
    const { size } = fstatSync(fd), from = Math.max(0, size - TAIL_BYTES), buffer = Buffer.alloc(size - from);
    const read = readSync(fd, buffer, 0, buffer.length, from);
    const lines = buffer.toString('utf8', 0, read).split('\n');
    lines.pop(); // without a newline it is not finished
    if (from > 0) lines.shift();
    return lines;
  } catch { return []; } finally { closeSync(fd); }
}

/** The newest progress and the end record of a job's progress file. */
export function readProgress(folder: string, id: string): { progress: JobProgressJson | null; end: JobEndJson | null } {
  let progress: JobProgressJson | null = null, end: JobEndJson | null = null;
  for (const line of tail(progressPath(folder, id)).reverse()) {
    try {
      const value = JSON.parse(line) as JobProgressJson | JobEndJson;
      if (isJobEnd(value)) end ??= value;
      else if (typeof value.stage === 'string' && typeof value.done === 'number') { progress = value; break; }
    } catch { /* not a line of ours */ }
  }
  return { progress, end };
}

/** The CLI's own last complaint, `winnow: <code>: <sentence>`, without its first word. */
export function complaintOf(folder: string, id: string): string | null {
  const line = tail(logPath(folder, id)).reverse().find((text) => text.startsWith('winnow: '));
  return line ? line.slice('winnow: '.length) : null;
}
