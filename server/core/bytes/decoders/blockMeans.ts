import { CheckpointError } from '../../errors';
import { decodeInto } from '../../tensor/decode';
import { dtypes } from '../../tensor/dtype';
import type { EncodingStep } from '../../tensor/encoding';
import type { ByteSource } from '../byteSource';
import { LEAST_SCORE } from './score';

/** Bytes of stored rows that are read at once. */
const READ_BYTES = 2 ** 19;

type Step = Extract<EncodingStep, { kind: 'blockMeans' }>;

/** How many blocks lie across and down one matrix, smaller ones at the ends counted. */
export const blockGrid = ({ height, width, blockHeight, blockWidth }: Pick<Step, 'height' | 'width' | 'blockHeight' | 'blockWidth'>): { down: number; across: number } =>
  ({ down: Math.ceil(height / blockHeight), across: Math.ceil(width / blockWidth) });

/**
 * Means of magnitudes over blocks: see the step. One row of blocks is made at a time and kept, so reading on costs each weight
 * once. Sums are made in storage order, in F64: the same for every reader.
 *
 * @throws CheckpointError `unsupported-pattern` where rows do not end on a byte
 */
export function blockMeans(source: ByteSource, step: Step): ByteSource {
  const { dtype, height, width, blockHeight, blockWidth } = step, { down, across } = blockGrid(step);
  const rowBytes = (width * dtypes[dtype].bits) / 8;
  if (!Number.isInteger(rowBytes)) throw new CheckpointError('unsupported-pattern', { file: source.path }, `rows of ${width} ${dtype} do not end on a byte`);
  const matrixBytes = rowBytes * height, matrices = matrixBytes === 0 ? 0 : Math.round(source.byteLength / matrixBytes);
  const atOnce = Math.max(1, Math.floor(READ_BYTES / Math.max(1, rowBytes)));
  let raw = new Uint8Array(0), values = new Float64Array(0);
  const sums = new Float64Array(across), means = new Float32Array(across), bytes = new Uint8Array(means.buffer);
  let made = -1;

  function make(blockRow: number): void {
    made = -1;
    const matrix = Math.floor(blockRow / down), top = (blockRow % down) * blockHeight, bottom = Math.min(height, top + blockHeight);
    sums.fill(0);
    for (let y = top; y < bottom; y += atOnce) {
      const rows = Math.min(atOnce, bottom - y), from = matrix * matrixBytes + y * rowBytes;
      if (raw.length < rows * rowBytes) { raw = new Uint8Array(rows * rowBytes); values = new Float64Array(rows * width); }
      source.read(from, from + rows * rowBytes, raw.subarray(0, rows * rowBytes));
      decodeInto(dtype, raw, rows * width, values);
      for (let row = 0; row < rows; row++) {
        for (let block = 0, at = row * width, end = at + width; at < end; block++) {
          const stop = Math.min(end, at + blockWidth);
          let sum = 0;
          for (; at < stop; at++) sum += Math.abs(values[at]);
          sums[block] += sum;
        }
      }
    }
    for (let block = 0; block < across; block++) {
      const mean = sums[block] / ((bottom - top) * Math.min(blockWidth, width - block * blockWidth));
      means[block] = mean > 0 && mean < LEAST_SCORE ? LEAST_SCORE : mean;
    }
    made = blockRow;
  }

  return {
    path: source.path,
    byteLength: matrices * down * across * 4,
    read(from, to, into) {
      for (let at = from; at < to;) {
        const blockRow = Math.floor(at / (across * 4)), first = blockRow * across * 4, stop = Math.min(to, first + across * 4);
        if (blockRow !== made) make(blockRow);
        into.set(bytes.subarray(at - first, stop - first), at - from);
        at = stop;
      }
    },
    close: () => source.close(),
  };
}
