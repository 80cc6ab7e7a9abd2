import { parentPort, workerData } from 'node:worker_threads';
import { interruptible } from '../bytes/interrupt';
import { CheckpointError } from '../errors';
import { loadKernels } from '../kernels/kernels';
import type { WorkerAnswers, WorkerTask } from './contract';
import { countTask, refineTask } from './countTask';
import { hashTask } from './hashTask';
import { packTask } from './packTask';
import { eliminateTask, sweepTask } from './denseTask';
import { maskTask } from './maskTask';
import type { FromWorker, ToWorker, WorkerStart } from './messages';
import { scanTask } from './scanTask';
import { structureTask } from './structureTask';
import { sumsTask } from './sumsTask';
import { streamWindows, withSource, withTarget, type TaskContext } from './task';

// The entry of one worker thread: one WASM instance, one task at a time. A task that throws ends only itself.

function perform(context: TaskContext, task: WorkerTask): WorkerAnswers[WorkerTask['kind']] {
  switch (task.kind) {
    case 'scan': return scanTask(context, task.source, task.threshold);
    case 'refine': return refineTask(context, task.source, task.keys);
    case 'count': return countTask(context, task.source, task.magnitude);
    case 'structure': return structureTask(context, task.source, task.orientation);
    case 'sums': return sumsTask(context, task.source);
    case 'mask': return maskTask(context, task);
    case 'pack': return packTask(context, task);
    case 'hash': return hashTask(context, task.source);
    case 'eliminate': return eliminateTask(context, task);
    case 'sweep': return sweepTask(context, task);
    case 'copy': return withSource(task.source, (bytes) => withTarget(task.target, (writer) => {
      streamWindows(context, task.source, bytes, 1, (length, offset) => writer.write(context.kernels.buffer.subarray(0, length), task.target.at + offset));
      return { bytes: task.source.to - task.source.from };
    }));
  }
}

/** What an answer made for itself and gives away instead of being copied. */
function arraysOf(answer: WorkerAnswers[WorkerTask['kind']]): ArrayBuffer[] {
  const arrays = 'histogram' in answer ? [answer.histogram.keys, answer.histogram.counts] : 'values' in answer ? [answer.values, answer.counts] : [];
  return arrays.map(({ buffer }) => buffer as ArrayBuffer);
}

/** Every message wakes the main thread, which the workers then wait for on a busy machine. */
const PROGRESS_MS = 50;

if (parentPort) {
  const port = parentPort, { cancelled } = workerData as WorkerStart;
  const kernels = loadKernels();
  const send = (message: FromWorker, owned: ArrayBuffer[] = []): void => port.postMessage(message, owned);
  port.on('message', ({ id, task }: ToWorker) => {
    const check = (): void => {
      if (Atomics.load(cancelled, 0) === id) throw new CheckpointError('cancelled', {}, '');
    };
    try {
      check();
      let untold = 0, toldAt = performance.now();
      const progress = (bytes: number): void => {
        untold += bytes;
        const now = performance.now();
        if (now - toldAt < PROGRESS_MS) return;
        send({ type: 'bytes', id, bytes: untold });
        untold = 0;
        toldAt = now;
      };
      const answer = interruptible(check, () => perform({ kernels, check, progress }, task));
      send({ type: 'answer', id, bytes: untold, answer }, arraysOf(answer));
    } catch (error) {
      const { code, where, detail } = error instanceof CheckpointError ? error : { code: 'internal' as const, where: {}, detail: error instanceof Error ? `${error.name}: ${error.message}` : String(error) };
      send({ type: 'failure', id, code, where, detail });
    }
  });
}
