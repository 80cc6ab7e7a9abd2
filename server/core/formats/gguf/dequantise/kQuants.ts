import { byBlock, half, signed8 } from './half';
import type { Dequantise } from './half';

/** Super-blocks of 256 whose parts have small scales of their own, scaled in turn by F16. */

/** 16 bytes of (scale, min) halves for 16 parts of 16; 64 bytes of four codes; d, dmin (F16). Value: d scale code - dmin min. */
export const q2_k: Dequantise = byBlock(84, 256, (bytes, at, out, to) => {
  const d = half(bytes, at + 80), dmin = half(bytes, at + 82);
  for (let part = 0; part < 16; part++) {
    const scale = bytes[at + part], dl = d * (scale & 15), ml = dmin * (scale >> 4);
    // 128 values share 32 bytes: two parts for each pair of bits.
    const from = at + 16 + (part >> 3) * 32 + (part & 1) * 16, shift = ((part >> 1) & 3) * 2;
    for (let i = 0; i < 16; i++) out[to + part * 16 + i] = dl * ((bytes[from + i] >> shift) & 3) - ml;
  }
});

/** 32 bytes of a third bit (set: no offset of -4); 64 bytes of four codes; 12 bytes of 16 six-bit scales; d (F16). */
export const q3_k: Dequantise = byBlock(110, 256, (bytes, at, out, to) => {
  const d = half(bytes, at + 108);
  for (let part = 0; part < 16; part++) {
    const low = (bytes[at + 96 + (part & 7)] >> (part < 8 ? 0 : 4)) & 15, high = (bytes[at + 104 + (part & 3)] >> ((part >> 2) * 2)) & 3;
    const dl = d * ((low | (high << 4)) - 32);
    const offset = (part & 1) * 16, from = at + 32 + (part >> 3) * 32 + offset, shift = ((part >> 1) & 3) * 2;
    for (let i = 0; i < 16; i++) {
      const set = (bytes[at + offset + i] >> (part >> 1)) & 1;
      out[to + part * 16 + i] = dl * (((bytes[from + i] >> shift) & 3) - (set ? 0 : 4));
    }
  }
});

/** Scale and min of part 0..7, six bits each, out of 12 bytes at `at`. */
function scaleAndMin(bytes: Uint8Array, at: number, part: number): readonly [number, number] {
  if (part < 4) return [bytes[at + part] & 63, bytes[at + 4 + part] & 63];
  const low = bytes[at + 4 + part];
  return [(low & 15) | ((bytes[at + part - 4] >> 2) & 48), (low >> 4) | ((bytes[at + part] >> 2) & 48)];
}

/** d, dmin (F16); 12 bytes of scales; 128 bytes of two codes: 64 values share 32 bytes. Value: d scale code - dmin min. */
export const q4_k: Dequantise = byBlock(144, 256, (bytes, at, out, to) => {
  const d = half(bytes, at), dmin = half(bytes, at + 2);
  for (let part = 0; part < 8; part++) {
    const [scale, min] = scaleAndMin(bytes, at + 4, part), dl = d * scale, ml = dmin * min;
    const from = at + 16 + (part >> 1) * 32, shift = (part & 1) * 4;
    for (let i = 0; i < 32; i++) out[to + part * 32 + i] = dl * ((bytes[from + i] >> shift) & 15) - ml;
  }
});

/** As Q4_K with 32 bytes of a fifth bit before the codes. */
export const q5_k: Dequantise = byBlock(176, 256, (bytes, at, out, to) => {
  const d = half(bytes, at), dmin = half(bytes, at + 2);
  for (let part = 0; part < 8; part++) {
    const [scale, min] = scaleAndMin(bytes, at + 4, part), dl = d * scale, ml = dmin * min;
    const from = at + 48 + (part >> 1) * 32, shift = (part & 1) * 4;
    for (let i = 0; i < 32; i++) {
      const code = ((bytes[from + i] >> shift) & 15) | (((bytes[at + 16 + i] >> part) & 1) << 4);
      out[to + part * 32 + i] = dl * code - ml;
    }
  }
});

/** 128 bytes of low halves, 64 bytes of two high bits, 16 signed scales, d (F16). Value: d scale (code - 32). */
export const q6_k: Dequantise = byBlock(210, 256, (bytes, at, out, to) => {
  const d = half(bytes, at + 208);
  for (let run = 0; run < 8; run++) {
    const from = at + (run >> 2) * 64 + (run & 1) * 32, shift = ((run >> 1) & 1) * 4;
    const highFrom = at + 128 + (run >> 2) * 32, highShift = (run & 3) * 2;
    const d0 = d * signed8(bytes[at + 192 + run * 2]), d1 = d * signed8(bytes[at + 193 + run * 2]);
    for (let i = 0; i < 32; i++) {
      const code = ((bytes[from + i] >> shift) & 15) | (((bytes[highFrom + i] >> highShift) & 3) << 4);
      out[to + run * 32 + i] = (i < 16 ? d0 : d1) * (code - 32);
    }
  }
});
