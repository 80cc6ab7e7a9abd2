import { openTensor } from '../../bytes/decodedSource';
import type { IoMode } from '../../bytes/byteSource';
import type { BlockStatistics, CalibrationSummary } from '../../calibration/contract';
import { CheckpointError, throwIfCancelled } from '../../errors';
import type { Checkpoint } from '../../formats/contract';
import type { Job } from '../../job';
import { decodeInto } from '../../tensor/decode';
import { dtypes } from '../../tensor/dtype';
import { valueBytes } from '../../tensor/tensorInfo';
import type { TensorInfo } from '../../tensor/tensorInfo';
import type { PlanTools, TensorRule } from '../contract';
import type { UnitGroup, UnitPart } from './units';

/** Elements read in one step: whole bytes of every dtype. */
const WINDOW_ELEMENTS = 2 ** 20;

/** Walks over the finite values of a tensor in flat order, window by window. */
export async function* overValues(checkpoint: Checkpoint, info: TensorInfo, io: IoMode, visit: (value: number, index: number) => void, report: (bytes: number) => void, signal?: AbortSignal): Job<void> {
  const source = openTensor(checkpoint.files[info.file], info, io), { bits } = dtypes[info.dtype];
  const most = Math.min(WINDOW_ELEMENTS, info.elements), bytes = new Uint8Array(Math.ceil((most * bits) / 64) * 8), values = new Float64Array(most);
  try {
    for (let first = 0; first < info.elements; first += WINDOW_ELEMENTS) {
      throwIfCancelled(signal);
      const n = Math.min(WINDOW_ELEMENTS, info.elements - first);
      source.read((first * bits) / 8, ((first + n) * bits) / 8, bytes);
      decodeInto(info.dtype, bytes, n, values);
      for (let i = 0; i < n; i++) if (Number.isFinite(values[i])) visit(values[i], first + i);
      report((n * bits) / 8);
      await new Promise((resolve) => { setImmediate(resolve); });
    }
  } finally {
    source.close();
  }
  yield* [];
}

/**
 * The score of every unit: the L2 norm of all its weights, biases aside (as magnitude does for single weights). With `norms`, the L2
 * norms of the inputs of the matrices that read the units (by name), it is the norm of what the units pass on: sqrt(sum (w x norm)^2) over
 * the `out` parts, Wanda's score summed over a structure.
 *
 * @returns one array a group, in its units' order
 */
export async function* scoreUnits(checkpoint: Checkpoint, groups: readonly UnitGroup[], norms: ReadonlyMap<string, Float64Array> | null, io: IoMode, signal?: AbortSignal): Job<readonly Float64Array[]> {
  const scored = (part: UnitPart): boolean => part.info.shape.length === 2 && (norms === null ? !part.info.name.includes('relative_attention_bias') : part.out);
  const total = groups.flatMap(({ parts }) => parts.filter(scored)).reduce((sum, { info }) => sum + valueBytes(info), 0);
  const scores: Float64Array[] = [];
  let done = 0;
  for (const { units, parts } of groups) {
    const squares = new Float64Array(units);
    for (const part of parts.filter(scored)) {
      yield { stage: 'score', done, total, unit: 'bytes' };
      const width = part.info.shape[1], unitOf = unitOfPlace(part, units), norm = norms?.get(part.info.name);
      yield* overValues(checkpoint, part.info, io, (value, index) => {
        const place = part.axis === 0 ? Math.floor(index / width) : index % width, unit = unitOf[place];
        if (unit >= 0) squares[unit] += (norm ? value * norm[place] : value) ** 2;
      }, (bytes) => { done += bytes; }, signal);
    }
    scores.push(squares.map(Math.sqrt));
  }
  return scores;
}

/**
 * Norms of what the matrices that read the units were fed, by name, and what was read; null where no calibration is asked for.
 *
 * @throws CheckpointError `inputs-unknown` for a matrix that calibration does not come by
 */
export async function* outputNorms(groups: readonly UnitGroup[], tools: PlanTools, signal?: AbortSignal): Job<{ readonly norms: ReadonlyMap<string, Float64Array>; readonly summary: CalibrationSummary } | null> {
  if (!tools.calibrate) return null;
  const norms = new Map<string, Float64Array>(), names = new Set(groups.flatMap(({ parts }) => parts.filter(({ out }) => out).map(({ info }) => info.name)));
  const look = async function* (block: BlockStatistics): Job<ReadonlyMap<string, TensorRule>> {
    for (const [name, { sumOfSquares }] of block.inputs) norms.set(name, sumOfSquares.map(Math.sqrt));
    yield* [];
    return new Map<string, TensorRule>();
  };
  const summary = yield* tools.calibrate('norms', names, look, signal, 'dense');
  for (const name of names) if (!norms.has(name)) throw new CheckpointError('inputs-unknown', { tensor: name }, '');
  return { norms, summary };
}

/** The unit of every place along a part's axis, -1 where a place is no unit's. */
export function unitOfPlace({ info, axis, size, offsets }: UnitPart, units: number): Int32Array {
  const owner = new Int32Array(info.shape[axis]).fill(-1);
  for (const offset of offsets) for (let unit = 0; unit < units; unit++) owner.fill(unit, offset + unit * size, offset + (unit + 1) * size);
  return owner;
}
