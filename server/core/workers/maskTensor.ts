import { BUFFER_BYTES } from '../kernels/layout';
import { CheckpointError } from '../errors';
import type { TensorRule } from '../pruning/contract';
import { dtypes } from '../tensor/dtype';
import type { MaskCounts, SliceSource, Target, WorkerPool, WorkerTask } from './contract';
import { requireMaskable } from './floatCells';
import { cut } from './slices';
import { all, countSlices, cutRows, matrices } from './tensorTasks';

/**
 * Reads one tensor, applies its rule and writes it at `target.at` of a file that exists already, slice by slice over the
 * pool. What is selected does not depend on slices or threads: a `cut` rule's ties are counted first and dealt out in flat
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
export async function maskTensor(pool: WorkerPool, source: SliceSource, rule: TensorRule, target: Target, signal?: AbortSignal, onBytes?: (bytes: number) => void): Promise<MaskCounts> {
  requireMaskable(source.dtype, { file: source.file.path });
  const tasks = await split(pool, source, rule, signal);
  const at = (slice: SliceSource): Target => ({ path: target.path, at: target.at + slice.from - source.from });
  const parts = await all(tasks.map((task) => pool.run({ kind: 'mask', ...task, target: at(task.source) }, signal, onBytes)));
  return parts.reduce((a, b) => ({ zerosBefore: a.zerosBefore + b.zerosBefore, zerosAfter: a.zerosAfter + b.zerosAfter, changed: a.changed + b.changed }), { zerosBefore: 0, zerosAfter: 0, changed: 0 });
}

type Part = Pick<Extract<WorkerTask, { kind: 'mask' }>, 'source' | 'rule' | 'columns'>;

async function split(pool: WorkerPool, source: SliceSource, rule: TensorRule, signal?: AbortSignal): Promise<Part[]> {
  if (rule.kind === 'cut') {
    const slices = cut(source), elements = ((source.to - source.from) * 8) / dtypes[source.dtype].bits;
    if (slices.length <= 1 || rule.ties === 0 || rule.ties >= elements) return slices.map((slice) => ({ source: slice, rule }));
    const counts = await countSlices(pool, slices, rule.threshold, signal);
    let left = rule.ties;
    return slices.map((slice, i) => {
      const ties = Math.min(left, counts[i].equal);
      left -= ties;
      return { source: slice, rule: { ...rule, ties } };
    });
  }
  if (rule.kind === 'scored' || rule.kind === 'blocks' || rule.kind === 'values') throw new CheckpointError('internal', { file: source.file.path }, `rule ${rule.kind} cannot be applied yet`);
  // A vector has one output unit whichever way its inputs are said to run.
  const byRow = rule.orientation === 'out-in' || source.shape.length < 2;
  if (byRow) return cutRows(source, 1).map((slice) => ({ source: slice, rule: { ...rule, orientation: 'out-in' } }));
  if (rule.kind === 'groups') return matrices(source).flatMap((matrix) => cutRows(matrix, rule.of).map((slice) => ({ source: slice, rule })));
  return matrices(source).flatMap((matrix) => columnBlocks(matrix).map((columns) => ({ source: matrix, rule, columns })));
}

/** Blocks of columns that fit a worker's buffer and are worth a strided read. */
function columnBlocks(matrix: SliceSource): { from: number; to: number }[] {
  const [height, width] = matrix.shape, size = dtypes[matrix.dtype].bits / 8;
  if (!Number.isInteger(size)) throw new CheckpointError('unsupported-scope', { file: matrix.file.path }, `columns of ${matrix.dtype}`);
  const count = Math.floor(BUFFER_BYTES / (height * size));
  if (count < 1) throw new CheckpointError('unsupported-scope', { file: matrix.file.path }, `a column of ${height} ${matrix.dtype} exceeds ${BUFFER_BYTES} bytes`);
  return Array.from({ length: Math.ceil(width / count) }, (_, i) => ({ from: i * count, to: Math.min(width, (i + 1) * count) }));
}
