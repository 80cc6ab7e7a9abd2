import { statSync } from 'node:fs';
import type { ByteSource } from '../bytes/byteSource';
import { openSource } from '../bytes/openSource';
import { CheckpointError } from '../errors';
import type { TensorRule } from '../pruning/contract';
import type { SliceSource } from './contract';
import { floatCells } from './floatCells';
import type { Tally } from './maskTask';
import { cutRows } from './tensorTasks';
import { elementsIn, streamWindows, type TaskContext, type Writer } from './task';

type BitsRule = Extract<TensorRule, { kind: 'bits' }>;

/** Bytes of one row's bits: eight to a byte, each row begins a byte. */
export const rowOfBits = (width: number): number => Math.ceil(width / 8);

/** Slices of whole rows, each with the bits of its own rows. */
export function splitBits(source: SliceSource, rule: BitsRule): { source: SliceSource; rule: BitsRule }[] {
  const width = source.shape.at(-1) ?? 1, row = rowOfBits(width);
  let rows = 0;
  return cutRows(source, 1).map((slice) => {
    const own = elementsIn(slice.dtype, slice.to - slice.from) / width;
    const from = rule.bits.from + rows * row;
    rows += own;
    return { source: slice, rule: { ...rule, bits: { ...rule.bits, from, byteLength: own * row } } };
  });
}

/** Zeroes the weights whose bit is 0; the slice is whole rows, and `rule.bits` theirs. */
export function maskBits(context: TaskContext, { source, rule, bytes, writer, at }: { source: SliceSource; rule: BitsRule; bytes: ByteSource; writer: Writer | null; at: number }, tally: Tally): void {
  const { realPath, from, byteLength } = rule.bits, width = source.shape.at(-1) ?? 1, row = rowOfBits(width);
  const rows = elementsIn(source.dtype, source.to - source.from) / width;
  if (byteLength !== rows * row) throw new CheckpointError('internal', { file: realPath }, `${byteLength} bytes of bits for ${rows} rows of ${width}`);
  const { size, mtimeMs } = statSync(realPath);
  const masks = openSource({ path: realPath, realPath, byteLength: size, mtimeMs }, source.io);
  try {
    streamWindows(context, source, bytes, (source.to - source.from) / rows, (length, offset) => {
      const cells = floatCells(source.dtype, context.kernels.buffer), n = elementsIn(source.dtype, length);
      const first = elementsIn(source.dtype, offset) / width, marks = new Uint8Array((n / width) * row);
      masks.read(from + first * row, from + first * row + marks.length, marks);
      for (let i = 0, y = 0; i < n; y++) {
        for (let x = 0; x < width; x++, i++) {
          const isZero = cells.magnitude(i) === 0, kept = (marks[y * row + (x >> 3)] >> (x & 7)) & 1;
          if (isZero) tally.zeros++;
          if (kept === 1) continue;
          if (!isZero) tally.changed++;
          cells.clear(i);
        }
      }
      writer?.write(context.kernels.buffer.subarray(0, length), at + offset);
    });
  } finally {
    masks.close();
  }
}
