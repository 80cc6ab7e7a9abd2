import type { Checkpoint } from '../formats/contract';
import type { IoMode } from '../bytes/byteSource';
import { valueBytes, type TensorInfo } from '../tensor/tensorInfo';
import type { SliceSource } from './contract';

/** Slice sizes never depend on the number of threads, so results that are merged in slice order do not either. */
export const SLICE_BYTES = 0x1800000; // 24 MiB: a multiple of every element and of F6's three bytes

/** Reaches a tensor of a checkpoint. */
export function tensorSource(checkpoint: Pick<Checkpoint, 'files'>, tensor: TensorInfo, io: IoMode): SliceSource {
  const { path, realPath, byteLength, mtimeMs } = checkpoint.files[tensor.file];
  const base = { file: { path, realPath, byteLength, mtimeMs }, io, dtype: tensor.dtype, shape: tensor.shape };
  if (!tensor.encoding) return { ...base, from: tensor.from, to: tensor.to };
  return { ...base, from: 0, to: valueBytes(tensor), encoded: { from: tensor.from, to: tensor.to, steps: tensor.encoding } };
}

/**
 * Cuts a source into slices of at most SLICE_BYTES (one unit at least), each a whole number of `unit` bytes but the last.
 * Shapes: [bytes / rowBytes, width] when `width` is given, else as in the source (a slice's shape is then not its own).
 */
export function cut(source: SliceSource, unit = 24, row?: { readonly width: number; readonly bytes: number }): SliceSource[] {
  const size = Math.max(unit, Math.floor(SLICE_BYTES / unit) * unit);
  const slices: SliceSource[] = [];
  for (let from = source.from; from < source.to; from += size) {
    const to = Math.min(source.to, from + size);
    slices.push({ ...source, from, to, shape: row ? [(to - from) / row.bytes, row.width] : source.shape });
  }
  return slices;
}
