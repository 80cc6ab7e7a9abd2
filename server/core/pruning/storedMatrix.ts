import { decodeInto } from '../tensor/decode';
import { encodeInto, type Convertible } from '../tensor/narrow';

/** A matrix in the bytes of its dtype, seen input by input whichever way it is stored. */
export interface StoredMatrix {
  readonly inputs: number;
  readonly outputs: number;
  /** Inputs [from, from + count) as doubles, (count, outputs). */
  read(from: number, count: number, into: Float64Array): void;
  /** The reverse, rounded to the dtype, ties to even. Answers how many finite values became infinite. */
  write(from: number, count: number, values: Float64Array): number;
}

const items = { F64: Float64Array, F32: Uint32Array, F16: Uint16Array, BF16: Uint16Array } as const;

/** @param bytes the matrix as stored, row-major: (outputs, inputs) or (inputs, outputs); written in place */
export function storedMatrix(dtype: Convertible, bytes: Uint8Array<ArrayBuffer>, inputs: number, outputs: number, orientation: 'out-in' | 'in-out'): StoredMatrix {
  const Items = items[dtype], size = Items.BYTES_PER_ELEMENT, stored = new Items(bytes.buffer, bytes.byteOffset, inputs * outputs);
  // The block as it is stored, one input after the other.
  const strip = (count: number): InstanceType<typeof Items> => new Items(count * outputs);
  const move = (from: number, count: number, block: InstanceType<typeof Items>, isRead: boolean): void => {
    if (orientation === 'in-out') {
      if (isRead) block.set(stored.subarray(from * outputs, (from + count) * outputs));
      else stored.set(block, from * outputs);
      return;
    }
    for (let x = 0; x < outputs; x++) {
      const row = x * inputs + from;
      if (isRead) for (let i = 0; i < count; i++) block[i * outputs + x] = stored[row + i];
      else for (let i = 0; i < count; i++) stored[row + i] = block[i * outputs + x];
    }
  };
  return {
    inputs, outputs,
    read(from, count, into) {
      const block = strip(count);
      move(from, count, block, true);
      decodeInto(dtype, new Uint8Array(block.buffer), count * outputs, into);
    },
    write(from, count, values) {
      const block = strip(count), overflowed = encodeInto(dtype, values, count * outputs, new Uint8Array(block.buffer, 0, count * outputs * size));
      move(from, count, block, false);
      return overflowed;
    },
  };
}
