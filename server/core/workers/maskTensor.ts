import { BUFFER_BYTES } from '../kernels/layout';
import { CheckpointError } from '../errors';
import { blockGrid } from '../bytes/decoders/blockMeans';
import { blocksOn, blockSourceOf } from '../pruning/blockScores';
import type { MagnitudeRule, TensorRule } from '../pruning/contract';
import { dtypes } from '../tensor/dtype';
import type { MaskCounts, SliceSource, Target, WorkerPool, WorkerTask } from './contract';
import { requireMaskable } from './floatCells';
import { splitBits } from './maskBits';
import { asScores } from './maskScored';
import { cut, SLICE_BYTES } from './slices';
import { all, countSlices, cutRows, matrices } from './tensorTasks';

/**
 * Reads one tensor, applies its rule and writes it at `target.at` of a file that exists already, slice by slice over the
 * pool; without a target it only counts. What is selected does not depend on slices or threads: a `cut` rule's ties are counted first and dealt out in flat
 * order (skipped when `rule.ties` is 0 or at least the number of elements: pass the latter for "all of them").
 *
 * Memory is bounded by the workers' windows (24 MiB each). Rule `rows` with orientation in-out needs whole columns: they
 * are read as blocks of at most 16 MiB with strided reads; a column longer than that is refused with `unsupported-scope`.
 *
 * Shapes: the rule's rows and groups lie in the last two axes; (experts, out, in) works matrix by matrix. A vector is one row.
 *
 * @param onBytes bytes masked (the counting pass reports nothing)
 * @throws `unsupported-dtype`, `unsupported-scope`, `unsupported-pattern`, `target-not-writable`, `disk-full`, `cancelled`
 */
export async function maskTensor(pool: WorkerPool, source: SliceSource, rule: TensorRule, target: Target | null, signal?: AbortSignal, onBytes?: (bytes: number) => void): Promise<MaskCounts> {
  requireMaskable(source.dtype, { file: source.file.path });
  const whole = rule.kind === 'scored' || rule.kind === 'blocks' ? fromItsFirstByte(source) : source;
  const tasks = await split(pool, whole, rule, signal);
  const at = (slice: SliceSource): Target | null => target && { path: target.path, at: target.at + slice.from - whole.from };
  const parts = await all(tasks.map((task) => pool.run({ kind: 'mask', ...task, target: at(task.source) }, signal, onBytes)));
  return parts.reduce((a, b) => ({ zerosBefore: a.zerosBefore + b.zerosBefore, zerosAfter: a.zerosAfter + b.zerosAfter, changed: a.changed + b.changed }), { zerosBefore: 0, zerosAfter: 0, changed: 0 });
}

type Part = Pick<Extract<WorkerTask, { kind: 'mask' }>, 'source' | 'rule' | 'columns'>;

async function split(pool: WorkerPool, source: SliceSource, rule: TensorRule, signal?: AbortSignal): Promise<Part[]> {
  switch (rule.kind) {
    case 'scored': return splitScored(pool, source, rule, signal);
    case 'blocks': return splitBlocks(pool, source, rule, signal);
    case 'bits': return splitBits(source, rule);
    case 'values': return cut(source).map((slice) => ({
      source: slice, rule: { ...rule, values: { ...rule.values, from: rule.values.from + slice.from - source.from, byteLength: slice.to - slice.from } },
    }));
    case 'cut': case 'rows': case 'groups': return splitMagnitudes(pool, source, rule, signal);
  }
}

async function splitMagnitudes(pool: WorkerPool, source: SliceSource, rule: MagnitudeRule, signal?: AbortSignal): Promise<(Part & { readonly rule: MagnitudeRule })[]> {
  if (rule.kind === 'cut') {
    const slices = cut(source), elements = ((source.to - source.from) * 8) / dtypes[source.dtype].bits;
    const ties = await dealTies(pool, slices, rule, elements, signal);
    return slices.map((slice, i) => ({ source: slice, rule: { ...rule, ties: ties[i] } }));
  }
  // A vector has one output unit whichever way its inputs are said to run.
  const byRow = rule.orientation === 'out-in' || source.shape.length < 2;
  if (byRow) return cutRows(source, 1).map((slice) => ({ source: slice, rule: { ...rule, orientation: 'out-in' } }));
  if (rule.kind === 'groups') return matrices(source).flatMap((matrix) => cutRows(matrix, rule.of).map((slice) => ({ source: slice, rule })));
  return matrices(source).flatMap((matrix) => columnBlocks(matrix).map((columns) => ({ source: matrix, rule, columns })));
}

type Cut = Extract<MagnitudeRule, { kind: 'cut' }>;

