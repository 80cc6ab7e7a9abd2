import { blockGrid } from '../bytes/decoders/blockMeans';
import type { EncodingStep, ScoreStep } from '../tensor/encoding';
import type { DType } from '../tensor/dtype';
import type { TensorInfo } from '../tensor/tensorInfo';
import type { SliceSource } from '../workers/contract';
import type { BlockPattern } from './contract';

/** The last two axes of a tensor as stored, and the blocks on them. */
export interface Blocked { readonly height: number; readonly width: number; readonly blockHeight: number; readonly blockWidth: number }

/** A pattern's blocks (rows are outputs, columns inputs) on a tensor as it is stored. A vector is one row. */
export function blocksOn(shape: readonly number[], block: BlockPattern, orientation: 'out-in' | 'in-out'): Blocked {
  const [blockHeight, blockWidth] = orientation === 'out-in' || shape.length < 2 ? [block.rows, block.columns] : [block.columns, block.rows];
  return { height: shape.at(-2) ?? 1, width: shape.at(-1) ?? 1, blockHeight, blockWidth };
}

/** Blocks of a tensor in all its matrices. */
export const blockCount = (info: TensorInfo, blocked: Blocked): number => {
  const { down, across } = blockGrid(blocked), size = blocked.height * blocked.width;
  return size === 0 ? 0 : (info.elements / size) * down * across;
};

/** Steps that make the scores of the blocks of weights: means of magnitudes, or of scores. */
const steps = (dtype: DType, blocked: Blocked, score: ScoreStep | null): readonly EncodingStep[] =>
  (score ? [score, { kind: 'blockMeans', dtype: 'F32', ...blocked }] : [{ kind: 'blockMeans', dtype, ...blocked }]);

/** The scores of a tensor's blocks as a tensor of their own, (blocks), F32: what scans, histograms and exact selection take. */
export const blockTensor = (info: TensorInfo, blocked: Blocked, score: ScoreStep | null): TensorInfo => {
  const elements = blockCount(info, blocked);
  return { ...info, dtype: 'F32', shape: [elements], elements, encoding: [...info.encoding ?? [], ...steps(info.dtype, blocked, score)] };
};

/** The scores of all blocks of the tensor that `source`, which counts from its first byte, is a slice of. */
export function blockSourceOf(source: SliceSource, blocked: Blocked, score: ScoreStep | null): SliceSource {
  const encoded = source.encoded!;
  return { ...source, dtype: 'F32', encoded: { ...encoded, steps: [...encoded.steps, ...steps(source.dtype, blocked, score)] } };
}
