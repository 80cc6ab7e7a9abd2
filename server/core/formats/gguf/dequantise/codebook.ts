import { packedGrids } from './grids';
import type { PackedGrid } from './grids';
import { half, halfValues, byBlock } from './half';
import type { Dequantise } from './half';

/** The rows of a codebook one after the other. */
function unpack({ rows, width, values, bits, codes }: PackedGrid): Float32Array {
  const packed = Buffer.from(codes, 'base64'), each = 8 / bits, mask = 2 ** bits - 1;
  return Float32Array.from({ length: rows * width }, (_, i) => values[(packed[Math.floor(i / each)] >> ((i % each) * bits)) & mask]);
}

/** Unpacked on first use: most sessions never meet these types. */
function lazily<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => (made ??= make());
}
const grids = {
  iq2_xxs: lazily(() => unpack(packedGrids.iq2_xxs)), iq2_xs: lazily(() => unpack(packedGrids.iq2_xs)), iq2_s: lazily(() => unpack(packedGrids.iq2_s)),
  iq3_xxs: lazily(() => unpack(packedGrids.iq3_xxs)), iq3_s: lazily(() => unpack(packedGrids.iq3_s)), iq1_s: lazily(() => unpack(packedGrids.iq1_s)),
};

/** Signs of eight values from seven bits: the eighth makes their number even. */
function evenSigns(seven: number): number {
  let odd = seven;
  odd ^= odd >> 4;
  odd ^= odd >> 2;
  odd ^= odd >> 1;
  return seven | ((odd & 1) << 7);
}

const u16 = (bytes: Uint8Array, at: number): number => bytes[at] | (bytes[at + 1] << 8);
const u32 = (bytes: Uint8Array, at: number): number => (u16(bytes, at) | (u16(bytes, at + 2) << 16)) >>> 0;

/** `width` values of row `row`, times d, with a sign for each from bit 0 of `signs` up. */
function emit(out: Float32Array, to: number, grid: Float32Array, row: number, width: number, d: number, signs: number): void {
  const from = row * width;
  for (let i = 0; i < width; i++) out[to + i] = (signs >> i) & 1 ? d * -grid[from + i] : d * grid[from + i];
}

/** d (F16); for each part of 32: four rows (bytes), then 4 x 7 bits of signs and a scale in the top four. */
export const iq2_xxs: Dequantise = byBlock(66, 256, (bytes, at, out, to) => {
  const d = half(bytes, at), grid = grids.iq2_xxs();
  for (let part = 0; part < 8; part++) {
    const from = at + 2 + part * 8, tail = u32(bytes, from + 4), db = d * (0.5 + (tail >>> 28)) * 0.25;
    for (let k = 0; k < 4; k++) emit(out, to + part * 32 + k * 8, grid, bytes[from + k], 8, db, evenSigns((tail >>> (7 * k)) & 127));
  }
});

/** d (F16); 32 words of a row (9 bits) and signs (7); 16 scales of four bits. */
export const iq2_xs: Dequantise = byBlock(74, 256, (bytes, at, out, to) => {
  const d = half(bytes, at), grid = grids.iq2_xs();
  for (let k = 0; k < 32; k++) {
    const word = u16(bytes, at + 2 + k * 2), scale = (bytes[at + 66 + (k >> 2)] >> (((k >> 1) & 1) * 4)) & 15;
    emit(out, to + k * 8, grid, word & 511, 8, d * (0.5 + scale) * 0.25, evenSigns(word >> 9));
  }
});

/** d (F16); 32 row bytes; 32 sign bytes; two more row bits for each; 16 scales of four bits. */
export const iq2_s: Dequantise = byBlock(82, 256, (bytes, at, out, to) => {
  const d = half(bytes, at), grid = grids.iq2_s();
  for (let k = 0; k < 32; k++) {
    const row = bytes[at + 2 + k] | (((bytes[at + 66 + (k >> 2)] >> ((k & 3) * 2)) & 3) << 8), scale = (bytes[at + 74 + (k >> 2)] >> (((k >> 1) & 1) * 4)) & 15;
    emit(out, to + k * 8, grid, row, 8, d * (0.5 + scale) * 0.25, bytes[at + 34 + k]);
  }
});

/** d (F16); 64 row bytes; for each part of 32: 4 x 7 bits of signs and a scale in the top four. */
export const iq3_xxs: Dequantise = byBlock(98, 256, (bytes, at, out, to) => {
  const d = half(bytes, at), grid = grids.iq3_xxs();
  for (let part = 0; part < 8; part++) {
    const tail = u32(bytes, at + 66 + part * 4), db = d * (0.5 + (tail >>> 28)) * 0.5;
    for (let k = 0; k < 8; k++) {
      const signs = evenSigns((tail >>> (7 * (k >> 1))) & 127);
      emit(out, to + part * 32 + k * 4, grid, bytes[at + 2 + part * 8 + k], 4, db, signs >> ((k & 1) * 4));
    }
  }
});

/** d (F16); 64 row bytes; a ninth row bit for each; 32 sign bytes; 8 scales of four bits. */
export const iq3_s: Dequantise = byBlock(110, 256, (bytes, at, out, to) => {
  const d = half(bytes, at), grid = grids.iq3_s();
  for (let k = 0; k < 64; k++) {
    const row = bytes[at + 2 + k] | (((bytes[at + 66 + (k >> 3)] >> (k & 7)) & 1) << 8), scale = (bytes[at + 106 + (k >> 4)] >> (((k >> 3) & 1) * 4)) & 15;
    emit(out, to + k * 4, grid, row, 4, d * (1 + 2 * scale), bytes[at + 74 + (k >> 1)] >> ((k & 1) * 4));
  }
});

const DELTA = 0.125;

function emitShifted(out: Float32Array, to: number, grid: Float32Array, row: number, d: number, delta: number): void {
  for (let i = 0; i < 8; i++) out[to + i] = d * (grid[row * 8 + i] + delta);
}

/** d (F16); 32 row bytes; for each part of 32 a word: 4 x 3 row bits, a scale of three bits, the sign of the shift. */
export const iq1_s: Dequantise = byBlock(50, 256, (bytes, at, out, to) => {
  const d = half(bytes, at), grid = grids.iq1_s();
  for (let part = 0; part < 8; part++) {
    const word = u16(bytes, at + 34 + part * 2), dl = d * (2 * ((word >> 12) & 7) + 1), delta = word & 0x8000 ? -DELTA : DELTA;
    for (let k = 0; k < 4; k++) emitShifted(out, to + part * 32 + k * 8, grid, bytes[at + 2 + part * 4 + k] | (((word >> (3 * k)) & 7) << 8), dl, delta);
  }
});

/** 32 row bytes; three more row bits and the sign of the shift for each; 16 scales of three bits, with d (F16) in the top four bits of the four words. */
export const iq1_m: Dequantise = byBlock(56, 256, (bytes, at, out, to) => {
  const grid = grids.iq1_s(), words = [0, 2, 4, 6].map((offset) => u16(bytes, at + 48 + offset));
  const d = halfValues[(words[0] >> 12) | ((words[1] >> 8) & 0xf0) | ((words[2] >> 4) & 0xf00) | (words[3] & 0xf000)];
  for (let k = 0; k < 32; k++) {
    const more = (bytes[at + 32 + (k >> 1)] >> ((k & 1) * 4)) & 15, scale = (words[k >> 3] >> (3 * ((k >> 1) & 3))) & 7;
    emitShifted(out, to + k * 8, grid, bytes[at + k] | ((more & 7) << 8), d * (2 * scale + 1), more & 8 ? -DELTA : DELTA);
  }
});