/** The tie budget of each slice, in order: what is at the threshold is counted first where a slice could take too many. */
async function dealTies(pool: WorkerPool, slices: readonly SliceSource[], rule: Cut, elements: number, signal?: AbortSignal): Promise<number[]> {
  if (slices.length <= 1 || rule.ties === 0 || rule.ties >= elements) return slices.map(() => rule.ties);
  const counts = await countSlices(pool, slices, rule.threshold, signal);
  let left = rule.ties;
  return counts.map(({ equal }) => {
    const ties = Math.min(left, equal);
    left -= ties;
    return ties;
  });
}

/** The same source with its bytes counted from the tensor's first, which tells a worker which weight it looks at. */
function fromItsFirstByte(source: SliceSource): SliceSource {
  if (source.encoded) return source;
  return { ...source, from: 0, to: source.to - source.from, encoded: { from: source.from, to: source.to, steps: [] } };
}

/** Split as its scores would be, which are F32. */
async function splitScored(pool: WorkerPool, source: SliceSource, rule: Extract<TensorRule, { kind: 'scored' }>, signal?: AbortSignal): Promise<Part[]> {
  const { bits } = dtypes[source.dtype], place = { file: source.file.path }, width = source.shape.at(-1) ?? 1;
  if (rule.by.kind !== 'cut' && !Number.isInteger((width * bits) / 8)) throw new CheckpointError('unsupported-pattern', place, `rows of ${width} ${source.dtype} do not end on a byte`);
  const columns = rule.by.kind === 'rows' && rule.by.orientation === 'in-out' && source.shape.length >= 2;
  if (columns && bits < 8) throw new CheckpointError('unsupported-scope', place, `columns of ${source.dtype}`);
  const encoded = source.encoded!, scores: SliceSource = { ...asScores(source), encoded: { ...encoded, steps: [...encoded.steps, rule.score] } };
  const parts = await splitMagnitudes(pool, scores, rule.by, signal);
  return parts.map((part) => ({
    source: { ...part.source, dtype: source.dtype, encoded, from: (part.source.from * bits) / 32, to: (part.source.to * bits) / 32 }, rule: { ...rule, by: part.rule },
    ...(part.columns ? { columns: part.columns } : {}),
  }));
}

/** Slices of whole rows of blocks, matrix by matrix; each keeps the tensor's shape. */
async function splitBlocks(pool: WorkerPool, source: SliceSource, rule: Extract<TensorRule, { kind: 'blocks' }>, signal?: AbortSignal): Promise<Part[]> {
  const blocked = blocksOn(source.shape, rule.block, rule.orientation), { down, across } = blockGrid(blocked), { bits } = dtypes[source.dtype];
  const rowBytes = (blocked.width * bits) / 8, matrixBytes = rowBytes * blocked.height;
  if (!Number.isInteger(rowBytes)) throw new CheckpointError('unsupported-pattern', { file: source.file.path }, `rows of ${blocked.width} ${source.dtype} do not end on a byte`);
  if (rowBytes > BUFFER_BYTES) throw new CheckpointError('unsupported-pattern', { file: source.file.path }, `a row of ${rowBytes} bytes exceeds ${BUFFER_BYTES} bytes`);
  const slices: SliceSource[] = [], scores: SliceSource[] = [], every = blockSourceOf(source, blocked, rule.score);
  for (let matrix = 0; matrixBytes > 0 && matrix * matrixBytes < source.to; matrix++) {
    const strip = rowBytes * blocked.blockHeight, atOnce = Math.max(1, Math.floor(SLICE_BYTES / strip));
    for (let top = 0; top < down; top += atOnce) {
      const bottom = Math.min(down, top + atOnce), from = matrix * matrixBytes;
      slices.push({ ...source, from: from + top * strip, to: from + Math.min(matrixBytes, bottom * strip) });
      scores.push({ ...every, from: (matrix * down + top) * across * 4, to: (matrix * down + bottom) * across * 4 });
    }
  }
  const ties = await dealTies(pool, scores, rule.by, (scores.at(-1)?.to ?? 0) / 4, signal);
  return slices.map((slice, i) => ({ source: slice, rule: { ...rule, by: { ...rule.by, ties: ties[i] } } }));
}

/** Blocks of columns that fit a worker's buffer and are worth a strided read. */
function columnBlocks(matrix: SliceSource): { from: number; to: number }[] {
  const [height, width] = matrix.shape, size = dtypes[matrix.dtype].bits / 8;
  if (!Number.isInteger(size)) throw new CheckpointError('unsupported-scope', { file: matrix.file.path }, `columns of ${matrix.dtype}`);
  const count = Math.floor(BUFFER_BYTES / (height * size));
  if (count < 1) throw new CheckpointError('unsupported-scope', { file: matrix.file.path }, `a column of ${height} ${matrix.dtype} exceeds ${BUFFER_BYTES} bytes`);
  return Array.from({ length: Math.ceil(width / count) }, (_, i) => ({ from: i * count, to: Math.min(width, (i + 1) * count) }));
}
