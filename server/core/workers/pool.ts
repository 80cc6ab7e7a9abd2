import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { CheckpointError } from '../errors';
import { removeSpills } from '../bytes/decoders/spill';
import { distFolder } from '../paths';
import type { WorkerAnswers, WorkerPool, WorkerTask } from './contract';
import type { FromWorker, ToWorker, WorkerStart } from './messages';

interface Entry {
  readonly id: number;
  readonly task: WorkerTask;
  readonly onBytes: ((bytes: number) => void) | undefined;
  settle(outcome: { answer: WorkerAnswers[WorkerTask['kind']] } | { error: CheckpointError }): void;
}

interface Seat {
  readonly worker: Worker;
  readonly cancelled: Int32Array;
  entry: Entry | null;
}

const MAX_TASK_ID = 0x7fffffff;

/**
 * A pool of worker threads, started as work comes. Tasks run in the order in which they were given.
 *
 * @param options.threads at most this many workers, >= 1
 */
export function makePool(options: { readonly threads: number }): WorkerPool {
  return new ThreadPool(Math.max(1, Math.floor(options.threads)));
}

class ThreadPool implements WorkerPool {
  private readonly seats = new Set<Seat>();
  private queue: Entry[] = [];
  private nextId = 1;
  private closed = false;

  constructor(readonly threads: number) {}

  run<T extends WorkerTask>(task: T, signal?: AbortSignal, onBytes?: (bytes: number) => void): Promise<WorkerAnswers[T['kind']]> {
    return new Promise((resolve, reject) => {
      if (this.closed) { reject(new CheckpointError('cancelled', {}, 'the pool is closed')); return; }
      if (signal?.aborted) { reject(new CheckpointError('cancelled', {}, '')); return; }
      const id = this.nextId;
      this.nextId = id === MAX_TASK_ID ? 1 : id + 1;
      const onAbort = (): void => this.cancel(entry);
      const entry: Entry = {
        id, task, onBytes,
        settle(outcome) {
          signal?.removeEventListener('abort', onAbort);
          if ('error' in outcome) reject(outcome.error);
          else resolve(outcome.answer as WorkerAnswers[T['kind']]);
        },
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.queue.push(entry);
      this.pump();
    });
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    const error = new CheckpointError('cancelled', {}, 'the pool was closed');
    const waiting = this.queue;
    this.queue = [];
    for (const entry of waiting) entry.settle({ error });
    const seats = [...this.seats];
    this.seats.clear();
    await Promise.all(seats.map(async (seat) => {
      // A running task sees the flag and lets go of its files; terminate() then ends the thread either way.
      if (seat.entry) Atomics.store(seat.cancelled, 0, seat.entry.id);
      await seat.worker.terminate();
      seat.entry?.settle({ error });
      seat.entry = null;
    }));
    removeSpills();
  }

  /** A waiting task ends at once; a running one when its worker sees the flag, so that nobody writes after the rejection. */
  private cancel(entry: Entry): void {
    const at = this.queue.indexOf(entry);
    if (at >= 0) {
      this.queue.splice(at, 1);
      entry.settle({ error: new CheckpointError('cancelled', {}, '') });
      return;
    }
    for (const seat of this.seats) if (seat.entry === entry) Atomics.store(seat.cancelled, 0, entry.id);
  }

  private pump(): void {
    while (this.queue.length > 0) {
      let seat = [...this.seats].find((one) => one.entry === null);
      if (!seat) {
        if (this.seats.size >= this.threads) return;
        seat = this.seat();
      }
      const entry = this.queue.shift() as Entry;
      seat.entry = entry;
      seat.worker.ref();
      seat.worker.postMessage({ id: entry.id, task: entry.task } satisfies ToWorker);
    }
  }

  private seat(): Seat {
    const cancelled = new Int32Array(new SharedArrayBuffer(4));
    const worker = new Worker(path.join(distFolder(), 'worker.js'), { workerData: { cancelled } satisfies WorkerStart });
    const seat: Seat = { worker, cancelled, entry: null };
    this.seats.add(seat);
    worker.on('message', (message: FromWorker) => this.hear(seat, message));
    worker.on('error', (error) => this.lose(seat, error.message));
    worker.on('exit', (code) => this.lose(seat, `exit ${code}`));
    return seat;
  }

  private hear(seat: Seat, message: FromWorker): void {
    const { entry } = seat;
    if (!entry || entry.id !== message.id) return;
    if (message.type === 'bytes') { entry.onBytes?.(message.bytes); return; }
    seat.entry = null;
    seat.worker.unref(); // an idle worker keeps nobody alive
    if (message.type === 'answer' && message.bytes > 0) entry.onBytes?.(message.bytes);
    if (message.type === 'answer') entry.settle({ answer: message.answer });
    else entry.settle({ error: new CheckpointError(message.code, message.where, message.detail) });
    this.pump();
  }

  /** A dead worker fails its own task; the next task gets a new one. */
  private lose(seat: Seat, reason: string): void {
    if (!this.seats.delete(seat)) return;
    const { entry } = seat;
    seat.entry = null;
    entry?.settle({ error: new CheckpointError('child-died', 'source' in entry.task ? { file: entry.task.source.file.path } : {}, `worker thread: ${reason}`) });
    this.pump();
  }
}
