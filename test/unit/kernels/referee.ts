// Plain TypeScript versions of the kernels: slow, obvious, written from the rules and not from the kernels.
import { valueOfBits, type KernelFloat } from '../../../server/core/kernels/floatBits';

export const sizeOf = (dtype: KernelFloat): number => (dtype === 'F32' ? 4 : 2);

/** Patterns of the elements at `offset`, sign included. */
export function patterns(dtype: KernelFloat, bytes: Uint8Array, offset: number, n: number): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: n }, (_, i) => (dtype === 'F32' ? view.getUint32(offset + 4 * i, true) : view.getUint16(offset + 2 * i, true)));
}

const signBit = (dtype: KernelFloat): number => (dtype === 'F32' ? 0x80000000 : 0x8000);

/** |w| of a pattern; NaN for NaN. */
export const magnitude = (dtype: KernelFloat, pattern: number): number => valueOfBits(dtype, pattern >= signBit(dtype) ? pattern - signBit(dtype) : pattern);

export const value = (dtype: KernelFloat, pattern: number): number => (pattern >= signBit(dtype) ? -magnitude(dtype, pattern) : magnitude(dtype, pattern));

export interface PlainMoments { finite: number; nan: number; inf: number; zeros: number; sum: number; mean: number; m2: number; min: number; max: number }

export function plainMoments(values: readonly number[]): PlainMoments {
  const finite = values.filter(Number.isFinite);
  const sum = exactSum(finite), mean = sum / finite.length;
  return {
    finite: finite.length, nan: values.filter(Number.isNaN).length, inf: values.filter((x) => Math.abs(x) === Infinity).length,
    zeros: values.filter((x) => x === 0).length, sum, mean, m2: exactSum(finite.map((x) => (x - mean) ** 2)),
    min: finite.length ? Math.min(...finite) : NaN, max: finite.length ? Math.max(...finite) : NaN,
  };
}

/** Neumaier's compensated sum. */
export function exactSum(values: readonly number[]): number {
  let sum = 0, lost = 0;
  for (const x of values) {
    const next = sum + x;
    lost += Math.abs(sum) >= Math.abs(x) ? sum - next + x : x - next + sum;
    sum = next;
  }
  return sum + lost;
}

/** Writes 0 where |w| < threshold, and over the first `ties` equal ones. Answers what was zero and what became so. */
export function plainCut(dtype: KernelFloat, pattern: readonly number[], threshold: number, ties: number): { out: number[]; zeros: number; changed: number } {
  let left = ties, zeros = 0, changed = 0;
  const out = pattern.map((bits) => {
    const m = magnitude(dtype, bits);
    if (m === 0) zeros++;
    const selected = m < threshold || (m === threshold && left-- > 0);
    if (selected && m !== 0) changed++;
    return selected ? 0 : bits;
  });
  return { out, zeros, changed };
}

/** The `wanted` smallest of the given positions: by magnitude, then by position; NaN never. */
export function plainSmallest(dtype: KernelFloat, pattern: readonly number[], positions: readonly number[], wanted: number): number[] {
  const numbers = positions.filter((i) => !Number.isNaN(magnitude(dtype, pattern[i])));
  return numbers.sort((a, b) => magnitude(dtype, pattern[a]) - magnitude(dtype, pattern[b]) || a - b).slice(0, wanted);
}
