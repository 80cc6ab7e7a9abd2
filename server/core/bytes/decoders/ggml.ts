import { CheckpointError } from '../../errors';
import { ggmlTypeOf, swapBlocks } from '../../formats/gguf/ggmlTypes';
import type { EncodingStep } from '../../tensor/encoding';
import type { ByteSource } from '../byteSource';

/** Values decoded in one step: 256 KiB of F32. */
const STEP_ELEMENTS = 2 ** 16;

/**
 * Blocks of a quantised GGUF type as F32. Any range is read: the blocks around it are decoded, a few at a time.
 *
 * @throws CheckpointError `bad-encoding` for a type without blocks, or bytes that are no whole number of them
 */
export function ggml(source: ByteSource, step: Extract<EncodingStep, { kind: 'ggml' }>): ByteSource {
  const type = ggmlTypeOf(step.type);
  if (!type?.dequantise || source.byteLength % type.bytes !== 0) {
    throw new CheckpointError('bad-encoding', { file: source.path }, `${source.byteLength} bytes of ${type?.name ?? `type ${step.type}`}`);
  }
  const { dequantise } = type, blockOut = type.elements * 4;
  const most = Math.max(1, Math.floor(STEP_ELEMENTS / type.elements));
  const raw = new Uint8Array(Math.min(most, source.byteLength / type.bytes) * type.bytes), values = new Float32Array((raw.length / type.bytes) * type.elements);
  const decoded = new Uint8Array(values.buffer);
  return {
    path: source.path,
    byteLength: (source.byteLength / type.bytes) * blockOut,
    read(from, to, into) {
      for (let at = from; at < to;) {
        const first = Math.floor(at / blockOut), blocks = Math.min(most, Math.ceil(to / blockOut) - first);
        source.read(first * type.bytes, (first + blocks) * type.bytes, raw.subarray(0, blocks * type.bytes));
        if (step.bigEndian) swapBlocks(type, raw, 0, blocks);
        dequantise(raw, 0, blocks, values, 0);
        const stop = Math.min(to, (first + blocks) * blockOut);
        into.set(decoded.subarray(at - first * blockOut, stop - first * blockOut), at - from);
        at = stop;
      }
    },
    close: () => source.close(),
  };
}
