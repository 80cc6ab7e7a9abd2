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
  const { itemBytes, rows, columns } = step, rowBits = Math.ceil(columns / 8), held = kept.byteLength / itemBytes, lanes = itemBytes === 8 ? 2 : 1;
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

  /** Writes `count` columns of one row under `marks` from byte `at` on, with values from number `used` on. @returns values used */
  const spread = (marks: Uint8Array, at: number, count: number, values: Items, used: number, out: Items, to: number): number => {
    for (let x = 0; x < count; x += 8, at++) {
      const byte = marks[at];
      // No branch that nobody can foresee: an unmarked item is the next value with all its bits cleared.
      for (let b = 0, i = to + x; byte >> b > 0; b++, i++) {
        const bit = (byte >> b) & 1;
        if (lanes === 1) out[i] = values[used] & -bit;
        else { out[2 * i] = values[2 * used] & -bit; out[2 * i + 1] = values[2 * used + 1] & -bit; }
        used += bit;
      }
    }
    return used;
  };

  /** Whole rows, dense. */
  const wholeRows = (row: number, count: number): Uint8Array<ArrayBuffer> => {
    const marks = new Uint8Array(count * rowBits), first = firstOf(row, count), out = new Uint8Array(count * columns * itemBytes);
    bits.read(row * rowBits, (row + count) * rowBits, marks);
    clearPadding(marks, rowBits, columns);
    let total = 0;
    for (let i = 0; i < count; i++) {
      if (first[i] !== first[0] + total) wrong(`row ${row + i} begins at value ${first[i]}, its bits say ${first[0] + total}`);
      total += countIn(marks, i * rowBits, (i + 1) * rowBits);
    }
    if (first[0] < 0 || first[0] + total > held) wrong(`row ${row + count - 1} ends at value ${first[0] + total} of ${held}`);
    const values = new Uint8Array(total * itemBytes), from = itemsOf(values, itemBytes), into = itemsOf(out, itemBytes);
    kept.read(first[0] * itemBytes, (first[0] + total) * itemBytes, values);
    for (let i = 0, used = 0; i < count; i++) used = spread(marks, i * rowBits, columns, from, used, into, i * columns);
    return out;
  };

  /** Columns [left, right) of a row too long to be read whole; `left` is a multiple of 8. */
  const partOfRow = (row: number, left: number, right: number): Uint8Array<ArrayBuffer> => {
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
    spread(marks, 0, right - left, itemsOf(values, itemBytes), 0, itemsOf(out, itemBytes), 0);
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

type Items = Uint8Array | Uint16Array | Uint32Array;

/** Items of whole bytes as numbers; those of 8 bytes as two lanes. `bytes` begins its buffer. */
const itemsOf = (bytes: Uint8Array<ArrayBuffer>, itemBytes: number): Items => (itemBytes === 1 ? bytes : itemBytes === 2 ? new Uint16Array(bytes.buffer) : new Uint32Array(bytes.buffer));

/** Bits past the last column mean nothing. */
function clearPadding(marks: Uint8Array, rowBits: number, columns: number): void {
  if (columns % 8 === 0) return;
  const last = (1 << (columns % 8)) - 1;
  for (let at = rowBits - 1; at < marks.length; at += rowBits) marks[at] &= last;
}
