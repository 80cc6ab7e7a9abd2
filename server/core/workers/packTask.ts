import { CheckpointError } from '../errors';
import { dtypes } from '../tensor/dtype';
import type { Target, WorkerAnswers, WorkerTask } from './contract';
import { rowOfBits } from './maskBits';
import { elementsIn, streamWindows, withSource, withTarget, type TaskContext, type Writer } from './task';

type PackTask = Extract<WorkerTask, { kind: 'pack' }>;

/**
 * The bits of whole rows (1 where a value is not +0.0, bit for bit, the first value in the lowest bit, each row begins a byte) and
 * the values that they mark, in order. Without targets it only counts, row by row.
 *
 * `pairs`: of every four values of a row exactly two are marked, the first zeros where fewer are not zero (2:4).
 * @returns marked values of each row; `crowded` groups of four with more than two
 */
export function packTask(context: TaskContext, { source, bits, kept, pairs }: PackTask): WorkerAnswers['pack'] {
  const { bits: size } = dtypes[source.dtype], width = source.shape.at(-1) ?? 1;
  const rows = source.from === source.to ? 0 : elementsIn(source.dtype, source.to - source.from) / width;
  if (size % 8 !== 0 || !Number.isInteger(rows)) throw new CheckpointError('unsupported-dtype', { file: source.file.path }, `${source.dtype} rows of ${width}`);
  const counts = new Float64Array(rows), state: State = { width, itemBytes: size / 8, pairs, crowded: 0, counts, row: 0, written: 0 };
  withSource(source, (bytes) => withTargets(bits, kept, (bitWriter, keptWriter) => {
    if (rows === 0) return;
    streamWindows(context, source, bytes, (source.to - source.from) / rows, (length) => {
      const first = state.row, packed = pack(context.kernels.buffer, length, state, { bits: bits !== null, kept: kept !== null });
      bitWriter?.write(packed.bits, bits!.at + first * rowOfBits(width));
      keptWriter?.write(packed.kept, kept!.at + state.written);
      state.written += packed.kept.length;
    });
  }));
  return { rows: counts, crowded: state.crowded };
}

interface State { readonly width: number; readonly itemBytes: number; readonly pairs: boolean; crowded: number; readonly counts: Float64Array; row: number; written: number }

function withTargets(bits: Target | null, kept: Target | null, work: (bits: Writer | null, kept: Writer | null) => void): void {
  if (bits === null) { if (kept === null) work(null, null); else withTarget(kept, (writer) => work(null, writer)); return; }
  withTarget(bits, (first) => { if (kept === null) work(first, null); else withTarget(kept, (second) => work(first, second)); });
}

/** One window of whole rows. The loops over every value: one for what is not zero, one for what is marked. */
function pack(window: Uint8Array, length: number, state: State, wanted: { readonly bits: boolean; readonly kept: boolean }): { bits: Uint8Array; kept: Uint8Array } {
  const { width, itemBytes, pairs } = state, rows = length / itemBytes / width, row = rowOfBits(width);
  const bits = new Uint8Array(wanted.bits || wanted.kept || pairs ? rows * row : 0), kept = new Uint8Array(wanted.kept ? length : 0);
  const { items, lanes } = itemsOf(window, length, itemBytes), out = itemsOf(kept, kept.length, itemBytes).items;
  let at = 0;
  for (let y = 0; y < rows; y++) {
    const before = at, start = y * width;
    if (bits.length === 0) at += countIn(items, lanes, start, start + width);
    else {
      markRow(items, lanes, start, width, bits, y * row);
      if (pairs) state.crowded += completePairs(bits, y * row, width);
      at = keepRow(items, lanes, start, width, bits, y * row, out, at);
    }
    state.counts[state.row++] = at - before;
  }
  return { bits, kept: kept.subarray(0, wanted.kept ? at * itemBytes : 0) };
}

type Items = Uint8Array | Uint16Array | Uint32Array;

/** Items as whole numbers; those of 8 bytes as two lanes. The bytes begin at a multiple of 8. */
function itemsOf(bytes: Uint8Array, length: number, itemBytes: number): { items: Items; lanes: 1 | 2 } {
  const { buffer, byteOffset } = bytes;
  if (itemBytes === 1) return { items: bytes, lanes: 1 };
  return itemBytes === 2 ? { items: new Uint16Array(buffer, byteOffset, length >> 1), lanes: 1 } : { items: new Uint32Array(buffer, byteOffset, length >> 2), lanes: itemBytes === 4 ? 1 : 2 };
}

function countIn(items: Items, lanes: 1 | 2, from: number, to: number): number {
  let count = 0;
  if (lanes === 1) for (let i = from; i < to; i++) count += items[i] === 0 ? 0 : 1;
  else for (let i = from; i < to; i++) count += (items[2 * i] | items[2 * i + 1]) === 0 ? 0 : 1;
  return count;
}

function markRow(items: Items, lanes: 1 | 2, start: number, width: number, bits: Uint8Array, at: number): void {
  for (let x = 0; x < width; x += 8, at++) {
    const n = Math.min(8, width - x);
    let byte = 0;
    if (lanes === 1) for (let b = 0, i = start + x; b < n; b++, i++) byte |= (items[i] === 0 ? 0 : 1) << b;
    else for (let b = 0, i = 2 * (start + x); b < n; b++, i += 2) byte |= ((items[i] | items[i + 1]) === 0 ? 0 : 1) << b;
    bits[at] = byte;
  }
}

/** Appends the marked items; with an empty `out` it only counts. @returns items so far */
function keepRow(items: Items, lanes: 1 | 2, start: number, width: number, bits: Uint8Array, from: number, out: Items, at: number): number {
  for (let x = 0, mark = from; x < width; x += 8, mark++) {
    const byte = bits[mark];
    // Every item is put at the end, and stays there when it is marked: a branch that nobody can foresee costs more.
    for (let b = 0, i = start + x; byte >> b > 0; b++, i++) {
      if (lanes === 1) out[at] = items[i];
      else { out[2 * at] = items[2 * i]; out[2 * at + 1] = items[2 * i + 1]; }
      at += (byte >> b) & 1;
    }
  }
  return at;
}

/** Marks zeros until every group of four has two; groups with more are counted and stay. */
function completePairs(bits: Uint8Array, from: number, width: number): number {
  let crowded = 0;
  for (let x = 0; x < width; x += 4) {
    const at = from + (x >> 3), shift = x & 4, group = (bits[at] >> shift) & 15;
    let marked = (group & 1) + ((group >> 1) & 1) + ((group >> 2) & 1) + ((group >> 3) & 1);
    if (marked > 2) crowded++;
    for (let i = 0; i < 4 && marked < 2; i++) if (((group >> i) & 1) === 0) { bits[at] |= 1 << (shift + i); marked++; }
  }
  return crowded;
}
