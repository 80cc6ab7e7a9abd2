/** Jobs: detached `winnow` CLI processes that outlive the window. Started, followed by their progress file, cancelled, found again. */
import { spawn } from 'node:child_process';
import { closeSync, openSync, statSync, watch, type FSWatcher } from 'node:fs';
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { makeFolder } from '../core/bytes/makeFolder';
import type { JobJson, JobKind, Params } from '../protocol/editor';
import { CallFailure } from './ipc';
import { complaintOf, logPath, progressPath, readProgress, readRuns, removeRun, writeRun, type RunFile } from './jobFiles';
import { isAlive, startStamp } from './processIdentity';
import { describeExit } from './restartPolicy';

export interface JobStoreOptions {
  /** Where the run files live: outlives windows. Made when it is missing. */
  readonly folder: string;
  /** The CLI's entry, run by `execPath` (Electron or Node). */
  readonly cli: string;
  readonly execPath?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly onChange: (job: JobJson) => void;
  /** How often running jobs are looked at, besides the file watcher. */
  readonly pollMs?: number;
  /** From the polite signal to the kill. */
  readonly graceMs?: number;
}

const KINDS: readonly JobKind[] = ['prune', 'sweep', 'convert', 'eval'];
/** Ended jobs beyond these are forgotten, oldest first. */
const MAX_ENDED = 50;

/** The jobs of one storage folder, whichever window or server started them. */
export class JobStore {
  private runs = new Map<string, RunFile>();
  private readonly exits = new Map<string, string>();
  private watcher: FSWatcher | null = null;
  private timer: NodeJS.Timeout | null = null;

  constructor(private readonly options: JobStoreOptions) {
    makeFolder(options.folder);
    for (const run of readRuns(options.folder)) this.runs.set(run.job.id, run);
    this.forgetOld();
    this.refresh();
  }

  /** Newest first. */
  list(): JobJson[] {
    this.refresh();
    return [...this.runs.values()].map((run) => run.job).sort((a, b) => b.startedMs - a.startedMs);
  }

  /** @throws CallFailure `usage` for a kind or arguments that are no job's */
  start({ kind, checkpoint, args, title }: Params<'startJob'>): JobJson {
    if (!KINDS.includes(kind) || !path.isAbsolute(checkpoint) || args[0] !== kind || !args.every((arg) => typeof arg === 'string' && !arg.includes('\0'))) throw new CallFailure('usage', `${String(kind)} with these arguments is not a job.`);
    const { folder } = this.options;
    const id = `${kind}-${Date.now().toString(36)}-${randomBytes(3).toString('hex')}`;
    const log = openSync(logPath(folder, id), 'a');
    const job: JobJson = { id, kind, title, checkpoint, args, pid: 0, state: 'running', startedMs: Date.now(), endedMs: null, progress: null, out: null, message: null };
    try {
      const child = spawn(this.options.execPath ?? process.execPath, [this.options.cli, ...args, '--progress-file', progressPath(folder, id)], {
        detached: true, stdio: ['ignore', log, log], cwd: folderOf(checkpoint), windowsHide: true, env: { ...(this.options.env ?? process.env), ELECTRON_RUN_AS_NODE: '1' },
      });
      // While this server lives it hears the exit at once; the file alone is enough after it.
      child.on('exit', (code, signal) => { this.exits.set(id, describeExit(code, signal)); this.refresh(); });
      child.on('error', (error) => { this.exits.set(id, `could not be started: ${error.message}`); this.refresh(); });
      child.unref();
      const pid = child.pid ?? 0;
      this.keep({ job: { ...job, pid }, stamp: pid ? startStamp(pid) : null, cancelledMs: null });
    } finally { closeSync(log); }
    this.follow();
    return this.runs.get(id)!.job;
  }

  /** Asks politely, then kills. The answer comes at once; the end comes as a change. */
  cancel(id: string): JobJson {
    const run = this.find(id);
    if (run.job.state !== 'running') return run.job;
    const asked: RunFile = { ...run, cancelledMs: run.cancelledMs ?? Date.now() };
    this.keep(asked);
    signalTo(run, 'SIGINT', false);
    setTimeout(() => { const now = this.runs.get(id); if (now?.job.state === 'running') { signalTo(now, 'SIGKILL', true); this.refresh(); } }, this.options.graceMs ?? 5_000).unref();
    return asked.job;
  }

