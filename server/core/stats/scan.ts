import type { IoMode } from '../bytes/byteSource';
import { throwIfCancelled } from '../errors';
import type { Job } from '../job';
import type { Model } from '../models/contract';
import { valueBytes, type TensorInfo } from '../tensor/tensorInfo';
import type { WorkerPool } from '../workers/contract';
import { tensorSource } from '../workers/slices';
import { scanTensor } from '../workers/tensorTasks';
import type { TensorScan } from './contract';
import { processHistograms } from './histogramBudget';
import type { HistogramBudget } from './histogramBudget';
import { overTensors } from './overTensors';

export interface ScanOptions {
  /** Counts |w| > threshold of each tensor; null does not. */
  readonly threshold: number | null;
  /** Only these tensors; all when absent. */
  readonly names?: readonly string[];
  readonly io: IoMode;
  /** Called as each tensor is done, so that rows can fill in while the scan goes on. */
  readonly onTensor?: (scan: TensorScan) => void;
  /** Where histograms go; the process's own budget when absent. */
  readonly histograms?: HistogramBudget;
}

/**
 * One exact pass over a checkpoint: histogram and moments of every tensor, by name. Progress in bytes. The same to the last
 * bit for any number of threads. Memory: at most 64 MiB of histograms; those before are read back from disk when looked at.
 *
 * @throws `cancelled`, `file-changed-while-reading`, `short-read`, `child-died`
 */
export async function* scanModel(model: Model, options: ScanOptions, pool: WorkerPool, signal?: AbortSignal): Job<Map<string, TensorScan>> {
  const { checkpoint } = model;
  const wanted = options.names ? new Set(options.names) : null;
  const tensors = checkpoint.tensors.filter((tensor) => !wanted || wanted.has(tensor.name));
  const scans = new Map<string, TensorScan>();
  const scanOne = async (tensor: TensorInfo, onBytes: (bytes: number) => void, stop: AbortSignal): Promise<void> => {
    const answer = await scanTensor(pool, tensorSource(checkpoint, tensor, options.io), { threshold: options.threshold }, stop, onBytes);
    const scan = (options.histograms ?? processHistograms).keep({ name: tensor.name, dtype: tensor.dtype, ...answer });
    scans.set(tensor.name, scan);
    options.onTensor?.(scan);
  };
  throwIfCancelled(signal);
  yield* overTensors('scan', tensors, valueBytes, pool.threads + 2, scanOne, signal);
  // In checkpoint order, whichever came first.
  return new Map(tensors.map((tensor) => [tensor.name, scans.get(tensor.name) as TensorScan]));
}

