import { openTensor } from '../../../server/core/bytes/decodedSource';
import type { IoMode } from '../../../server/core/bytes/byteSource';
import type { Checkpoint } from '../../../server/core/formats/contract';
import { decodeInto, partsOf } from '../../../server/core/tensor/decode';
import { valueBytes } from '../../../server/core/tensor/tensorInfo';

/** All values of a tensor as doubles, through its encoding. */
export function valuesOf(checkpoint: Checkpoint, name: string, io: IoMode = 'pread'): number[] {
  const tensor = checkpoint.tensors.find((one) => one.name === name);
  if (!tensor) throw new Error(`no tensor ${name}`);
  const source = openTensor(checkpoint.files[tensor.file], tensor, io), size = valueBytes(tensor), bytes = new Uint8Array(Math.ceil(size / 8) * 8);
  source.read(0, size, bytes);
  source.close();
  const values = new Float64Array(tensor.elements * partsOf(tensor.dtype));
  decodeInto(tensor.dtype, bytes, tensor.elements, values);
  return [...values];
}