  /** Forgets an ended job and its files. */
  dismiss(id: string): void {
    if (this.find(id).job.state === 'running') throw new CallFailure('usage', 'A running job cannot be dismissed; cancel it first.');
    this.runs.delete(id);
    removeRun(this.options.folder, id);
  }

  log(id: string): string { return logPath(this.options.folder, this.find(id).job.id); }

  /** Stops following. Jobs go on. */
  close(): void {
    this.watcher?.close();
    if (this.timer) clearInterval(this.timer);
    this.watcher = this.timer = null;
  }

  /** Looks at every running job once; tells of what changed. */
  refresh(): void {
    for (const run of this.runs.values()) {
      if (run.job.state !== 'running') continue;
      const next = this.look(run);
      if (next === run) continue;
      if (next.job.state !== run.job.state) { this.keep(next); this.exits.delete(next.job.id); } else this.runs.set(next.job.id, next);
      this.options.onChange(next.job);
    }
    if ([...this.runs.values()].some((run) => run.job.state === 'running')) this.follow();
    else this.close();
  }

  private look(run: RunFile): RunFile {
    // Whether it lives is asked before its file is read: what ends in between has written its last line already.
    const gone = this.exits.has(run.job.id) || !isAlive(run.job.pid, run.stamp);
    const { progress, end } = readProgress(this.options.folder, run.job.id);
    const ended = (state: JobJson['state'], out: string | null, message: string | null): RunFile => ({ ...run, job: { ...run.job, state, out, message, progress: progress ?? run.job.progress, endedMs: Date.now() } });
    if (end) return ended(end.state, end.out, end.message);
    if (gone) {
      if (run.cancelledMs !== null) return ended('cancelled', null, null);
      const complaint = complaintOf(this.options.folder, run.job.id);
      if (complaint) return ended('failed', null, complaint);
      return ended('lost', null, `The process ${this.exits.get(run.job.id) ?? 'is gone: it was ended from outside, or the machine restarted'}; see its log.`);
    }
    return progress && JSON.stringify(progress) !== JSON.stringify(run.job.progress) ? { ...run, job: { ...run.job, progress } } : run;
  }

  private keep(run: RunFile): void {
    this.runs.set(run.job.id, run);
    writeRun(this.options.folder, run);
  }

  private find(id: string): RunFile {
    const run = this.runs.get(id);
    if (!run) throw new CallFailure('usage', `There is no job ${id}.`);
    return run;
  }

  private follow(): void {
    if (this.timer) return;
    this.timer = setInterval(() => this.refresh(), this.options.pollMs ?? 1_000);
    this.timer.unref();
    let soon: NodeJS.Timeout | null = null;
    try {
      this.watcher = watch(this.options.folder, { persistent: false }, (_event, name) => {
        if (!String(name).endsWith('.progress') || soon) return;
        soon = setTimeout(() => { soon = null; if (this.timer) this.refresh(); }, 50);
        soon.unref();
      });
      this.watcher.on('error', () => { /* the poll goes on */ });
    } catch { /* no watcher on this file system: the poll goes on */ }
  }

  private forgetOld(): void {
    const ended = [...this.runs.values()].filter((run) => run.job.state !== 'running');
    for (const run of ended.slice(0, Math.max(0, ended.length - MAX_ENDED))) this.dismiss(run.job.id);
  }
}

/** Signals a job that is still itself; the whole group (its children too) when `group`. */
function signalTo(run: RunFile, signal: NodeJS.Signals, group: boolean): void {
  if (!isAlive(run.job.pid, run.stamp)) return;
  try { process.kill(group && process.platform !== 'win32' ? -run.job.pid : run.job.pid, signal); } catch { /* it ended in between */ }
}

/** A folder that exists, for the process to run in: the checkpoint itself or the folder that holds it. */
function folderOf(checkpoint: string): string | undefined {
  for (const folder of [checkpoint, path.dirname(checkpoint)]) {
    try { if (statSync(folder).isDirectory()) return folder; } catch { /* try the next */ }
  }
  return undefined;
}
