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
      const first = state.row, packed = pack(context.kernels.buffer, length, state);
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

/** One window of whole rows. */
function pack(window: Uint8Array, length: number, state: State): { bits: Uint8Array; kept: Uint8Array } {
  const { width, itemBytes, pairs } = state, rows = length / itemBytes / width, row = rowOfBits(width);
  const bits = new Uint8Array(rows * row), kept = new Uint8Array(length);
  const isZero = zeroTest(window, itemBytes);
  let at = 0;
  for (let y = 0, i = 0; y < rows; y++) {
    const before = at;
    for (let x = 0; x < width; x++, i++) {
      if (isZero(i)) continue;
      bits[y * row + (x >> 3)] |= 1 << (x & 7);
    }
    if (pairs) state.crowded += completePairs(bits, y * row, width);
    i -= width;
    for (let x = 0; x < width; x++, i++) {
      if (((bits[y * row + (x >> 3)] >> (x & 7)) & 1) === 0) continue;
      for (let byte = 0; byte < itemBytes; byte++) kept[at * itemBytes + byte] = window[i * itemBytes + byte];
      at++;
    }
    state.counts[state.row++] = at - before;
  }
  return { bits, kept: kept.subarray(0, at * itemBytes) };
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

/** Whether item number i is +0.0: all its bytes are zero. */
function zeroTest(window: Uint8Array, itemBytes: number): (i: number) => boolean {
  const { buffer, byteOffset, length } = window;
  if (itemBytes === 1) return (i) => window[i] === 0;
  if (itemBytes === 2) { const items = new Uint16Array(buffer, byteOffset, length >> 1); return (i) => items[i] === 0; }
  const words = new Uint32Array(buffer, byteOffset, length >> 2);
  return itemBytes === 4 ? (i) => words[i] === 0 : (i) => words[2 * i] === 0 && words[2 * i + 1] === 0;
}
