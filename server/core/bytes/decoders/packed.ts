import type { EncodingStep } from '../../tensor/encoding';
import type { ByteSource } from '../byteSource';

/** Packed bytes unpacked in one step. */
const STEP_BYTES = 2 ** 16;

/** Integers of 2 or 4 bits, the low bits of a byte first, as one byte each. */
export function packed(source: ByteSource, step: Extract<EncodingStep, { kind: 'packed' }>): ByteSource {
  const { bits, signed } = step, each = 8 / bits, mask = 2 ** bits - 1, half = 2 ** (bits - 1);
  return {
    path: source.path,
    byteLength: Math.min(step.items, source.byteLength * each),
    read(from, to, into) {
      for (let at = from; at < to;) {
        const first = Math.floor(at / each), end = Math.min(Math.ceil(to / each), first + STEP_BYTES);
        const bytes = new Uint8Array(end - first), stop = Math.min(to, end * each);
        source.read(first, end, bytes);
        for (; at < stop; at++) {
          const value = (bytes[Math.floor(at / each) - first] >> ((at % each) * bits)) & mask;
          into[at - from] = signed && value >= half ? value - mask - 1 : value;
        }
      }
    },
    close: () => source.close(),
  };
}
