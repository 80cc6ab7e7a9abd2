import { CheckpointError } from '../errors';
import { scorer } from '../bytes/decoders/score';
import type { ByteSource } from '../bytes/byteSource';
import { clearCode } from '../kernels/codes';
import { WINDOW_BYTES } from '../kernels/layout';
import type { TensorRule } from '../pruning/contract';
import { dtypes, type DType } from '../tensor/dtype';
import type { SliceSource } from './contract';
import type { Applier, Tally } from './maskTask';
import type { TaskContext, Writer } from './task';

type Scored = Extract<TensorRule, { kind: 'scored' }>;

/** What a scored slice works on: its first and last element within the tensor, its bytes, and where they go. */
interface Work { readonly source: SliceSource; readonly rule: Scored; readonly bytes: ByteSource; readonly writer: Writer | null; readonly at: number }

/** The same slice as scores: F32, its positions counted in scores. */
export const asScores = (source: SliceSource): SliceSource => {
  const { bits } = dtypes[source.dtype];
  return { ...source, dtype: 'F32', from: (source.from * 32) / bits, to: (source.to * 32) / bits };
};

/**
 * A slice under scores: scores of a window are made in the kernels' buffer, the rule is applied to them there, and a weight
 * becomes +0.0 where its score did. `source` counts from the tensor's first byte.
 */
export function maskScored(context: TaskContext, apply: Applier, { source, rule, bytes, writer, at }: Work): void {
  const { kernels } = context, { bits } = dtypes[source.dtype], scores = asScores(source);
  const size = Math.max(apply.unit, Math.floor(WINDOW_BYTES / apply.unit) * apply.unit);
  if (size > kernels.buffer.length) throw new CheckpointError('unsupported-scope', { file: source.file.path }, `scores of a row or group, ${apply.unit} bytes, exceed the window of ${kernels.buffer.length} bytes`);
  const score = scorer(rule.score), floats = floatsOf(kernels.buffer);
  const raw = new Uint8Array((Math.min(size, scores.to - scores.from) * bits) / 32);
  for (let from = scores.from; from < scores.to; from += size) {
    context.check();
    const length = Math.min(size, scores.to - from), n = length / 4, low = (from * bits) / 32, high = low + (length * bits) / 32;
    const piece = raw.subarray(0, high - low);
    bytes.read(low, high, piece);
    score(piece, from / 4, n, floats, 0);
    apply.window(length);
    clearWhereZero(source.dtype, piece, floats, 0, n);
    writer?.write(piece, at + low - source.from);
    context.progress(high - low);
  }
}

/**
 * Rule `rows` where an output unit is a column: columns [from, to) of one matrix, scores as one block in the kernels' buffer.
 *
 * @param select applied to the block: `count` columns of `height` scores
 */
export function maskScoredColumns(
  context: TaskContext, columns: { readonly from: number; readonly to: number }, { source, rule, bytes, writer, at }: Work, tally: Tally,
  select: (count: number, height: number) => number,
): void {
  const { kernels } = context, [height, width] = source.shape, size = dtypes[source.dtype].bits / 8;
  const count = columns.to - columns.from, piece = count * size;
  if (!Number.isInteger(size) || 4 * count * height > kernels.buffer.length || columns.to > width) throw new CheckpointError('internal', { file: source.file.path }, `block of ${count} x ${height} scores`);
  const score = scorer(rule.score), floats = floatsOf(kernels.buffer), block = new Uint8Array(piece * height), row = new Uint8Array(piece);
  const place = (y: number): number => source.from + (y * width + columns.from) * size;
  for (let y = 0; y < height; y++) {
    if (y % 1024 === 0) context.check();
    bytes.read(place(y), place(y) + piece, row);
    block.set(row, y * piece);
    score(row, place(y) / size, count, floats, y * count);
  }
  tally.zeros += kernels.count('F32', 0, count * height, 0).equal;
  tally.changed += select(count, height);
  for (let y = 0; y < height; y++) {
    if (y % 1024 === 0) context.check();
    const view = block.slice(y * piece, (y + 1) * piece);
    clearWhereZero(source.dtype, view, floats, y * count, count);
    writer?.write(view, at + place(y) - source.from);
  }
  context.progress(piece * height);
}

const floatsOf = (buffer: Uint8Array): Float32Array => new Float32Array(buffer.buffer, buffer.byteOffset, buffer.length / 4);

/** Writes +0.0 over each of `n` elements whose score is +0.0, bit for bit. `bytes` starts its buffer. */
function clearWhereZero(dtype: DType, bytes: Uint8Array<ArrayBuffer>, scores: Float32Array, first: number, n: number): void {
  const words = new Uint32Array(scores.buffer, scores.byteOffset + 4 * first, n), { bits } = dtypes[dtype];
  if (bits === 32 || bits === 16) {
    const weights = bits === 32 ? new Uint32Array(bytes.buffer, 0, n) : new Uint16Array(bytes.buffer, 0, n);
    for (let i = 0; i < n; i++) if (words[i] === 0) weights[i] = 0;
  } else if (bits === 64) {
    const weights = new Float64Array(bytes.buffer, 0, n);
    for (let i = 0; i < n; i++) if (words[i] === 0) weights[i] = 0;
  } else for (let i = 0; i < n; i++) if (words[i] === 0) clearCode(bytes, bits, i);
}
