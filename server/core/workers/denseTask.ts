import type { DenseAnswers, DenseTask } from './contract';
import type { TaskContext } from './task';

/** Columns that are worked on at once: with blocks of 128 rows they stay in the core's own cache. Even, so that pairs fill. */
const CHUNK = 64;
const F64 = 8;

type Eliminate = Extract<DenseTask, { kind: 'eliminate' }>;
type Sweep = Extract<DenseTask, { kind: 'sweep' }>;

/** Copies columns [from, from + count) of a matrix into the buffer at `first`, padded with zeros to `width`. */
function take(context: TaskContext, matrix: Float64Array, columns: number, from: number, count: number, first: number, width: number): void {
  const rows = matrix.length / columns, inside = new Float64Array(context.kernels.buffer.buffer, context.kernels.buffer.byteOffset + first, rows * width);
  if (count < width) inside.fill(0);
  for (let row = 0; row < rows; row++) inside.set(matrix.subarray(row * columns + from, row * columns + from + count), row * width);
}

function give(context: TaskContext, matrix: Float64Array, columns: number, from: number, count: number, first: number, width: number): void {
  const rows = matrix.length / columns, inside = new Float64Array(context.kernels.buffer.buffer, context.kernels.buffer.byteOffset + first, rows * width);
  for (let row = 0; row < rows; row++) matrix.set(inside.subarray(row * width, row * width + count), row * columns + from);
}

/** One block row of the inverse factor: the diagonal block's own inverse, and that inverse times columns [from, to) of the row. */
export function eliminateTask(context: TaskContext, { diagonal, rows, columns, from, to }: Eliminate): DenseAnswers['eliminate'] {
  const { kernels } = context, n = Math.sqrt(diagonal.length), inverse = n * n * F64, chunk = inverse * 2;
  const at = (first: number): Float64Array => new Float64Array(kernels.buffer.buffer, kernels.buffer.byteOffset + first, n * n);
  at(0).set(diagonal);
  const failed = kernels.cholesky(0, n, LEAST_PIVOT);
  if (failed >= 0) return { failed, inverse: new Float64Array(0) };
  kernels.invertLower(0, inverse, n);
  const matrix = new Float64Array(rows);
  for (let x = from; x < to; x += CHUNK) {
    context.check();
    const count = Math.min(CHUNK, to - x);
    take(context, matrix, columns, x, count, chunk, CHUNK);
    kernels.applyLower(inverse, n, chunk, CHUNK);
    give(context, matrix, columns, x, count, chunk, CHUNK);
  }
  return { failed: -1, inverse: at(inverse).slice() };
}

/** Of a matrix whose diagonal is one. What rounding leaves of a singular one is about 1e-16 times its size. */
const LEAST_PIVOT = 1e-12;

/** SparseGPT's sweep over outputs [from, to) of one block of inputs; see the kernel. */
export function sweepTask(context: TaskContext, task: Sweep): DenseAnswers['sweep'] {
  const { kernels } = context, { outputs, factor, divisors, groups, from, to } = task, n = divisors.length;
  const weights = new Float64Array(task.weights), errors = new Float64Array(task.errors), mask = new Uint8Array(task.pruned);
  const u = 0, scores = n * n * F64, w = scores + n * F64, e = w + n * CHUNK * F64, marks = e + n * CHUNK * F64;
  const whole = new Float64Array(kernels.buffer.buffer, kernels.buffer.byteOffset, n * n + n);
  whole.set(factor);
  whole.set(divisors, n * n);
  const bytes = kernels.buffer.subarray(marks, marks + n * CHUNK);
  for (let x = from; x < to; x += CHUNK) {
    context.check();
    const count = Math.min(CHUNK, to - x);
    take(context, weights, outputs, x, count, w, CHUNK);
    bytes.fill(0);
    for (let i = 0; i < n; i++) bytes.set(mask.subarray(i * outputs + x, i * outputs + x + count), i * CHUNK);
    kernels.sweep({ u, divisors: scores, w, e, mask: marks }, n, CHUNK, groups);
    give(context, weights, outputs, x, count, w, CHUNK);
    give(context, errors, outputs, x, count, e, CHUNK);
    for (let i = 0; i < n; i++) mask.set(bytes.subarray(i * CHUNK, i * CHUNK + count), i * outputs + x);
  }
  return {};
}
