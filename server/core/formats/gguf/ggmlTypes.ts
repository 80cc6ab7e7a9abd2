import type { DType } from '../../tensor/dtype';
import * as basic from './dequantise/basic';
import * as codebook from './dequantise/codebook';
import * as fourBit from './dequantise/fourBit';
import type { Dequantise } from './dequantise/half';
import * as kQuants from './dequantise/kQuants';

/** How one ggml type stores its values: blocks of `elements` values in `bytes` bytes, along the rows of a tensor. */
export interface GgmlType {
  readonly id: number;
  readonly name: string;
  readonly elements: number;
  readonly bytes: number;
  /** The dtype whose bytes these are, or null for blocks. */
  readonly plain: DType | null;
  /** Null for plain types. */
  readonly dequantise: Dequantise | null;
  /** Fields of more than one byte in a block, [offset, bytes, count]: what differs in a big-endian file. */
  readonly wide: readonly (readonly [number, number, number])[];
}

const plain = (id: number, name: DType, bytes: number): GgmlType => ({ id, name, elements: 1, bytes, plain: name, dequantise: null, wide: bytes > 1 ? [[0, bytes, 1]] : [] });
const block = (id: number, name: string, elements: number, bytes: number, dequantise: Dequantise, ...wide: (readonly [number, number, number])[]): GgmlType =>
  ({ id, name, elements, bytes, plain: null, dequantise, wide });

/** Every type that a file may hold (ids and sizes are facts of ggml, as the `gguf` package 0.19 states them). */
export const ggmlTypes: readonly GgmlType[] = [
  plain(0, 'F32', 4), plain(1, 'F16', 2),
  block(2, 'Q4_0', 32, 18, basic.q4_0, [0, 2, 1]), block(3, 'Q4_1', 32, 20, basic.q4_1, [0, 2, 2]),
  block(6, 'Q5_0', 32, 22, basic.q5_0, [0, 2, 1]), block(7, 'Q5_1', 32, 24, basic.q5_1, [0, 2, 2]),
  block(8, 'Q8_0', 32, 34, basic.q8_0, [0, 2, 1]), block(9, 'Q8_1', 32, 40, basic.q8_1, [0, 4, 2]),
  block(10, 'Q2_K', 256, 84, kQuants.q2_k, [80, 2, 2]), block(11, 'Q3_K', 256, 110, kQuants.q3_k, [108, 2, 1]),
  block(12, 'Q4_K', 256, 144, kQuants.q4_k, [0, 2, 2]), block(13, 'Q5_K', 256, 176, kQuants.q5_k, [0, 2, 2]),
  block(14, 'Q6_K', 256, 210, kQuants.q6_k, [208, 2, 1]), block(15, 'Q8_K', 256, 292, basic.q8_k, [0, 4, 1], [260, 2, 16]),
  block(16, 'IQ2_XXS', 256, 66, codebook.iq2_xxs, [0, 2, 33]), block(17, 'IQ2_XS', 256, 74, codebook.iq2_xs, [0, 2, 33]),
  block(18, 'IQ3_XXS', 256, 98, codebook.iq3_xxs, [0, 2, 1]), block(19, 'IQ1_S', 256, 50, codebook.iq1_s, [0, 2, 1], [34, 2, 8]),
  block(20, 'IQ4_NL', 32, 18, fourBit.iq4_nl, [0, 2, 1]), block(21, 'IQ3_S', 256, 110, codebook.iq3_s, [0, 2, 1]),
  block(22, 'IQ2_S', 256, 82, codebook.iq2_s, [0, 2, 1]), block(23, 'IQ4_XS', 256, 136, fourBit.iq4_xs, [0, 2, 2]),
  plain(24, 'I8', 1), plain(25, 'I16', 2), plain(26, 'I32', 4), plain(27, 'I64', 8), plain(28, 'F64', 8),
  block(29, 'IQ1_M', 256, 56, codebook.iq1_m), plain(30, 'BF16', 2),
  block(34, 'TQ1_0', 256, 54, fourBit.tq1_0, [52, 2, 1]), block(35, 'TQ2_0', 256, 66, fourBit.tq2_0, [64, 2, 1]),
  block(39, 'MXFP4', 32, 17, fourBit.mxfp4), block(40, 'NVFP4', 64, 36, fourBit.nvfp4), block(41, 'Q1_0', 128, 18, basic.q1_0, [0, 2, 1]),
];

const byId = new Map(ggmlTypes.map((type) => [type.id, type]));
const byName = new Map(ggmlTypes.map((type) => [type.name, type]));

export const ggmlTypeOf = (id: number): GgmlType | null => byId.get(id) ?? null;
export const ggmlTypeNamed = (name: string): GgmlType | null => byName.get(name) ?? null;

/** Types that ggml has dropped: their ids are not given again. */
export const droppedTypes: Readonly<Record<number, string>> = {
  4: 'Q4_2', 5: 'Q4_3', 31: 'Q4_0_4_4', 32: 'Q4_0_4_8', 33: 'Q4_0_8_8', 36: 'IQ4_NL_4_4', 37: 'IQ4_NL_4_8', 38: 'IQ4_NL_8_8',
};

/** Bits that one weight takes, scales included. */
export const bitsPerWeight = (type: GgmlType): number => (type.bytes * 8) / type.elements;

/** Turns big-endian blocks into what the dequantisers read, in place. */
export function swapBlocks(type: GgmlType, bytes: Uint8Array, at: number, blocks: number): void {
  for (let n = 0; n < blocks; n++) {
    for (const [offset, size, count] of type.wide) {
      const from = at + n * type.bytes + offset;
      for (let i = 0; i < count; i++) bytes.subarray(from + i * size, from + (i + 1) * size).reverse();
    }
  }
}
