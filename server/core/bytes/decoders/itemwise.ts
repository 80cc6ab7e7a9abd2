import type { EncodingStep } from '../../tensor/encoding';
import type { ByteSource } from '../byteSource';

/**
 * A source whose items are changed one by one in place. Reads need not begin or end on an item: the items around are read.
 *
 * @param change gets whole items, from the first byte of `bytes`
 */
export function itemwise(source: ByteSource, itemBytes: number, change: (bytes: Uint8Array) => void): ByteSource {
  return {
    path: source.path,
    byteLength: source.byteLength,
    read(from, to, into) {
      const first = from - (from % itemBytes), end = Math.min(source.byteLength, Math.ceil(to / itemBytes) * itemBytes);
      if (first === from && end === to) {
        source.read(from, to, into);
        change(into.subarray(0, to - from));
        return;
      }
      const whole = new Uint8Array(end - first);
      source.read(first, end, whole);
      change(whole);
      into.set(whole.subarray(from - first, to - first));
    },
    close: () => source.close(),
  };
}

/** Big-endian items, little endian. */
export function swapped(source: ByteSource, itemBytes: number): ByteSource {
  if (itemBytes === 1) return source;
  return itemwise(source, itemBytes, (bytes) => {
    for (let at = 0; at + itemBytes <= bytes.length; at += itemBytes) {
      for (let low = at, high = at + itemBytes - 1; low < high; low++, high--) {
        const kept = bytes[low];
        bytes[low] = bytes[high];
        bytes[high] = kept;
      }
    }
  });
}

/** Sign bits inverted. */
export function signsFlipped(source: ByteSource, step: Extract<EncodingStep, { kind: 'signs' }>): ByteSource {
  return itemwise(source, step.itemBytes, (bytes) => {
    for (let at = 0; at + step.itemBytes <= bytes.length; at += step.itemBytes) for (const byte of step.bytes) bytes[at + byte] ^= 0x80;
  });
}

const storedBytes = { I8: 1, U8: 1, I32: 4 } as const;
/** Values decoded in one step. */
const AFFINE_ITEMS = 2 ** 16;

/** (q - zeroPoint) * scale as F32. */
export function affine(source: ByteSource, step: Extract<EncodingStep, { kind: 'affine' }>): ByteSource {
  const size = storedBytes[step.stored], items = Math.floor(source.byteLength / size);
  const decode = (first: number, end: number): Float32Array => {
    const raw = new Uint8Array((end - first) * size);
    source.read(first * size, end * size, raw);
    const stored = step.stored === 'I8' ? new Int8Array(raw.buffer) : step.stored === 'U8' ? raw : new Int32Array(raw.buffer);
    const { channels, scale, zeroPoint } = step;
    // The difference is rounded to F32 before it is scaled, as ONNX Runtime does; of 8 bits it is exact.
    if (!channels) return Float32Array.from(stored, (q) => Math.fround(q - zeroPoint) * scale);
    const { scales, zeroPoints, inner } = channels;
    return Float32Array.from(stored, (q, i) => {
      const channel = Math.floor((first + i) / inner) % scales.length;
      return Math.fround(q - zeroPoints[channel]) * scales[channel];
    });
  };
  return {
    path: source.path,
    byteLength: items * 4,
    read(from, to, into) {
      for (let at = from; at < to;) {
        const first = Math.floor(at / 4), end = Math.min(Math.ceil(to / 4), first + AFFINE_ITEMS);
        const bytes = new Uint8Array(decode(first, end).buffer), stop = Math.min(to, end * 4);
        into.set(bytes.subarray(at - first * 4, stop - first * 4), at - from);
        at = stop;
      }
    },
    close: () => source.close(),
  };
}
