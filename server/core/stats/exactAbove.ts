import type { IoMode } from '../bytes/byteSource';
import type { Job } from '../job';
import type { Model } from '../models/contract';
import { valueBytes, type TensorInfo } from '../tensor/tensorInfo';
import type { WorkerPool } from '../workers/contract';
import { tensorSource } from '../workers/slices';
import { countAt, refineTensor } from '../workers/tensorTasks';
import type { TensorScan } from './contract';
import { countAtMost, keyAround } from './histogram';
import { overTensors } from './overTensors';

/** The distinct magnitudes of one coarse bin of one tensor, ascending, with their counts. */
export interface RefinedBin { readonly values: Float64Array; readonly counts: Float64Array }

/** Refined bins that were read once, the latest up to a limit of bytes. One a checkpoint; drop it when a file changes. */
export class RefinedBins {
  private readonly bins = new Map<string, RefinedBin>();
  private bytes = 0;

  constructor(private readonly limitBytes = 64 * 2 ** 20) {}

  get(tensor: string, key: number): RefinedBin | undefined {
    return this.bins.get(`${key} ${tensor}`);
  }

  set(tensor: string, key: number, bin: RefinedBin): void {
    this.bins.set(`${key} ${tensor}`, bin);
    this.bytes += sizeOf(bin);
    for (const [oldest, old] of this.bins) {
      if (this.bytes <= this.limitBytes || old === bin) break;
      this.bins.delete(oldest);
      this.bytes -= sizeOf(old);
    }
  }
}

const sizeOf = (bin: RefinedBin): number => 16 * bin.values.length + 256;

/**
 * How many |w| of each scanned tensor are strictly greater than `threshold`, exact: from the histogram where that is exact
 * (16-bit and smaller types, and whenever no filled bin spans the threshold), else by reading the tensor once more, which
 * `cache` saves the next time. Progress counts only the bytes that are read again.
 */
export async function* exactAbove(
  model: Model, scans: ReadonlyMap<string, TensorScan>, threshold: number, pool: WorkerPool,
  options: { readonly io: IoMode; readonly cache?: RefinedBins; readonly names?: readonly string[] }, signal?: AbortSignal,
): Job<Map<string, number>> {
  const above = new Map<string, number>();
  const wanted = options.names ? new Set(options.names) : null;
  const open: { tensor: TensorInfo; scan: TensorScan; key: number; countLow: number }[] = [];
  for (const tensor of model.checkpoint.tensors) {
    const scan = scans.get(tensor.name);
    if (!scan || (wanted && !wanted.has(tensor.name))) continue;
    const known = knownAbove(scan, threshold, options.cache);
    if (known.above === null) open.push({ tensor, scan, ...known });
    else above.set(tensor.name, known.above);
  }
  if (open.length === 0) return above;
  yield* overTensors('refine', open, ({ tensor }) => valueBytes(tensor), pool.threads + 2, async ({ tensor, scan, key, countLow }, onBytes, stop) => {
    const source = tensorSource(model.checkpoint, tensor, options.io);
    const numbers = scan.moments.elements - scan.moments.nan;
    if (scan.histogram.space === 'F32') {
      const bin = await refineTensor(pool, source, [key], stop, onBytes);
      options.cache?.set(tensor.name, key, bin);
      above.set(tensor.name, numbers - countLow - atMost(bin, threshold));
    } else {
      const { less, equal } = await countAt(pool, source, threshold, stop, onBytes);
      above.set(tensor.name, numbers - less - equal);
    }
  }, signal);
  return above;
}

function atMost(bin: RefinedBin, threshold: number): number {
  let count = 0;
  for (let i = 0; i < bin.values.length && bin.values[i] <= threshold; i++) count += bin.counts[i];
  return count;
}

/** The exact count where it is known without reading; else the bin to refine and the count of the bins below it. */
function knownAbove(scan: TensorScan, threshold: number, cache: RefinedBins | undefined): { above: number | null; key: number; countLow: number } {
  const numbers = scan.moments.elements - scan.moments.nan;
  const { low, high } = countAtMost(scan.histogram, threshold);
  const key = keyAround(scan.histogram, threshold) ?? -1;
  // 64-bit integers are binned by their rounded magnitude: beyond 2^53 the bin around the threshold is always read.
  if (low === high && !(scan.dtype.endsWith('64') && scan.dtype !== 'F64' && Math.abs(threshold) >= 2 ** 53 && key >= 0)) return { above: numbers - low, key, countLow: low };
  const bin = scan.histogram.space === 'F32' ? cache?.get(scan.name, key) : undefined;
  return { above: bin ? numbers - low - atMost(bin, threshold) : null, key, countLow: low };
}
