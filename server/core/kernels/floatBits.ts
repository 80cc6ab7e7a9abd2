import type { DType } from '../tensor/dtype';

/** Floats whose magnitude patterns (bits less the sign) the kernels compare as integers. */
export type KernelFloat = 'BF16' | 'F16' | 'F32';
export const isKernelFloat = (dtype: DType): dtype is KernelFloat => dtype === 'BF16' || dtype === 'F16' || dtype === 'F32';

/** Magnitude pattern of infinity. Everything above it is NaN. */
export const infinityBits: Readonly<Record<KernelFloat, number>> = { BF16: 0x7f80, F16: 0x7c00, F32: 0x7f800000 };

const scratch = new DataView(new ArrayBuffer(8));

export function float32FromBits(bits: number): number {
  scratch.setUint32(0, bits >>> 0);
  return scratch.getFloat32(0);
}

export function bitsOfFloat32(value: number): number {
  scratch.setFloat32(0, value);
  return scratch.getUint32(0);
}

/** The double whose high word is `high` and low word is `low`. */
export function float64FromWords(high: number, low: number): number {
  scratch.setUint32(0, high >>> 0);
  scratch.setUint32(4, low >>> 0);
  return scratch.getFloat64(0);
}

/** The top 16 bits of |value| as a double, less the sign: its key in the F64 space. */
export function float64Key(value: number): number {
  scratch.setFloat64(0, value);
  return scratch.getUint16(0) & 0x7fff;
}

/** Magnitude of a 15-bit F16 pattern. */
export function float16FromBits(bits: number): number {
  const exponent = (bits >> 10) & 0x1f, fraction = bits & 0x3ff;
  const magnitude = exponent === 0 ? fraction * 2 ** -24 : exponent === 0x1f ? (fraction ? NaN : Infinity) : (1024 + fraction) * 2 ** (exponent - 25);
  return bits & 0x8000 ? -magnitude : magnitude;
}

/** The value of a pattern, sign included where the pattern has it. */
export function valueOfBits(dtype: KernelFloat, bits: number): number {
  if (dtype === 'F32') return float32FromBits(bits);
  return dtype === 'BF16' ? float32FromBits(bits << 16) : float16FromBits(bits);
}

/**
 * The smallest magnitude pattern whose value is >= `magnitude`, and whether it is equal. Elements with a smaller pattern are
 * exactly those with |w| < magnitude. Beyond infinity does not occur: magnitude Infinity gives infinity's pattern.
 */
export function patternAtLeast(dtype: KernelFloat, magnitude: number): { readonly bits: number; readonly equal: boolean } {
  if (Number.isNaN(magnitude)) throw new RangeError('a magnitude is NaN');
  if (magnitude < 0) return { bits: 0, equal: false };
  let low = 0, high = infinityBits[dtype];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (valueOfBits(dtype, middle) >= magnitude) high = middle;
    else low = middle + 1;
  }
  return { bits: low, equal: valueOfBits(dtype, low) === magnitude };
}

/** The largest magnitude pattern whose value is <= `magnitude`; -1 when there is none. Larger patterns are exactly |w| > magnitude (or NaN). */
export function patternAtMost(dtype: KernelFloat, magnitude: number): number {
  const { bits, equal } = patternAtLeast(dtype, magnitude);
  return equal ? bits : bits - 1;
}
