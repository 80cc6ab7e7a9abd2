import { openTensor } from '../bytes/decodedSource';
import type { IoMode } from '../bytes/byteSource';
import { CheckpointError, throwIfCancelled } from '../errors';
import type { CheckpointFile } from '../formats/contract';
import { codeValues, readCode } from '../kernels/codes';
import { dtypes } from '../tensor/dtype';
import { valueBytes, type TensorInfo } from '../tensor/tensorInfo';

/** A multiple of every element, the packed ones too (F6: four in three bytes). */
const WINDOW_BYTES = 3 * 2 ** 20;

/** A way to cut a matrix (the last two axes) into units that are pruned on their own. */
export interface Units {
  /** Weights of one unit: all inputs of a row, or M of N:M. They run along the input axis. */
  readonly length: number;
  /** How many of each unit are selected, smallest first. */
  readonly selected: number;
  /** Inputs of one output unit; what is left after whole units is left alone. */
  readonly inputs: number;
  readonly orientation: 'out-in' | 'in-out';
}

export interface UnitCounts {
  /** Zeros of the tensor after the rule. */
  readonly zerosAfter: number;
  /** Selected positions: fewer than asked where a unit has too many NaN. */
  readonly selected: number;
  /** Zeros in whole units before that exceed what each unit asks for. */
  readonly unitsAlreadySparser: number;
  readonly units: number;
}

/**
 * What a rule per row or group makes of one tensor, exactly and without ordering anything: a unit of L weights with z
 * zeros and n NaN ends with max(z, min(selected, L - n)) zeros. One pass in windows of a few MiB; needed only where a
 * tensor has zeros or NaN already.
 */
export async function countUnits(file: CheckpointFile, info: TensorInfo, units: Units, io: IoMode, signal?: AbortSignal): Promise<UnitCounts> {
  const { length, selected: asked, inputs, orientation } = units;
  const wholeInputs = inputs - (inputs % length);
  const line = info.shape[info.shape.length - 1];
  const width = orientation === 'out-in' ? 1 : line;
  // One counter for the unit in hand, or one per output where inputs run down the columns.
  const zeros = new Uint32Array(width), nans = new Uint32Array(width);
  let zerosAfter = 0, selected = 0, unitsAlreadySparser = 0, count = 0;
  const flush = (slot: number): void => {
    const reach = Math.min(asked, length - nans[slot]);
    zerosAfter += Math.max(zeros[slot], reach);
    selected += reach;
    if (zeros[slot] > asked) unitsAlreadySparser++;
    count++;
    zeros[slot] = 0;
    nans[slot] = 0;
  };

  const { bits } = dtypes[info.dtype];
  const source = openTensor(file, info, io), size = valueBytes(info);
  try {
    const bytes = new Uint8Array(WINDOW_BYTES), marks = new Uint8Array((WINDOW_BYTES * 8) / bits);
    let column = 0, row = 0;
    for (let from = 0; from < size; from += WINDOW_BYTES) {
      throwIfCancelled(signal);
      const to = Math.min(size, from + WINDOW_BYTES), elements = ((to - from) * 8) / bits;
      source.read(from, to, bytes);
      markZerosAndNaN(info, bytes, elements, marks);
      for (let i = 0; i < elements; i++) {
        const input = orientation === 'out-in' ? column : row, slot = orientation === 'out-in' ? 0 : column;
        const mark = marks[i];
        if (input >= wholeInputs) zerosAfter += mark & ZERO;
        else {
          zeros[slot] += mark & ZERO;
          nans[slot] += mark >> 1;
          if ((input + 1) % length === 0) flush(slot);
        }
        if (++column === line) { column = 0; if (++row === inputs) row = 0; }
      }
      await new Promise((resolve) => { setImmediate(resolve); });
    }
  } finally {
    source.close();
  }
  return { zerosAfter, selected, unitsAlreadySparser, units: count };
}

const ZERO = 1, NOT_A_NUMBER = 2;

/** Writes ZERO, NOT_A_NUMBER or 0 for each of the first `elements` values of `bytes`. */
function markZerosAndNaN(info: TensorInfo, bytes: Uint8Array, elements: number, marks: Uint8Array): void {
  const mark = (magnitude: number, infinity: number): number => (magnitude === 0 ? ZERO : magnitude > infinity ? NOT_A_NUMBER : 0);
  const { dtype } = info, { bits } = dtypes[dtype];
  if (dtype === 'F32') {
    const words = new Uint32Array(bytes.buffer, 0, elements);
    for (let i = 0; i < elements; i++) marks[i] = mark(words[i] & 0x7fffffff, 0x7f800000);
  } else if (dtype === 'F16' || dtype === 'BF16') {
    const words = new Uint16Array(bytes.buffer, 0, elements), infinity = dtype === 'F16' ? 0x7c00 : 0x7f80;
    for (let i = 0; i < elements; i++) marks[i] = mark(words[i] & 0x7fff, infinity);
  } else {
    const values = codeValues(dtype), wide = dtype === 'F64' ? new Float64Array(bytes.buffer, 0, elements) : null;
    if (values === null && wide === null) throw new CheckpointError('unsupported-dtype', { tensor: info.name }, dtype);
    for (let i = 0; i < elements; i++) {
      const value = wide ? wide[i] : values![readCode(bytes, bits, i)];
      marks[i] = value === 0 ? ZERO : Number.isNaN(value) ? NOT_A_NUMBER : 0;
    }
  }
}
