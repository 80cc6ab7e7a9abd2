import type { DType } from '../tensor/dtype';

/** Dtypes that are neither counted by code nor by a float kernel. */
export type WideDType = 'F64' | 'I32' | 'U32' | 'I64' | 'U64' | 'C64';
export const WIDE_BLOCK = 2048;

/**
 * Values of wide dtypes as doubles, for the plain path. C64 gives its modulus (NaN when a part is NaN). 64-bit integers are
 * rounded to the nearest double (a non-zero one never becomes zero), but compared with thresholds exactly.
 */
export class WideReader {
  private readonly view: DataView;

  constructor(private readonly dtype: WideDType, bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Values of the elements [from, from + n) into `out`. */
  read(from: number, n: number, out: Float64Array): void {
    for (let i = 0; i < n; i++) out[i] = this.value(from + i);
  }

  value(i: number): number {
    const { view } = this;
    switch (this.dtype) {
      case 'F64': return view.getFloat64(8 * i, true);
      case 'I32': return view.getInt32(4 * i, true);
      case 'U32': return view.getUint32(4 * i, true);
      case 'I64': return Number(view.getBigInt64(8 * i, true));
      case 'U64': return Number(view.getBigUint64(8 * i, true));
      case 'C64': {
        const re = view.getFloat32(8 * i, true), im = view.getFloat32(8 * i + 4, true);
        return Number.isNaN(re) || Number.isNaN(im) ? NaN : Math.sqrt(re * re + im * im);
      }
    }
  }

  /** The sign of |w| - magnitude, exact; NaN for NaN. */
  compare(i: number, magnitude: number): number {
    const rounded = Math.abs(this.value(i));
    if (rounded < 2 ** 53 || !Number.isFinite(magnitude) || (this.dtype !== 'I64' && this.dtype !== 'U64')) {
      return rounded === magnitude ? 0 : rounded - magnitude;
    }
    const whole = this.dtype === 'I64' ? this.view.getBigInt64(8 * i, true) : this.view.getBigUint64(8 * i, true);
    const size = whole < 0n ? -whole : whole, floor = BigInt(Math.floor(magnitude));
    return size > floor ? 1 : size === floor && Number.isInteger(magnitude) ? 0 : -1;
  }
}

/** True for the dtypes that `WideReader` reads. */
export const isWide = (dtype: DType): dtype is WideDType =>
  dtype === 'F64' || dtype === 'I32' || dtype === 'U32' || dtype === 'I64' || dtype === 'U64' || dtype === 'C64';
