import { randomBytes } from 'node:crypto';
import { closeSync, openSync, realpathSync, statSync, writeSync } from 'node:fs';
import path from 'node:path';
import { openTensor } from '../bytes/decodedSource';
import { openSource } from '../bytes/openSource';
import { CheckpointError } from '../errors';
import type { Problem } from '../errors';
import type { WeightReference } from '../graph/contract';
import type { InputStatistics } from '../calibration/contract';
import type { Model } from '../models/contract';
import { availableMemory } from '../runtime/memory';
import { decodeInto } from '../tensor/decode';
import { convertible, type Convertible } from '../tensor/narrow';
import { valueBytes } from '../tensor/tensorInfo';
import type { PlanTools } from './contract';
import type { Products } from './products';
import type { ScopeTensor } from './pruneScope';
import { extentOf } from './scoreTensors';
import { solve, sparseGptMatrix, type SecondMoments, type Solved, type SparseGptOptions } from './sparsegptMatrix';
import { storedMatrix } from './storedMatrix';

/** What became of one tensor: its new bytes and their zeros, or neither when it stays as it is; remarks say why. */
export interface SparseGptTensor { readonly values: WeightReference | null; readonly zeros: number; readonly problems: readonly Problem[] }

/** Hessians solved with one damping. Matrices that are fed the same (query, key, value) have the same, one after the other: the last one is kept. */
export interface Hessians { solved(inputs: number, reference: WeightReference, rows: number, signal?: AbortSignal): Promise<Solved | null> }

export function makeHessians(damping: number, products: Products, tools: Pick<PlanTools, 'pool'>): Hessians {
  let last = '', kept: Solved | null = null;
  return {
    async solved(inputs, reference, rows, signal) {
      const key = JSON.stringify([inputs, reference, rows]);
      if (key === last) return kept;
      const matrix = new Float32Array(inputs ** 2);
      last = '';
      kept = null;
      readReference(reference, new Uint8Array(matrix.buffer));
      kept = await solve(inputs, { matrix, rows } satisfies SecondMoments, damping, products, tools.pool, signal);
      last = key;
      return kept;
    },
  };
}

function readReference({ realPath, from, byteLength }: WeightReference, into: Uint8Array): void {
  const { size, mtimeMs } = statSync(realPath), source = openSource({ path: realPath, realPath, byteLength: size, mtimeMs }, 'pread');
  try {
    source.read(from, from + byteLength, into);
  } finally {
    source.close();
  }
}

const isConvertible = (dtype: string): dtype is Convertible => (convertible as readonly string[]).includes(dtype);

/**
 * SparseGPT on one tensor, matrix by matrix where it has more than two axes. Memory: the tensor, and of its largest matrix a few times inputs² doubles.
 *
 * @param statistics of the tensor's inputs, with second moments: (inputs, inputs), or (matrices, inputs, inputs)
 * @throws CheckpointError `out-of-memory`, `disk-full`, `target-not-writable`, `cancelled`, and what reading and running graphs throws
 */
export async function sparseGptTensor(
  model: Model, tensor: ScopeTensor, statistics: InputStatistics, options: SparseGptOptions, { hessians, products, tools }: { readonly hessians: Hessians; readonly products: Products; readonly tools: PlanTools }, signal?: AbortSignal,
): Promise<SparseGptTensor> {
  const { info } = tensor, { dtype } = info, place = { file: model.checkpoint.files[info.file].path, tensor: info.name };
  const kept = (code: Problem['code'], detail: string): SparseGptTensor => ({ values: null, zeros: 0, problems: [{ code, where: place, detail }] });
  const { matrices: count, inputs, outputs } = extentOf(tensor), { secondMoments, rows } = statistics, square = inputs ** 2 * 4;
  if (!isConvertible(dtype)) return kept('unsupported-dtype', `new values cannot be written as ${dtype}`);
  if (secondMoments?.byteLength !== square && secondMoments?.byteLength !== count * square) throw new CheckpointError('internal', place, `second moments of ${statistics.inputs} inputs for ${count} x ${inputs}`);
  requireMemory(place, inputs, outputs, valueBytes(info));

  const size = valueBytes(info) / count, bytes = new Uint8Array(valueBytes(info)), problems: Problem[] = [], source = openTensor(model.checkpoint.files[info.file], info, tools.io);
  let overflowed = 0;
  try {
    source.read(0, bytes.length, bytes);
  } finally {
    source.close();
  }
  for (let i = 0; i < count; i++) {
    const from = secondMoments.from + (secondMoments.byteLength === square ? 0 : i * square);
    const solved = await hessians.solved(inputs, { ...secondMoments, from, byteLength: square }, rows, signal);
    if (solved === null) return kept('hessian-indefinite', `of ${inputs} inputs over ${rows} tokens`);
    if (solved.damping > options.damping) problems.push({ code: 'hessian-damped', where: place, detail: `${Number(solved.damping.toPrecision(3))} instead of ${options.damping}` });
    const matrix = storedMatrix(dtype, bytes.subarray(i * size, (i + 1) * size), inputs, outputs, options.orientation);
    overflowed += await sparseGptMatrix(matrix, solved, options, products, tools.pool, signal);
  }
  if (overflowed > 0) problems.push({ code: 'became-infinite', where: place, detail: `${overflowed} values` });
  return { values: writeValues(tools.scratch, bytes), zeros: zerosIn(dtype, bytes, info.elements), problems };
}

/** Second moments, the factor, and either the rows it is made of (here and, growing, in the child) or the errors of all inputs. */
function requireMemory(place: Problem['where'], inputs: number, outputs: number, stored: number): void {
  const square = inputs ** 2, need = stored + square * 4 + square * 8 + Math.max(square * 8 * 3, inputs * outputs * 8 * 2), available = availableMemory();
  if (need > available) throw new CheckpointError('out-of-memory', place, `${inputs} x ${outputs} needs ${Math.ceil(need / 2 ** 20)} MiB, ${Math.ceil(available / 2 ** 20)} MiB available`);
}

function zerosIn(dtype: Convertible, bytes: Uint8Array<ArrayBuffer>, elements: number): number {
  const values = new Float64Array(Math.min(elements, 2 ** 16));
  let zeros = 0;
  for (let from = 0; from < elements; from += values.length) {
    const n = Math.min(values.length, elements - from), size = bytes.length / elements;
    decodeInto(dtype, bytes.slice(from * size, (from + n) * size), n, values);
    for (let i = 0; i < n; i++) if (values[i] === 0) zeros++;
  }
  return zeros;
}

function writeValues(folder: string, bytes: Uint8Array): WeightReference {
  const file = path.join(folder, `values-${randomBytes(6).toString('hex')}.bin`);
  try {
    const fd = openSync(file, 'wx');
    try {
      for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at, bytes.length - at);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new CheckpointError(code === 'ENOSPC' || code === 'EDQUOT' ? 'disk-full' : 'target-not-writable', { file }, code ?? String(error), { cause: error });
  }
  return { realPath: realpathSync(file), from: 0, byteLength: bytes.length };
}
