import type { DType } from './dtype';

/** A tensor without its values: where its bytes lie and how to read them. Row-major, little endian, contiguous. */
export interface TensorInfo {
  readonly name: string;
  readonly dtype: DType;
  /** e.g. (out, in) for a Linear, (in, out) for GPT-2's Conv1D; [] is a scalar with one element. */
  readonly shape: readonly number[];
  /** Product of the shape. */
  readonly elements: number;
  /** Index into `Checkpoint.files`. */
  readonly file: number;
  /** First byte in that file. */
  readonly from: number;
  /** One past the last byte. */
  readonly to: number;
}

/** Orders names by Unicode code point: the order in which ties at the threshold are broken (not JavaScript's UTF-16 order). */
export function compareCodePoints(a: string, b: string): number {
  const shorter = Math.min(a.length, b.length);
  for (let i = 0; i < shorter; i++) {
    const x = a.charCodeAt(i), y = b.charCodeAt(i);
    if (x === y) continue;
    // Surrogates (0xD800..0xDFFF) stand for code points above every other UTF-16 unit.
    const xs = x >= 0xd800 && x <= 0xdfff, ys = y >= 0xd800 && y <= 0xdfff;
    return xs === ys ? x - y : xs ? 1 : -1;
  }
  return a.length - b.length;
}
