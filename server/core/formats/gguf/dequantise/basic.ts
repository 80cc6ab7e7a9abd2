import { byBlock, half, signed8 } from './half';
import type { Dequantise } from './half';

/** Blocks of 32 with one scale: low halves of the bytes are the first 16 values, high halves the last 16. */

/** d (F16), 16 bytes of two codes. Value: d (code - 8). */
export const q4_0: Dequantise = byBlock(18, 32, (bytes, at, out, to) => {
  const d = half(bytes, at);
  for (let i = 0; i < 16; i++) {
    const code = bytes[at + 2 + i];
    out[to + i] = d * ((code & 15) - 8);
    out[to + 16 + i] = d * ((code >> 4) - 8);
  }
});

/** d, m (F16), 16 bytes of two codes. Value: d code + m. */
export const q4_1: Dequantise = byBlock(20, 32, (bytes, at, out, to) => {
  const d = half(bytes, at), m = half(bytes, at + 2);
  for (let i = 0; i < 16; i++) {
    const code = bytes[at + 4 + i];
    out[to + i] = d * (code & 15) + m;
    out[to + 16 + i] = d * (code >> 4) + m;
  }
});

/** d (F16), a fifth bit for each of 32, 16 bytes of two codes. Value: d (code - 16). */
export const q5_0: Dequantise = byBlock(22, 32, (bytes, at, out, to) => {
  const d = half(bytes, at);
  for (let i = 0; i < 16; i++) {
    const code = bytes[at + 6 + i], low = (bytes[at + 2 + (i >> 3)] >> (i & 7)) & 1, high = (bytes[at + 4 + (i >> 3)] >> (i & 7)) & 1;
    out[to + i] = d * (((code & 15) | (low << 4)) - 16);
    out[to + 16 + i] = d * (((code >> 4) | (high << 4)) - 16);
  }
});

/** d, m (F16), a fifth bit for each of 32, 16 bytes of two codes. Value: d code + m. */
export const q5_1: Dequantise = byBlock(24, 32, (bytes, at, out, to) => {
  const d = half(bytes, at), m = half(bytes, at + 2);
  for (let i = 0; i < 16; i++) {
    const code = bytes[at + 8 + i], low = (bytes[at + 4 + (i >> 3)] >> (i & 7)) & 1, high = (bytes[at + 6 + (i >> 3)] >> (i & 7)) & 1;
    out[to + i] = d * ((code & 15) | (low << 4)) + m;
    out[to + 16 + i] = d * ((code >> 4) | (high << 4)) + m;
  }
});

/** d (F16), 32 signed bytes. */
export const q8_0: Dequantise = byBlock(34, 32, (bytes, at, out, to) => {
  const d = half(bytes, at);
  for (let i = 0; i < 32; i++) out[to + i] = d * signed8(bytes[at + 2 + i]);
});

const word = new DataView(new ArrayBuffer(4));
const float32 = (bytes: Uint8Array, at: number): number => {
  for (let i = 0; i < 4; i++) word.setUint8(i, bytes[at + i]);
  return word.getFloat32(0, true);
};

/** d, s (F32; s is the sum that products use), 32 signed bytes: an intermediate of ggml that files rarely hold. */
export const q8_1: Dequantise = byBlock(40, 32, (bytes, at, out, to) => {
  const d = float32(bytes, at);
  for (let i = 0; i < 32; i++) out[to + i] = d * signed8(bytes[at + 8 + i]);
});

/** d (F32), 256 signed bytes, 16 sums of 16 (I16). */
export const q8_k: Dequantise = byBlock(292, 256, (bytes, at, out, to) => {
  const d = float32(bytes, at);
  for (let i = 0; i < 256; i++) out[to + i] = d * signed8(bytes[at + 4 + i]);
});

/** d (F16), one sign bit for each of 128: 1 is +d. */
export const q1_0: Dequantise = byBlock(18, 128, (bytes, at, out, to) => {
  const d = half(bytes, at);
  for (let i = 0; i < 128; i++) out[to + i] = (bytes[at + 2 + (i >> 3)] >> (i & 7)) & 1 ? d : -d;
});
