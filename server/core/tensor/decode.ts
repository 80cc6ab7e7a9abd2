import { codeValues, readCode } from '../kernels/codes';
import { dtypes } from './dtype';
import type { DType } from './dtype';

/** Elements that every dtype stores in whole bytes when counted in multiples of this (F4: 2, F6: 4). */
export const WHOLE_BYTES = 8;

/** Doubles that one element decodes to: a complex number is two. */
export const partsOf = (dtype: DType): number => (dtype === 'C64' ? 2 : 1);

/**
 * Decodes little-endian elements to doubles. 64-bit integers beyond 2^53 are rounded, everything else is exact.
 *
 * @param bytes starts at offset 0 of its buffer; at least elements x bits / 8 long
 * @param out at least elements x partsOf(dtype) long
 */
export function decodeInto(dtype: DType, bytes: Uint8Array<ArrayBuffer>, elements: number, out: Float64Array): void {
  const values = codeValues(dtype);
  if (values !== null) {
    if (dtypes[dtype].bits === 16) {
      const codes = new Uint16Array(bytes.buffer, 0, elements);
      for (let i = 0; i < elements; i++) out[i] = values[codes[i]];
    } else for (let i = 0; i < elements; i++) out[i] = values[readCode(bytes, dtypes[dtype].bits, i)];
    return;
  }
  if (dtype === 'I64' || dtype === 'U64') {
    const words = dtype === 'I64' ? new BigInt64Array(bytes.buffer, 0, elements) : new BigUint64Array(bytes.buffer, 0, elements);
    for (let i = 0; i < elements; i++) out[i] = Number(words[i]);
    return;
  }
  const wide = dtype === 'F64' ? new Float64Array(bytes.buffer, 0, elements)
    : dtype === 'I32' ? new Int32Array(bytes.buffer, 0, elements)
    : dtype === 'U32' ? new Uint32Array(bytes.buffer, 0, elements)
    : new Float32Array(bytes.buffer, 0, elements * partsOf(dtype));
  out.set(wide);
}
