import { CheckpointError } from '../errors';
import { CountedSum } from '../stats/counted';
import { mergeHistograms, sparse } from '../stats/histogram';
import { emptyMoments, mergeMoments } from '../stats/moments';
import type { CountAt, MagnitudeHistogram } from '../stats/contract';
import { dtypes, type DType } from '../tensor/dtype';
import type { SliceSource, Structure, WorkerAnswers, WorkerPool } from './contract';
import { cut } from './slices';
import { isWide } from './wide';

type OnBytes = (bytes: number) => void;

/**
 * Histogram and moments of one whole tensor (or whatever `source` spans), its slices spread over the pool. The answer does
 * not depend on the number of threads, to the last bit.
 *
 * @param options.threshold counts |w| > threshold; null does not
 */
export async function scanTensor(pool: WorkerPool, source: SliceSource, options: { readonly threshold: number | null }, signal?: AbortSignal, onBytes?: OnBytes): Promise<WorkerAnswers['scan']> {
  const { threshold } = options;
  const parts = await all(cut(source).map((slice) => pool.run({ kind: 'scan', source: slice, threshold }, signal, onBytes)));
  if (parts.length === 0) return { moments: emptyMoments, histogram: emptyHistogram(source.dtype), above: threshold === null ? null : 0 };
  return {
    moments: parts.map((part) => part.moments).reduce(mergeMoments),
    histogram: mergeHistograms(parts.map((part) => part.histogram)),
    above: threshold === null ? null : parts.reduce((sum, part) => sum + (part.above ?? 0), 0),
  };
}

/** The histogram of a tensor without elements. */
export function emptyHistogram(dtype: DType): MagnitudeHistogram {
  if (dtype === 'BF16' || dtype === 'F16' || dtype === 'F32') return sparse(dtype, []);
  if (isWide(dtype)) return sparse('F64', []);
  return { space: 'value', keys: new Uint32Array(0), counts: new Float64Array(0), values: new Float64Array(0) };
}

/**
 * The distinct magnitudes inside the coarse keys, ascending, with their counts: exact. For dtypes whose histogram is in
 * space F32 or F64. F64 keeps every magnitude it finds in memory (16 bytes each); F32 at most 65,536 a key.
 */
export async function refineTensor(pool: WorkerPool, source: SliceSource, keys: readonly number[], signal?: AbortSignal, onBytes?: OnBytes): Promise<WorkerAnswers['refine']> {
  const parts = await all(cut(source).map((slice) => pool.run({ kind: 'refine', source: slice, keys }, signal, onBytes)));
  return mergeCounted(parts);
}

/** Adds sorted (value, count) lists. */
export function mergeCounted(parts: readonly WorkerAnswers['refine'][]): WorkerAnswers['refine'] {
  if (parts.length === 1) return parts[0];
  const sum = new CountedSum();
  for (const part of parts) sum.add(part);
  const { values, counts } = sum.result();
  return { values: Float64Array.from(values), counts: Float64Array.from(counts) };
}

/** Exact counts of |w| below and equal to `magnitude`, any dtype, one pass. */
export async function countAt(pool: WorkerPool, source: SliceSource, magnitude: number, signal?: AbortSignal, onBytes?: OnBytes): Promise<CountAt> {
  const parts = await countSlices(pool, cut(source), magnitude, signal, onBytes);
  return { magnitude, less: parts.reduce((sum, part) => sum + part.less, 0), equal: parts.reduce((sum, part) => sum + part.equal, 0) };
}

/** The same for each slice apart: how ties are dealt out. */
export function countSlices(pool: WorkerPool, slices: readonly SliceSource[], magnitude: number, signal?: AbortSignal, onBytes?: OnBytes): Promise<WorkerAnswers['count'][]> {
  return all(slices.map((source) => pool.run({ kind: 'count', source, magnitude }, signal, onBytes)));
}

/** Dead rows and 2:4-ready groups of a matrix (3-D: of all its matrices). */
export async function structureTensor(pool: WorkerPool, source: SliceSource, orientation: 'out-in' | 'in-out', signal?: AbortSignal, onBytes?: OnBytes): Promise<Structure> {
  const sources = orientation === 'out-in' ? cutRows(source, 1) : matrices(source);
  const parts = await all(sources.map((slice) => pool.run({ kind: 'structure', source: slice, orientation }, signal, onBytes)));
  return parts.reduce((a, b) => ({ rows: a.rows + b.rows, deadRows: a.deadRows + b.deadRows, groups: a.groups + b.groups, ready: a.ready + b.ready }), { rows: 0, deadRows: 0, groups: 0, ready: 0 });
}

/**
 * Sums of |w| of each stored row, (matrices x height), and each stored column, (matrices x width), of the last two axes. The same for any
 * number of threads. @throws CheckpointError `unsupported-pattern` where rows do not end on a byte
 */
export async function sumsTensor(pool: WorkerPool, source: SliceSource, signal?: AbortSignal): Promise<WorkerAnswers['sums']> {
  const width = source.shape.at(-1) ?? 1, height = source.shape.at(-2) ?? 1;
  if ((width * dtypes[source.dtype].bits) % 8 !== 0) throw new CheckpointError('unsupported-pattern', { file: source.file.path }, `rows of ${width} ${source.dtype} do not end on a byte`);
  const parts = matrices(source).map((matrix) => cutRows(matrix, 1));
  const answers = await all(parts.map((slices) => all(slices.map((slice) => pool.run({ kind: 'sums', source: slice }, signal)))));
  const rows = new Float64Array(parts.length * height), columns = new Float64Array(parts.length * width);
  answers.forEach((slices, matrix) => {
    let at = matrix * height;
    for (const part of slices) {
      rows.set(part.rows, at);
      at += part.rows.length;
      part.columns.forEach((sum, x) => { columns[matrix * width + x] += sum; });
    }
  });
  return { rows, columns };
}

/** Slices of whole blocks of `rows` stored rows. A row that does not end on a byte leaves the source in one piece. */
export function cutRows(source: SliceSource, rows: number): SliceSource[] {
  const width = source.shape.at(-1) ?? 1, bytes = (width * dtypes[source.dtype].bits) / 8;
  if (source.from === source.to) return [];
  return Number.isInteger(bytes) ? cut(source, bytes * rows, { width, bytes }) : [source];
}

/** The matrices of the last two axes, each with its own bytes. A vector is one row. */
export function matrices(source: SliceSource): SliceSource[] {
  if (source.from === source.to) return [];
  if (source.shape.length <= 2) return [source];
  const shape = source.shape.slice(-2), bytes = (shape[0] * shape[1] * dtypes[source.dtype].bits) / 8;
  if (!Number.isInteger(bytes)) return [source];
  return Array.from({ length: (source.to - source.from) / bytes }, (_, i) => ({ ...source, shape, from: source.from + i * bytes, to: source.from + (i + 1) * bytes }));
}

/** Like Promise.all, but only once every promise has ended: after a failure nobody still reads or writes. Throws the first failure. */
export async function all<T>(promises: readonly Promise<T>[]): Promise<T[]> {
  const ends = await Promise.allSettled(promises);
  return ends.map((end) => {
    if (end.status === 'rejected') throw end.reason;
    return end.value;
  });
}
