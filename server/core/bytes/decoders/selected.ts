import { CheckpointError } from '../../errors';
import type { EncodingStep } from '../../tensor/encoding';
import type { ByteSource } from '../byteSource';

/** Stored bytes held at a time. */
const WINDOW_BYTES = 4 * 2 ** 20;

/**
 * The kept places of one axis, side by side: items (outer, length, inner) read as (outer, kept, inner). Neighbours that are both
 * kept are read at once; where rows are short, many are read together and picked apart.
 *
 * @throws CheckpointError `bad-encoding` when a kept place is beyond the axis or they do not rise
 */
export function selected(source: ByteSource, step: Extract<EncodingStep, { kind: 'select' }>): ByteSource {
  const { itemBytes, outer, length, inner, kept } = step;
  for (let i = 0; i < kept.length; i++) {
    if (kept[i] >= length || (i > 0 && kept[i] <= kept[i - 1])) throw new CheckpointError('bad-encoding', { file: source.path }, `place ${kept[i]} of ${length}`);
  }
  if (outer * length * inner * itemBytes !== source.byteLength) {
    throw new CheckpointError('bad-encoding', { file: source.path }, `${outer} x ${length} x ${inner} items, the source has ${source.byteLength / itemBytes}`);
  }
  const cell = inner * itemBytes, rowIn = length * cell, rowOut = kept.length * cell;
  return {
    path: source.path,
    byteLength: outer * rowOut,
    read(from, to, into) {
      if (rowIn > WINDOW_BYTES) { readRuns(from, to, into); return; }
      const perWindow = Math.max(1, Math.floor(WINDOW_BYTES / rowIn)), window = new Uint8Array(Math.min(perWindow, outer) * rowIn);
      for (let at = from; at < to;) {
        const first = Math.floor(at / rowOut), rows = Math.min(perWindow, Math.ceil(to / rowOut) - first);
        source.read(first * rowIn, (first + rows) * rowIn, window.subarray(0, rows * rowIn));
        for (const stop = Math.min(to, (first + rows) * rowOut); at < stop;) {
          const row = Math.floor(at / rowOut), run = runAt(at - row * rowOut, Math.min(stop, (row + 1) * rowOut) - row * rowOut);
          const begin = (row - first) * rowIn + run.stored;
          into.set(window.subarray(begin, begin + run.bytes), at - from);
          at += run.bytes;
        }
      }
    },
    close: () => source.close(),
  };

  /** Bytes of a result row from `at`, which lie side by side in the stored row too; at most up to `stop`. */
  function runAt(at: number, stop: number): { stored: number; bytes: number } {
    let place = Math.floor(at / cell);
    const skip = at - place * cell, stored = kept[place] * cell + skip;
    while ((place + 1) * cell < stop && kept[place + 1] === kept[place] + 1) place++;
    return { stored, bytes: Math.min(stop, (place + 1) * cell) - at };
  }

  function readRuns(from: number, to: number, into: Uint8Array): void {
    for (let at = from; at < to;) {
      const row = Math.floor(at / rowOut), run = runAt(at - row * rowOut, Math.min(to, (row + 1) * rowOut) - row * rowOut);
      source.read(row * rowIn + run.stored, row * rowIn + run.stored + run.bytes, into.subarray(at - from, at - from + run.bytes));
      at += run.bytes;
    }
  }
}
