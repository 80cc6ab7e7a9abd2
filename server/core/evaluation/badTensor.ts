import { throwIfCancelled } from '../errors';
import type { ByteSource } from '../bytes/byteSource';
import { openTensor } from '../bytes/decodedSource';
import { valueBytes } from '../tensor/tensorInfo';
import type { Model } from '../models/contract';
import type { DType } from '../tensor/dtype';

const CHUNK_BYTES = 4 * 1024 * 1024;

/**
 * The first parameter, in the order of the file, that holds NaN; when none does, the first that holds infinity. Looked for only after a
 * loss has come out NaN, so a plain loop will do.
 */
export function firstBadTensor(model: Model, signal?: AbortSignal): { readonly name: string; readonly count: number; readonly what: 'NaN' | 'infinity' } | null {
  const { files, tensors } = model.checkpoint;
  let infinite: { name: string; count: number; what: 'infinity' } | null = null;
  for (const [i, tensor] of tensors.entries()) {
    const exponent = exponentMask(tensor.dtype);
    if (!model.roles[i].parameter || exponent === null) continue;
    throwIfCancelled(signal);
    const source = openTensor(files[tensor.file], tensor, 'pread');
    try {
      const found = countBad(source, 0, valueBytes(tensor), exponent);
      if (found.nan > 0) return { name: tensor.name, count: found.nan, what: 'NaN' };
      if (found.inf > 0) infinite ??= { name: tensor.name, count: found.inf, what: 'infinity' };
    } finally {
      source.close();
    }
  }
  return infinite;
}

interface FloatBits { readonly bytes: 2 | 4; readonly magnitude: number; readonly infinity: number }

/** Bit patterns: with the sign cleared, above `infinity` is NaN. */
function exponentMask(dtype: DType): FloatBits | null {
  if (dtype === 'F32') return { bytes: 4, magnitude: 0x7fffffff, infinity: 0x7f800000 };
  if (dtype === 'BF16') return { bytes: 2, magnitude: 0x7fff, infinity: 0x7f80 };
  if (dtype === 'F16') return { bytes: 2, magnitude: 0x7fff, infinity: 0x7c00 };
  return null;
}

function countBad(source: ByteSource, from: number, to: number, bits: FloatBits): { nan: number; inf: number } {
  const buffer = new Uint8Array(CHUNK_BYTES);
  let nan = 0, inf = 0;
  for (let at = from; at < to; at += CHUNK_BYTES) {
    const end = Math.min(at + CHUNK_BYTES, to), elements = Math.floor((end - at) / bits.bytes);
    source.read(at, end, buffer);
    const values = bits.bytes === 4 ? new Uint32Array(buffer.buffer, 0, elements) : new Uint16Array(buffer.buffer, 0, elements);
    for (let i = 0; i < elements; i++) {
      const magnitude = values[i] & bits.magnitude;
      if (magnitude > bits.infinity) nan++;
      else if (magnitude === bits.infinity) inf++;
    }
  }
  return { nan, inf };
}
