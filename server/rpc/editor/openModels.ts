/** The checkpoints the editor has open, by path; forgotten as soon as a file of theirs changes on disk. */
import { createHash } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { statSync } from 'node:fs';
import path from 'node:path';
import type { IoMode } from '../../core/bytes/byteSource';
import { throwIfCancelled } from '../../core/errors';
import { runJob, type Progress } from '../../core/job';
import type { Model } from '../../core/models/contract';
import { openModel } from '../../core/models/openModel';
import type { HistogramBudget } from '../../core/stats/histogramBudget';
import { emptyMoments, mergeMoments } from '../../core/stats/moments';
import { scanModel } from '../../core/stats/scan';
import type { StatsNumbers } from '../../protocol/verbs';
import type { WorkerAnswers, WorkerPool } from '../../core/workers/contract';
import { statsNumbers } from '../statsNumbers';
import { ScanStore } from './scanStore';
import { bytesOf, makeView, type ModelView, type ViewTensor } from './view';

/** At most this many checkpoints are kept open; the one that was not used for longest goes first. */
const MAX_OPEN = 8;
/** Stats of a file are trusted for this long: a scroll asks many times a second. */
const CHECK_EVERY_MS = 500;

/** One open checkpoint: headers, and what was scanned or read of it so far. */
export class OpenModel {
  readonly scans: ScanStore;
  /** Answers that cost a pass over a tensor: inner counts of coarse bins, and the layout of zeros. */
  readonly refined = new Map<string, WorkerAnswers['refine']>();
  readonly structures = new Map<string, WorkerAnswers['structure']>();
  private running: { promise: Promise<void>; waiters: number; abort: AbortController; progress: Set<(progress: Progress) => void> } | null = null;
  private readonly numbers = new Map<string, StatsNumbers>();
  scanSeconds = 0;

  constructor(readonly path: string, readonly model: Model, readonly view: ModelView, readonly fingerprint: string, private readonly budget: HistogramBudget) { this.scans = new ScanStore(budget); }

  get scanned(): boolean { return this.view.tensors.every(({ info }) => this.scans.has(info.name)); }
  get bytes(): number { return bytesOf(this.view.tensors); }

  statsOf = (tensors: readonly ViewTensor[]): StatsNumbers | null => {
    const key = tensors.length === 1 ? tensors[0].id : `${tensors.length} ${tensors[0]?.id} ${tensors[tensors.length - 1]?.id}`;
    const known = this.numbers.get(key);
    if (known) return known;
    const moments = tensors.map(({ info }) => this.scans.moments(info.name));
    if (tensors.length === 0 || moments.some((m) => m === null)) return null;
    const numbers = statsNumbers({ moments: moments.map((m) => m!).reduce(mergeMoments, emptyMoments), above: null });
    this.numbers.set(key, numbers);
    return numbers;
  };

  /** One pass; callers share it, and it is cancelled when the last of them is. */
  async scan(pool: WorkerPool, io: IoMode, signal: AbortSignal, onProgress: (progress: Progress) => void): Promise<void> {
    throwIfCancelled(signal);
    this.running ??= this.startScan(pool, io);
    const run = this.running;
    run.waiters++;
    run.progress.add(onProgress);
    const leave = (): void => { run.progress.delete(onProgress); if (--run.waiters === 0) run.abort.abort(); };
    signal.addEventListener('abort', leave, { once: true });
    try { await run.promise; } finally { signal.removeEventListener('abort', leave); run.progress.delete(onProgress); }
    throwIfCancelled(signal);
  }

  close(): void {
    this.running?.abort.abort();
    this.scans.clear();
    this.refined.clear();
  }

  private startScan(pool: WorkerPool, io: IoMode): NonNullable<OpenModel['running']> {
    const abort = new AbortController(), progress = new Set<(step: Progress) => void>(), started = performance.now();
    setMaxListeners(0, abort.signal); // one listener a slice that waits
    const names = this.view.tensors.map(({ info }) => info.name).filter((name) => !this.scans.has(name));
    const work = async (): Promise<void> => {
      // Each tensor is kept as it is done, so that rows fill in meanwhile and a cancelled scan goes on where it stopped.
      await runJob(scanModel(this.model, { threshold: null, names, io, histograms: this.budget, onTensor: (scan) => this.scans.put(scan) }, pool, abort.signal), (step) => progress.forEach((tell) => tell(step)));
      this.scanSeconds = (performance.now() - started) / 1000;
    };
    return { promise: work().finally(() => { this.running = null; }), waiters: 0, abort, progress };
  }
}

/** All of them, the latest used last. */
export class OpenModels {
  private readonly models = new Map<string, OpenModel>();
  private readonly checkedMs = new Map<string, number>();

  constructor(private readonly budget: HistogramBudget, private readonly onChanged: (path: string) => void) {}

  /** Headers only; from memory while no file changed. @throws CheckpointError as `openModel` does */
  get(target: string): OpenModel {
    const known = this.models.get(target);
    if (known && (performance.now() - (this.checkedMs.get(target) ?? 0) < CHECK_EVERY_MS || this.isCurrent(known))) {
      this.models.delete(target); // to the end: last used
      this.models.set(target, known);
      return known;
    }
    if (known) { this.forget(target); this.onChanged(target); }
    const model = openModel(target);
    const opened = new OpenModel(target, model, makeView(model), fingerprintOf(model), this.budget);
    this.models.set(target, opened);
    this.checkedMs.set(target, performance.now());
    for (const oldest of this.models.keys()) { if (this.models.size <= MAX_OPEN) break; this.forget(oldest); }
    return opened;
  }

  /** Looks at every open checkpoint's files; tells of those that changed. */
  check(): void {
    for (const opened of [...this.models.values()]) if (!this.isCurrent(opened)) { this.forget(opened.path); this.onChanged(opened.path); }
  }

  private isCurrent(opened: OpenModel): boolean {
    this.checkedMs.set(opened.path, performance.now());
    return fingerprintOf(opened.model) === opened.fingerprint;
  }

  private forget(target: string): void {
    this.models.get(target)?.close();
    this.models.delete(target);
    this.checkedMs.delete(target);
  }
}

/** Changes with the size or time of any weight file, the index or the config. */
function fingerprintOf(model: Model): string {
  const hash = createHash('sha256'), { checkpoint } = model;
  for (const file of [...checkpoint.files.map(({ path: weights }) => weights), ...(checkpoint.index ? [checkpoint.index] : []), path.join(checkpoint.folder, 'config.json')]) {
    const stat = statSync(file, { throwIfNoEntry: false });
    hash.update(`${file}\0${stat ? `${stat.size} ${stat.mtimeMs} ${stat.ino}` : 'gone'}\n`);
  }
  return hash.digest('hex').slice(0, 24);
}
