import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Calibrate, CalibrationRequest, CalibrationSummary, InputStatistics } from '../../../server/core/calibration/contract';
import { runJob } from '../../../server/core/job';
import { openModel } from '../../../server/core/models/openModel';
import type { Model } from '../../../server/core/models/contract';
import { planPrune } from '../../../server/core/pruning/planPrune';
import type { PrunePlan, PruneRequest, TensorRule } from '../../../server/core/pruning/contract';
import type { WorkerPool } from '../../../server/core/workers/contract';

/** The references of test/golden/pruning/methods.py. */
export const home = path.join(__dirname, '../../golden/pruning/methods');

/** Tokens that the stored statistics are of. */
const ROWS = 200;

export interface MethodCase {
  model: 'gpt2' | 'llama'; method: string; key: string; sparsity: number | null; pattern: [number, number] | null;
  block?: number; damping?: number; which?: 'moments' | 'indefinite'; tensors?: Record<string, { zeros: number; damping: number; error: number }>;
  exclude?: string[]; m?: number; lambda?: number; published?: boolean; blocks?: number[];
}

export const methodCases = JSON.parse(readFileSync(path.join(home, 'methods.json'), 'utf8')) as MethodCase[];
export const goldenModel = (name: MethodCase['model']): Model => openModel(path.join(home, name));

/** The bytes of every tensor of a safetensors file. */
export function rawTensors(file: string): Map<string, Uint8Array<ArrayBuffer>> {
  const all = readFileSync(file), start = 8 + Number(all.readBigUInt64LE(0));
  const header = JSON.parse(all.subarray(8, start).toString()) as Record<string, { data_offsets: [number, number] }>;
  return new Map(Object.entries(header).filter(([name]) => name !== '__metadata__').map(([name, { data_offsets: [from, to] }]) => [name, Uint8Array.from(all.subarray(start + from, start + to))]));
}

export const expectedOf = (model: MethodCase['model']): Map<string, Uint8Array<ArrayBuffer>> => rawTensors(path.join(home, `${model}-expected.safetensors`));

/** Stored statistics in place of a calibration. Second moments go to a file of `folder`. */
export function storedStatistics(model: MethodCase['model'], which: 'moments' | 'indefinite', folder: string): ReadonlyMap<string, InputStatistics> {
  const stored = rawTensors(path.join(home, `${model}-statistics.safetensors`)), statistics = new Map<string, InputStatistics>();
  mkdirSync(folder, { recursive: true });
  for (const [key, bytes] of stored) {
    if (!key.startsWith('sums:')) continue;
    const tensor = key.slice(5), sumOfSquares = new Float64Array(bytes.buffer), moments = stored.get(`${which}:${tensor}`);
    const realPath = path.join(folder, `${which}-${tensor}.bin`);
    if (moments) writeFileSync(realPath, moments);
    statistics.set(tensor, { tensor, inputs: sumOfSquares.length, rows: ROWS, sumOfSquares, secondMoments: moments ? { realPath, from: 0, byteLength: statSync(realPath).size } : null });
  }
  return statistics;
}

export const noCalibration: CalibrationRequest = { text: '/nowhere', samples: 1, length: null, seed: 0, oneShot: true, provider: 'cpu', threads: 1, dataFolder: null };
const summary: CalibrationSummary = { text: '/nowhere', textSha256: '', samples: 1, length: ROWS, tokens: ROWS, seed: 0, oneShot: true, provider: 'cpu' };

/** A calibration that knows the answers; a block of the network is a number in the tensors' names. */
export function calibrateWith(statistics: ReadonlyMap<string, InputStatistics>): Calibrate {
  return async function* calibrate(_needs, names, prune) {
    const layerOf = (name: string): number => Number(/\.(\d+)\./.exec(name)![1]), wanted = [...statistics.values()].filter(({ tensor }) => names.has(tensor));
    const layers = [...new Set(wanted.map(({ tensor }) => layerOf(tensor)))].sort((a, b) => a - b);
    for (const [block, layer] of layers.entries()) {
      const rules: ReadonlyMap<string, TensorRule> = yield* prune({ block, blocks: layers.length, inputs: new Map(wanted.filter(({ tensor }) => layerOf(tensor) === layer).map((one) => [one.tensor, one])) });
      if ([...rules.keys()].some((name) => layerOf(name) !== layer)) throw new Error('rules of another block');
    }
    return summary;
  };
}

/** Plans with stored statistics. */
export async function planWith(
  model: Model, method: string, request: Partial<PruneRequest>, statistics: ReadonlyMap<string, InputStatistics>, pool: WorkerPool, folder: string,
): Promise<PrunePlan> {
  mkdirSync(folder, { recursive: true });
  const full: PruneRequest = { sparsity: 0.5, scope: 'row', pattern: 'unstructured', include: [], exclude: [], seed: 0, calibration: noCalibration, ...request };
  return await runJob(planPrune(model, method, full, pool, { io: 'pread', calibrate: calibrateWith(statistics), scratch: { path: folder } }));
}
