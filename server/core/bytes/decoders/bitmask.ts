import { CheckpointError } from '../../errors';
import type { EncodingStep } from '../../tensor/encoding';
import type { ByteSource } from '../byteSource';

type BitmaskStep = Extract<EncodingStep, { kind: 'bitmask' }>;

/** Values decoded in one step. */
const STEP_ITEMS = 2 ** 17;
/** Set bits of each byte. */
const POPULATION = Uint8Array.from({ length: 256 }, (_, byte) => { let bits = 0; for (let rest = byte; rest > 0; rest >>= 1) bits += rest & 1; return bits; });

/**
 * Dense rows of a matrix of which only the marked values are stored (compressed-tensors' `sparse-bitmask` and `sparse-24-bitmask`):
 * the others are +0.0. Any range is read: whole rows in steps, a part of a long row after counting the bits before it.
 *
 * @param kept the marked values, row after row
 * @param bits of the rows, each beginning a byte, the first value in the lowest bit
 * @param offsets I64 a row: which kept value is its first; null where every row keeps half
 * @throws CheckpointError `bad-encoding` where bits and offsets disagree
 */
export function bitmasked(kept: ByteSource, bits: ByteSource, offsets: ByteSource | null, step: BitmaskStep): ByteSource {
  const { itemBytes, rows, columns } = step, rowBits = Math.ceil(columns / 8), held = kept.byteLength / itemBytes;
  const wrong = (detail: string): never => { throw new CheckpointError('bad-encoding', { file: kept.path }, detail); };
  if (bits.byteLength !== rows * rowBits || (offsets && offsets.byteLength !== rows * 8) || !Number.isInteger(held)) wrong(`${bits.byteLength} bytes of bits and ${kept.byteLength} of values for ${rows} x ${columns}`);

  const firstOf = (row: number, count: number): Float64Array => {
    const first = new Float64Array(count);
    if (!offsets) return first.map((_, i) => ((row + i) * columns) / 2);
    const raw = new BigInt64Array(count);
    offsets.read(row * 8, (row + count) * 8, new Uint8Array(raw.buffer));
    return first.map((_, i) => Number(raw[i]));
  };
  const countIn = (marks: Uint8Array, from: number, to: number): number => {
    let sum = 0;
    for (let at = from; at < to; at++) sum += POPULATION[marks[at]];
    return sum;
  };

  /** Writes the values [left, right) of `marks`' columns, which begin at a byte, from `values` on. @returns values used */
  const spread = (marks: Uint8Array, at: number, left: number, right: number, values: Uint8Array, used: number, out: Uint8Array, to: number): number => {
    for (let x = left; x < right; x++) {
      if (((marks[at + ((x - left) >> 3)] >> ((x - left) & 7)) & 1) === 0) continue;
      const from = used * itemBytes, target = to + (x - left) * itemBytes;
      for (let byte = 0; byte < itemBytes; byte++) out[target + byte] = values[from + byte];
      used++;
    }
    return used;
  };

  /** Whole rows, dense. */
  const wholeRows = (row: number, count: number): Uint8Array => {
    const marks = new Uint8Array(count * rowBits), first = firstOf(row, count), out = new Uint8Array(count * columns * itemBytes);
    bits.read(row * rowBits, (row + count) * rowBits, marks);
    clearPadding(marks, rowBits, columns);
    let total = 0;
    for (let i = 0; i < count; i++) {
      if (first[i] !== first[0] + total) wrong(`row ${row + i} begins at value ${first[i]}, its bits say ${first[0] + total}`);
      total += countIn(marks, i * rowBits, (i + 1) * rowBits);
    }
    if (first[0] < 0 || first[0] + total > held) wrong(`row ${row + count - 1} ends at value ${first[0] + total} of ${held}`);
    const values = new Uint8Array(total * itemBytes);
    kept.read(first[0] * itemBytes, (first[0] + total) * itemBytes, values);
    for (let i = 0, used = 0; i < count; i++) used = spread(marks, i * rowBits, 0, columns, values, used, out, i * columns * itemBytes);
    return out;
  };

  /** Columns [left, right) of a row too long to be read whole; `left` is a multiple of 8. */
  const partOfRow = (row: number, left: number, right: number): Uint8Array => {
    let used = firstOf(row, 1)[0];
    for (let at = 0; at < left / 8; at += STEP_ITEMS) {
      const before = new Uint8Array(Math.min(STEP_ITEMS, left / 8 - at));
      bits.read(row * rowBits + at, row * rowBits + at + before.length, before);
      used += countIn(before, 0, before.length);
    }
    const marks = new Uint8Array(Math.ceil((right - left) / 8)), out = new Uint8Array((right - left) * itemBytes);
    bits.read(row * rowBits + left / 8, row * rowBits + left / 8 + marks.length, marks);
    clearPadding(marks, marks.length, right - left);
    const total = countIn(marks, 0, marks.length);
    if (used < 0 || used + total > held) wrong(`row ${row} ends at value ${used + total} of ${held}`);
    const values = new Uint8Array(total * itemBytes);
    kept.read(used * itemBytes, (used + total) * itemBytes, values);
    spread(marks, 0, left, right, values, 0, out, 0);
    return out;
  };

  const rowBytes = columns * itemBytes;
  return {
    path: kept.path,
    byteLength: rows * rowBytes,
    read(from, to, into) {
      for (let at = from; at < to;) {
        const row = Math.floor(at / rowBytes);
        let piece: Uint8Array, start = row * rowBytes;
        if (columns <= STEP_ITEMS) piece = wholeRows(row, Math.min(Math.max(1, Math.floor(STEP_ITEMS / columns)), Math.ceil(to / rowBytes) - row));
        else {
          const left = Math.floor((at - start) / itemBytes / 8) * 8;
          piece = partOfRow(row, left, Math.min(columns, left + STEP_ITEMS));
          start += left * itemBytes;
        }
        const stop = Math.min(to, start + piece.length);
        into.set(piece.subarray(at - start, stop - start), at - from);
        at = stop;
      }
    },
    close: () => kept.close(),
  };
}

/** Bits past the last column mean nothing. */
function clearPadding(marks: Uint8Array, rowBits: number, columns: number): void {
  if (columns % 8 === 0) return;
  const last = (1 << (columns % 8)) - 1;
  for (let at = rowBits - 1; at < marks.length; at += rowBits) marks[at] &= last;
}
