import type { EncodedBytes, EncodingStep } from '../tensor/encoding';
import type { TensorInfo } from '../tensor/tensorInfo';
import type { ByteSource, IoMode } from './byteSource';
import { blockMeans } from './decoders/blockMeans';
import { bitmasked } from './decoders/bitmask';
import { ggml } from './decoders/ggml';
import { inflated, spillKey } from './decoders/inflated';
import { masked } from './decoders/masked';
import { packed } from './decoders/packed';
import { protobufField } from './decoders/protobuf';
import { selected } from './decoders/selected';
import { scored } from './decoders/score';
import { sliced } from './decoders/sliced';
import { strided } from './decoders/strided';
import { affine, signsFlipped, swapped } from './decoders/itemwise';
import { transposed } from './decoders/transposed';
import { openSource } from './openSource';
import { checkRange, type FileStamp } from './stamp';

/**
 * Opens what workers read: the file itself, or the values that `encoded` decodes to, from byte 0.
 *
 * @throws CheckpointError as `openSource`; reading throws `bad-encoding` where the bytes are not what the file says
 */
export function openValues(file: FileStamp, io: IoMode, encoded: EncodedBytes | undefined): ByteSource {
  const source = openSource(file, io);
  return encoded ? decode(source, file, encoded) : source;
}

/** The values of one tensor as a source of their own: byte 0 is the first byte of its first element. */
export function openTensor(file: FileStamp, tensor: TensorInfo, io: IoMode): ByteSource {
  const source = openSource(file, io);
  return tensor.encoding ? decode(source, file, { from: tensor.from, to: tensor.to, steps: tensor.encoding }) : sliced(source, tensor.from, tensor.to);
}

/** The same over a source that is open already; closing the result closes it. */
export function openDecoded(source: ByteSource, file: FileStamp, tensor: TensorInfo): ByteSource {
  return decode(source, file, { from: tensor.from, to: tensor.to, steps: tensor.encoding ?? [] });
}

function decode(raw: ByteSource, file: FileStamp, encoded: EncodedBytes): ByteSource {
  try {
    return checked(encoded.steps.reduce((source, step) => apply(step, source, raw, file, encoded), sliced(raw, encoded.from, encoded.to)));
  } catch (error) {
    raw.close();
    throw error;
  }
}

function apply(step: EncodingStep, source: ByteSource, raw: ByteSource, file: FileStamp, place: Pick<EncodedBytes, 'from' | 'to'>): ByteSource {
  switch (step.kind) {
    case 'inflate': return inflated(source, file, spillKey(place.from, place.to), step.inflatedBytes);
    case 'slice': return sliced(source, step.from, step.to);
    case 'swap': return swapped(source, step.itemBytes);
    case 'strided': return strided(source, step);
    case 'transpose': return transposed(source, step);
    case 'signs': return signsFlipped(source, step);
    case 'affine': return affine(source, step);
    case 'masked': {
      const { mask } = step;
      return masked(source, mask.steps.reduce((inner, one) => apply(one, inner, raw, file, mask), sliced(raw, mask.from, mask.to)), step);
    }
    case 'bitmask': {
      const { bits, offsets } = step;
      return bitmasked(source, sliced(raw, bits.from, bits.to), offsets && sliced(raw, offsets.from, offsets.to), step);
    }
    case 'ggml': return ggml(source, step);
    case 'protobuf': return protobufField(source, step);
    case 'packed': return packed(source, step);
    case 'select': return selected(source, step);
    case 'score': return scored(source, step);
    case 'blockMeans': return blockMeans(source, step);
  }
}

/** The contract of a ByteSource at the outer end: ranges are checked once, however many steps lie below. */
function checked(source: ByteSource): ByteSource {
  return {
    path: source.path,
    byteLength: source.byteLength,
    read(from, to, into) {
      checkRange(from, to, source.byteLength, into);
      source.read(from, to, into);
    },
    close: () => source.close(),
  };
}

/** A tensor whose values lie in its file as they are, at `from`. */
export const isPlain = (tensor: TensorInfo): boolean => tensor.encoding === undefined || tensor.encoding.length === 0;
