import { appendFileSync } from 'node:fs';
import { CheckpointError } from '../core/errors';
import type { Progress } from '../core/job';
import type { JobProgressJson } from '../protocol/verbs';

/**
 * How a detached job tells the editor how it is doing: `--progress-file PATH` appends JSON lines to PATH.
 *
 *     {"stage":"scanning","done":1048576,"total":6430000000,"unit":"bytes"}          JobProgressJson, at most two a second
 *     {"stage":"evaluating","done":3,"total":12,"unit":"windows","note":"31.2"}
 *     {"state":"done","out":"/models/gpt2-magnitude-50","message":null}             JobEndJson: always the last line
 *
 * `state` is `done`, `failed` or `cancelled`; `out` is the absolute path of what was written, when done and when there is
 * one; `message` is the whole line `winnow: <code>: <sentence>` without its prefix `winnow: `, when failed. A line is written with one
 * append and ends with a newline, so a reader drops a last line without one. A file without an end line whose process is
 * gone was killed: `lost`.
 */
export interface JobEndJson {
  state: 'done' | 'failed' | 'cancelled';
  out: string | null;
  message: string | null;
}

/** True for the last line of a progress file. */
export const isJobEnd = (line: JobProgressJson | JobEndJson): line is JobEndJson => 'state' in line;

const LEAST_GAP_MS = 500;

/** Appends progress to a file; writes nothing when there is no path. */
export class ProgressFile {
  private lastMs = 0;
  private lastStage = '';
  private ended = false;

  /** @throws CheckpointError `target-not-writable` when the file cannot be appended to */
  constructor(private readonly path: string | null) {
    if (path === null) return;
    try {
      appendFileSync(path, '');
    } catch (error) {
      throw new CheckpointError('target-not-writable', { file: path }, (error as NodeJS.ErrnoException).code ?? 'cannot be written', { cause: error });
    }
  }

  report(progress: Progress): void {
    if (this.path === null) return;
    const now = Date.now();
    if (progress.stage === this.lastStage && now - this.lastMs < LEAST_GAP_MS && progress.done !== progress.total) return;
    this.lastMs = now;
    this.lastStage = progress.stage;
    const line: JobProgressJson = { stage: progress.stage, done: progress.done, total: progress.total, unit: progress.unit, ...(progress.note === undefined ? {} : { note: progress.note }) };
    this.append(line);
  }

  /** Writes the last line, once. */
  end(end: JobEndJson): void {
    if (this.path === null || this.ended) return;
    this.ended = true;
    this.append(end);
  }

  private append(line: JobProgressJson | JobEndJson): void {
    try {
      appendFileSync(this.path!, `${JSON.stringify(line)}\n`);
    } catch {
      // A full disk must not stop the job itself; the follower sees the process end.
    }
  }
}
