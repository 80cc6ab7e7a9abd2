/**
 * SentencePiece's table of replacements (`precompiled_charsmap`): a double array over UTF-8 bytes whose leaves point into a
 * list of texts, each ended by a zero byte. Layout: u32 size of the array in bytes, the array, the texts.
 */
export interface CharsMap {
  /**
   * The replacement of the longest entry that begins at `from`, or null; `shortest` takes the shortest one instead, as the
   * Rust library does.
   */
  replace(bytes: Uint8Array, from: number, to: number, shortest?: boolean): { readonly text: string; readonly length: number } | null;
  /** Whether some entry begins with these bytes. */
  begins(bytes: Uint8Array): boolean;
}

/** One unit of the array: its label, where its children lie, and whether it ends an entry (darts-clone). */
const labelOf = (unit: number): number => (unit & 0x800000ff) >>> 0;
const offsetOf = (unit: number): number => (unit >>> 10) << ((unit & 512) >>> 6);
const endsEntry = (unit: number): boolean => (unit & 256) !== 0;

/** Null where there is nothing in it, or it is not such a table. */
export function readCharsMap(blob: Uint8Array): CharsMap | null {
  if (blob.length < 8) return null;
  const view = new DataView(blob.buffer, blob.byteOffset, blob.byteLength), size = view.getUint32(0, true);
  if (size === 0 || size % 4 || size > blob.length - 4) return null;
  const units = Uint32Array.from({ length: size / 4 }, (_, i) => view.getUint32(4 + 4 * i, true));
  const texts = blob.subarray(4 + size), decoder = new TextDecoder(), known = new Map<number, string>();
  const textAt = (at: number): string => {
    let text = known.get(at);
    if (text === undefined) {
      const end = texts.indexOf(0, at);
      known.set(at, text = decoder.decode(texts.subarray(at, end === -1 ? texts.length : end)));
    }
    return text;
  };
  return {
    replace(bytes, from, to, shortest = false) {
      let at = offsetOf(units[0]), found = -1, length = 0;
      for (let i = from; i < to; i++) {
        at ^= bytes[i];
        // A node outside is a broken table: it ends the search as a missing child does.
        if (at >= units.length || labelOf(units[at]) !== bytes[i]) break;
        const ends = endsEntry(units[at]);
        at ^= offsetOf(units[at]);
        if (!ends || at >= units.length) continue;
        found = units[at] & 0x7fffffff;
        length = i + 1 - from;
        if (shortest) break;
      }
      return found === -1 || found >= texts.length ? null : { text: textAt(found), length };
    },
    begins(bytes) {
      let at = offsetOf(units[0]);
      for (const byte of bytes) {
        at ^= byte;
        if (at >= units.length || labelOf(units[at]) !== byte) return false;
        at ^= offsetOf(units[at]);
      }
      return true;
    },
  };
}
