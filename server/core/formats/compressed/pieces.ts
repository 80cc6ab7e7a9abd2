import { dtypes, type DType } from '../../tensor/dtype';
import type { TargetTensor } from '../writeSafetensors';

/**
 * How compressed-tensors (0.12) stores sparse weights: `NAME.weight` becomes `NAME.shape`, `.compressed`, `.bitmask` and, but for 2:4,
 * `.row_offsets`.
 *
 * | piece | dtype, shape | |
 * |---|---|---|
 * | `shape` | I64 (2); in 2:4 (2, 1) | rows, columns |
 * | `compressed` | the weight's, (kept); in 2:4 (rows, columns / 2) | kept values, row after row |
 * | `bitmask` | U8 (rows, ceil(columns / 8)) | 1 = kept, first value in the lowest bit |
 * | `row_offsets` | I64 (rows) | which kept value is the row's first |
 */
export type Packing = 'sparse-bitmask' | 'sparse-24-bitmask';

export const pieceNames = ['shape', 'compressed', 'bitmask', 'row_offsets'] as const;
export type Piece = (typeof pieceNames)[number];

/** What the pieces are named after: the module. */
export const moduleOf = (name: string): string => name.replace(/\.weight$/, '');
export const pieceOf = (name: string, piece: Piece): string => `${moduleOf(name)}.${piece}`;

/** Why a weight cannot be stored so; null when it can. */
export function unpackable({ name, dtype, shape }: TargetTensor, packing: Packing): string | null {
  if (!name.endsWith('.weight')) return 'the layout names weights only';
  if (shape.length !== 2) return `it has ${shape.length} axes, the layout two`;
  if (dtypes[dtype].bits % 8 !== 0) return `${dtype} does not fill whole bytes`;
  if (packing === 'sparse-24-bitmask' && shape[1] % 4 !== 0) return `${shape[1]} columns are no whole groups of four`;
  return null;
}

/** The pieces of one weight of (rows, columns) with `kept` values. */
export function piecesOf({ name, dtype, shape: [rows, columns] }: TargetTensor, kept: number, packing: Packing): TargetTensor[] {
  const piece = (which: Piece, of: DType, shape: readonly number[]): TargetTensor => ({ name: pieceOf(name, which), dtype: of, shape });
  const bitmask = piece('bitmask', 'U8', [rows, Math.ceil(columns / 8)]);
  return packing === 'sparse-24-bitmask'
    ? [piece('shape', 'I64', [2, 1]), piece('compressed', dtype, [rows, columns / 2]), bitmask]
    : [piece('shape', 'I64', [2]), piece('compressed', dtype, [kept]), bitmask, piece('row_offsets', 'I64', [rows])];
}

/** Bytes of the pieces. */
export const bytesOfPieces = (pieces: readonly TargetTensor[]): number => pieces.reduce((sum, { dtype, shape }) => sum + (shape.reduce((a, b) => a * b, 1) * dtypes[dtype].bits) / 8, 0);
