import { CheckpointError } from '../../errors';
import type { EncodingStep } from '../../tensor/encoding';
import type { ByteSource } from '../byteSource';

/** Items masked in one step. */
const STEP_ITEMS = 2 ** 18;

/** Items of `source` as they are where the mask's item is not zero (in any but its sign bit), else +0.0. */
export function masked(source: ByteSource, mask: ByteSource, step: Extract<EncodingStep, { kind: 'masked' }>): ByteSource {
  const { itemBytes } = step, maskBytes = step.mask.itemBytes;
  if (source.byteLength / itemBytes !== mask.byteLength / maskBytes) {
    throw new CheckpointError('bad-encoding', { file: source.path }, `a mask of ${mask.byteLength / maskBytes} for ${source.byteLength / itemBytes} weights`);
  }
  return {
    path: source.path,
    byteLength: source.byteLength,
    read(from, to, into) {
      source.read(from, to, into);
      const last = Math.ceil(to / itemBytes);
      for (let first = Math.floor(from / itemBytes); first < last; first += STEP_ITEMS) {
        const end = Math.min(last, first + STEP_ITEMS), marks = new Uint8Array((end - first) * maskBytes);
        mask.read(first * maskBytes, end * maskBytes, marks);
        for (let item = first; item < end; item++) {
          if (!isZero(marks, (item - first) * maskBytes, maskBytes)) continue;
          into.fill(0, Math.max(0, item * itemBytes - from), Math.min(to, (item + 1) * itemBytes) - from);
        }
      }
    },
    close: () => source.close(),
  };
}

/** A mask may hold -0.0: everything but the top bit has to be zero. A boolean or byte has no sign, and uses the low bits only. */
function isZero(bytes: Uint8Array, at: number, size: number): boolean {
  for (let i = 0; i < size - 1; i++) if (bytes[at + i] !== 0) return false;
  return (bytes[at + size - 1] & (size === 1 ? 0xff : 0x7f)) === 0;
}
