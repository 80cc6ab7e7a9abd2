import type { EncodingStep } from '../../tensor/encoding';
import type { ByteSource } from '../byteSource';

/** Rows of the result that are held at once. */
const STRIP_BYTES = 24 * 2 ** 20;
/** Bytes of the stored matrix read in one step. */
const WINDOW_BYTES = 2 ** 20;

/**
 * A stored (rows, columns) matrix as (columns, rows). Strips of the result are put together in passes over the matrix, and
 * the last one is kept: reading on is one pass a strip.
 */
export function transposed(source: ByteSource, { itemBytes, rows, columns }: Extract<EncodingStep, { kind: 'transpose' }>): ByteSource {
  const rowOut = rows * itemBytes, perStrip = Math.max(1, Math.floor(STRIP_BYTES / Math.max(1, rowOut)));
  let held: { readonly first: number; readonly end: number; readonly bytes: Uint8Array } | null = null;
  const strip = (column: number): NonNullable<typeof held> => {
    if (held && column >= held.first && column < held.end) return held;
    const first = column - (column % perStrip), end = Math.min(columns, first + perStrip);
    held = null;
    return (held = { first, end, bytes: turn(source, itemBytes, rows, columns, first, end) });
  };
  return {
    path: source.path,
    byteLength: source.byteLength,
    read(from, to, into) {
      for (let at = from; at < to;) {
        const part = strip(Math.floor(at / rowOut)), base = part.first * rowOut, stop = Math.min(to, part.end * rowOut);
        into.set(part.bytes.subarray(at - base, stop - base), at - from);
        at = stop;
      }
    },
    close: () => {
      held = null;
      source.close();
    },
  };
}

/** Columns [first, end) of the stored matrix as rows. */
function turn(source: ByteSource, itemBytes: number, rows: number, columns: number, first: number, end: number): Uint8Array {
  const out = new Uint8Array((end - first) * rows * itemBytes), rowIn = columns * itemBytes;
  const perWindow = Math.max(1, Math.floor(WINDOW_BYTES / rowIn)), window = new Uint8Array(Math.min(perWindow, rows) * rowIn);
  const wide = itemBytes === 4 ? Uint32Array : itemBytes === 2 ? Uint16Array : Uint8Array;
  const items = new wide(window.buffer), target = new wide(out.buffer), step = itemBytes / wide.BYTES_PER_ELEMENT;
  for (let row = 0; row < rows; row += perWindow) {
    const count = Math.min(perWindow, rows - row);
    source.read(row * rowIn, (row + count) * rowIn, window.subarray(0, count * rowIn));
    for (let column = first; column < end; column++) {
      for (let i = 0; i < count; i++) {
        for (let part = 0; part < step; part++) target[((column - first) * rows + row + i) * step + part] = items[(i * columns + column) * step + part];
      }
    }
  }
  return out;
}
