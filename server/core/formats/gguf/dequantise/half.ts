import { codeValues } from '../../../kernels/codes';

/** Value of every F16 code; scales of blocks are F16. */
export const halfValues = codeValues('F16') as Float64Array;

/** The little-endian F16 at byte `at`. */
export const half = (bytes: Uint8Array, at: number): number => halfValues[bytes[at] | (bytes[at + 1] << 8)];

export const signed8 = (byte: number): number => (byte << 24) >> 24;

/**
 * Turns `blocks` whole blocks that start at byte `at` into F32, from element `to` of `out` on. Sums and products are made in
 * doubles, which hold every intermediate of these types exactly, and rounded once.
 */
export type Dequantise = (bytes: Uint8Array, at: number, blocks: number, out: Float32Array, to: number) => void;

/** A dequantiser made from the step for one block of `blockBytes` bytes and `elements` values. */
export const byBlock = (blockBytes: number, elements: number, one: (bytes: Uint8Array, at: number, out: Float32Array, to: number) => void): Dequantise =>
  (bytes, at, blocks, out, to) => {
    for (let block = 0; block < blocks; block++) one(bytes, at + block * blockBytes, out, to + block * elements);
  };
