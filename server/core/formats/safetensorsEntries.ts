import { CheckpointError } from '../errors';
import { dtypeBytes, isDType, type DType } from '../tensor/dtype';
import type { FileHeader } from './contract';
import { listNames, shownName } from './names';
import { isJsonObject, type JsonValue } from './strictJson';

/** One tensor of the header; `from` and `to` count from the start of the data. */
export interface Entry {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly elements: number;
  readonly from: number;
  readonly to: number;
}

const isCount = (value: JsonValue | undefined): value is number => typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && !Object.is(value, -0);

/** Checks one entry by itself: types, product of the shape, dtype x shape = length. @throws CheckpointError */
export function readEntry(name: string, value: JsonValue, file: string): Entry {
  const where = { file, tensor: shownName(name) };
  if (!isJsonObject(value)) throw new CheckpointError('bad-tensor-entry', where, 'not an object');
  const dtype = value.get('dtype'), shape = value.get('shape'), offsets = value.get('data_offsets');
  if (typeof dtype !== 'string') throw new CheckpointError('bad-tensor-entry', { ...where, key: 'dtype' }, 'dtype is missing or not text');
  if (!isDType(dtype)) throw new CheckpointError('unknown-dtype', where, dtype.slice(0, 40));
  if (!Array.isArray(shape) || !shape.every(isCount)) throw new CheckpointError('bad-shape', where, 'shape is not a list of whole numbers');
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount)) {
    throw new CheckpointError('bad-tensor-entry', { ...where, key: 'data_offsets' }, 'data_offsets are not two whole numbers');
  }
  const [from, to] = offsets as [number, number];
  const elements = shape.reduce((product: number, size: number) => product * size, 1);
  // A zero in the shape must not hide an overflow on the way: every partial product has to be exact.
  if (!Number.isSafeInteger(shape.reduce((product: number, size: number) => product * Math.max(1, size), 1))) {
    throw new CheckpointError('bad-shape', where, `${shape.length} sizes whose product is too large`);
  }
  if (to < from) throw new CheckpointError('offset-reversed', where, `begins at ${from} and ends at ${to}`);
  const needs = dtypeBytes(dtype, elements);
  if (needs === null) throw new CheckpointError('size-mismatch', where, `${elements} elements of ${dtype} do not fill whole bytes`);
  if (needs !== to - from) throw new CheckpointError('size-mismatch', where, `${dtype} [${listNames(shape.map(String))}] needs ${needs} bytes but has ${to - from}`);
  return { name, dtype, shape: shape as readonly number[], elements, from, to };
}

/**
 * Checks all entries against each other and the file: no overlap, no gap, nothing after the end, nothing past it.
 *
 * @returns in order of their bytes, with offsets from the start of the file
 * @throws CheckpointError `overlap`, `gap`, `trailing-bytes`, `offset-out-of-range`, `file-cut-short`
 */
export function layOut(entries: readonly Entry[], file: string, dataFrom: number, byteLength: number): FileHeader['tensors'] {
  const sorted = [...entries].sort((a, b) => a.from - b.from || a.to - b.to);
  const there = byteLength - dataFrom;
  let before: Entry | null = null;
  let end = 0;
  for (const entry of sorted) {
    const where = { file, tensor: shownName(entry.name) };
    if (entry.from < end) throw new CheckpointError('overlap', where, `bytes ${entry.from} to ${entry.to} overlap ${shownName(before?.name ?? '')}, bytes ${before?.from} to ${before?.to}`);
    if (entry.from > end) {
      if (entry.to > there) throw new CheckpointError('offset-out-of-range', where, `ends at byte ${entry.to} of the data but there are ${there}`);
      throw new CheckpointError('gap', where, `bytes ${end} to ${entry.from} of the data, before ${shownName(entry.name)}, belong to no tensor`);
    }
    end = entry.to;
    before = entry;
  }
  if (end > there) throw cutShort(sorted, file, dataFrom, there);
  if (end < there) throw new CheckpointError('trailing-bytes', { file }, `${there - end} bytes after the last tensor belong to no tensor`);
  return sorted.map((entry) => ({ ...entry, from: dataFrom + entry.from, to: dataFrom + entry.to }));
}

/** A sound header whose data stop early: an unfinished download, or a damaged last offset; the sizes say both. */
function cutShort(sorted: readonly Entry[], file: string, dataFrom: number, there: number): CheckpointError {
  const complete = sorted.filter((entry) => entry.to <= there), broken = sorted.filter((entry) => entry.to > there);
  const end = sorted[sorted.length - 1].to;
  return new CheckpointError('file-cut-short', { file, tensor: shownName(broken[0].name) },
    `the header promises ${dataFrom + end} bytes, ${dataFrom + there} are there; ${complete.length} of ${sorted.length} tensors are complete`
    + `${complete.length > 0 ? ` (${listNames(complete.map((entry) => entry.name))})` : ''}; missing: ${listNames(broken.map((entry) => entry.name))}; ${shownName(broken[0].name)} ends at byte ${broken[0].to} of the data but there are ${there}`);
}
