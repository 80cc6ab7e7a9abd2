import { openValues } from '../bytes/decodedSource';
import type { ByteSource } from '../bytes/byteSource';
import { blockGrid } from '../bytes/decoders/blockMeans';
import { clearCode } from '../kernels/codes';
import { isKernelFloat } from '../kernels/floatBits';
import { WINDOW_BYTES } from '../kernels/layout';
import type { TensorRule } from '../pruning/contract';
import { blocksOn, blockSourceOf } from '../pruning/blockScores';
import { dtypes, type DType } from '../tensor/dtype';
import type { SliceSource } from './contract';
import { floatCells } from './floatCells';
import type { Tally } from './maskTask';
import type { TaskContext, Writer } from './task';

type Blocks = Extract<TensorRule, { kind: 'blocks' }>;

/**
 * Whole blocks become +0.0: first the blocks' scores of one row of blocks, then its weights, read once more. `source` holds
 * whole rows of blocks of one or more matrices, counts from the tensor's first byte and has the tensor's shape.
 */
export function maskBlocks(
  context: TaskContext, { source, rule, bytes, writer, at }: { source: SliceSource; rule: Blocks; bytes: ByteSource; writer: Writer | null; at: number }, tally: Tally,
): void {
  const tensor = blocksOn(source.shape, rule.block, rule.orientation);
  const { height, width, blockHeight, blockWidth } = tensor, { down, across } = blockGrid(tensor), { kernels } = context;
  const { bits } = dtypes[source.dtype], rowBytes = (width * bits) / 8, matrixBytes = rowBytes * height;
  const scored = blockSourceOf(source, tensor, rule.score), scores = openValues(scored.file, scored.io, scored.encoded);
  try {
    const means = new Float32Array(across), meanBytes = new Uint8Array(means.buffer), chosen = new Uint8Array(across);
    const atOnce = Math.max(1, Math.floor(WINDOW_BYTES / rowBytes)); // planBlocks refuses rows longer than the buffer
    let { ties } = rule.by;
    for (let from = source.from; from < source.to;) {
      context.check();
      const matrix = Math.floor(from / matrixBytes), top = Math.round((from - matrix * matrixBytes) / rowBytes), bottom = Math.min(height, top + blockHeight);
      const blockRow = matrix * down + top / blockHeight;
      scores.read(blockRow * across * 4, (blockRow + 1) * across * 4, meanBytes);
      for (let i = 0; i < across; i++) {
        const tied = means[i] === rule.by.threshold && ties > 0;
        if (tied) ties--;
        chosen[i] = tied || means[i] < rule.by.threshold ? 1 : 0;
      }
      for (let y = top; y < bottom; y += atOnce) {
        const rows = Math.min(atOnce, bottom - y), low = matrix * matrixBytes + y * rowBytes, view = kernels.buffer.subarray(0, rows * rowBytes);
        bytes.read(low, low + view.length, view);
        const before = zerosIn(context, source.dtype, rows * width);
        for (let row = 0; row < rows; row++) clearRow(view, bits, row * width, width, blockWidth, chosen);
        tally.zeros += before;
        tally.changed += zerosIn(context, source.dtype, rows * width) - before;
        writer?.write(view, at + low - source.from);
        context.progress(view.length);
      }
      from = matrix * matrixBytes + bottom * rowBytes;
    }
  } finally {
    scores.close();
  }
}

/** Clears the chosen blocks' part of one row that starts at element `first` of the window. */
function clearRow(window: Uint8Array, bits: number, first: number, width: number, blockWidth: number, chosen: Uint8Array): void {
  for (let block = 0; block * blockWidth < width; block++) {
    if (chosen[block] === 0) continue;
    const from = first + block * blockWidth, to = first + Math.min(width, (block + 1) * blockWidth);
    if (bits >= 8) window.fill(0, (from * bits) / 8, (to * bits) / 8);
    else for (let i = from; i < to; i++) clearCode(window, bits, i);
  }
}

/** Zeros among the first `n` elements of the kernels' buffer. */
export function zerosIn({ kernels }: TaskContext, dtype: DType, n: number): number {
  if (isKernelFloat(dtype)) return kernels.count(dtype, 0, n, 0).equal;
  const cells = floatCells(dtype, kernels.buffer);
  let zeros = 0;
  for (let i = 0; i < n; i++) if (cells.magnitude(i) === 0) zeros++;
  return zeros;
}
