import { CheckpointError, type Place } from '../errors';
import { clearCode, codeValues, readCode } from '../kernels/codes';
import { dtypes, type DType } from '../tensor/dtype';

/**
 * Elements of a window as magnitudes that can be written as +0.0: what the plain mask paths work on, for every dtype that
 * has a zero to write. Infinity stays infinity, NaN stays NaN (it compares with nothing).
 */
export interface FloatCells {
  magnitude(index: number): number;
  clear(index: number): void;
}

/** @throws `unsupported-dtype` for integers, booleans, complex numbers and E8M0, which has no zero */
export function floatCells(dtype: DType, bytes: Uint8Array): FloatCells {
  requireMaskable(dtype);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (dtype === 'F32') return { magnitude: (i) => Math.abs(view.getFloat32(4 * i, true)), clear: (i) => view.setUint32(4 * i, 0) };
  if (dtype === 'F64') return { magnitude: (i) => Math.abs(view.getFloat64(8 * i, true)), clear: (i) => view.setFloat64(8 * i, 0) };
  const values = codeValues(dtype) as Float64Array, { bits } = dtypes[dtype];
  return { magnitude: (i) => Math.abs(values[readCode(bytes, bits, i)]), clear: (i) => clearCode(bytes, bits, i) };
}

/** Throws unless a weight of this dtype can be pruned. */
export function requireMaskable(dtype: DType, where: Place = {}): void {
  if (dtypes[dtype].kind !== 'float' || dtype === 'F8_E8M0') throw new CheckpointError('unsupported-dtype', where, `${dtype} cannot be pruned`);
}
