import { byBlock, half, halfValues } from './half';
import type { Dequantise } from './half';

const POWERS = [1, 3, 9, 27, 81];

/** 48 bytes of five base-3 digits, 4 bytes of four, d (F16). A byte is its digits as a fraction of 256; value: d (digit - 1). */
export const tq1_0: Dequantise = byBlock(54, 256, (bytes, at, out, to) => {
  const d = half(bytes, at + 52);
  let next = to;
  const digits = (from: number, width: number, count: number): void => {
    for (let n = 0; n < count; n++) {
      for (let i = 0; i < width; i++) out[next++] = d * (((((bytes[from + i] * POWERS[n]) & 255) * 3) >> 8) - 1);
    }
  };
  digits(at, 32, 5);
  digits(at + 32, 16, 5);
  digits(at + 48, 4, 4);
});

/** 64 bytes of four codes, d (F16). Value: d (code - 1). */
export const tq2_0: Dequantise = byBlock(66, 256, (bytes, at, out, to) => {
  const d = half(bytes, at + 64);
  for (let i = 0; i < 256; i++) {
    const code = (bytes[at + (i >> 7) * 32 + (i & 31)] >> (((i >> 5) & 3) * 2)) & 3;
    out[to + i] = d * (code - 1);
  }
});

/** E2M1 values, doubled, so that they are whole. */
const FOUR_BIT = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

/** One exponent (E8M0, halved because the table is doubled), 16 bytes of two codes. */
export const mxfp4: Dequantise = byBlock(17, 32, (bytes, at, out, to) => {
  const d = 2 ** (bytes[at] - 128);
  for (let i = 0; i < 16; i++) {
    const code = bytes[at + 1 + i];
    out[to + i] = d * FOUR_BIT[code & 15];
    out[to + 16 + i] = d * FOUR_BIT[code >> 4];
  }
});

/** Unsigned E4M3, halved; 0x7f (NaN elsewhere) counts as zero here. */
const scaleOf = (code: number): number => {
  if (code === 0 || code === 0x7f) return 0;
  const exponent = (code >> 3) & 15, mantissa = code & 7;
  return (exponent === 0 ? mantissa * 2 ** -9 : (1 + mantissa / 8) * 2 ** (exponent - 7)) / 2;
};

/** Four scales (E4M3) for four parts of 16, 32 bytes of two codes: 8 bytes a part, low halves first. */
export const nvfp4: Dequantise = byBlock(36, 64, (bytes, at, out, to) => {
  for (let part = 0; part < 4; part++) {
    const d = scaleOf(bytes[at + part]);
    for (let i = 0; i < 8; i++) {
      const code = bytes[at + 4 + part * 8 + i];
      out[to + part * 16 + i] = d * FOUR_BIT[code & 15];
      out[to + part * 16 + 8 + i] = d * FOUR_BIT[code >> 4];
    }
  }
});

/** The 16 values of the non-linear four-bit types (a table of ggml). */
const NON_LINEAR = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/** d (F16), 16 bytes of two codes. Value: d table[code]. */
export const iq4_nl: Dequantise = byBlock(18, 32, (bytes, at, out, to) => {
  const d = half(bytes, at);
  for (let i = 0; i < 16; i++) {
    const code = bytes[at + 2 + i];
    out[to + i] = d * NON_LINEAR[code & 15];
    out[to + 16 + i] = d * NON_LINEAR[code >> 4];
  }
});

/** d (F16), two high bits and four low bits of 8 scales, 128 bytes of two codes: 16 bytes for each part of 32. */
export const iq4_xs: Dequantise = byBlock(136, 256, (bytes, at, out, to) => {
  const d = halfValues[bytes[at] | (bytes[at + 1] << 8)], high = bytes[at + 2] | (bytes[at + 3] << 8);
  for (let part = 0; part < 8; part++) {
    const low = (bytes[at + 4 + (part >> 1)] >> ((part & 1) * 4)) & 15;
    const dl = d * ((low | (((high >> (part * 2)) & 3) << 4)) - 32);
    for (let i = 0; i < 16; i++) {
      const code = bytes[at + 8 + part * 16 + i];
      out[to + part * 32 + i] = dl * NON_LINEAR[code & 15];
      out[to + part * 32 + 16 + i] = dl * NON_LINEAR[code >> 4];
    }
  }
});
