import { CheckpointError } from '../../errors';
import type { DType } from '../../tensor/dtype';
import { dtypes } from '../../tensor/dtype';
import type { EncodingStep } from '../../tensor/encoding';
import type { TensorInfo } from '../../tensor/tensorInfo';
import { shownName } from '../names';
import type { PyStorage, PyTensor } from './pickleValues';

/** Where the bytes of one storage are. */
export interface StorageBytes {
  /** First byte in the file, and one past the last: as stored, deflated or not. */
  readonly from: number;
  readonly to: number;
  /** Bytes of the storage itself. */
  readonly bytes: number;
  readonly deflated: boolean;
  /** Big-endian items. */
  readonly swapped: boolean;
}

/** A container's storages. @throws CheckpointError `storage-missing` for one that is not there */
export interface Storages {
  /** @param tensor the name of the tensor that needs it, for the message */
  find(storage: PyStorage, tensor: string): StorageBytes;
}

/** Storage classes and torch dtypes by their names; the size of an item, and the dtype where we have one. */
const storageTypes: Readonly<Record<string, { readonly bytes: number; readonly dtype: DType | null }>> = {
  Float: { bytes: 4, dtype: 'F32' }, Double: { bytes: 8, dtype: 'F64' }, Half: { bytes: 2, dtype: 'F16' }, BFloat16: { bytes: 2, dtype: 'BF16' }, Long: { bytes: 8, dtype: 'I64' },
  Int: { bytes: 4, dtype: 'I32' }, Short: { bytes: 2, dtype: 'I16' }, Char: { bytes: 1, dtype: 'I8' }, Byte: { bytes: 1, dtype: 'U8' }, Bool: { bytes: 1, dtype: 'BOOL' },
  ComplexFloat: { bytes: 8, dtype: 'C64' }, ComplexDouble: { bytes: 16, dtype: null }, QInt8: { bytes: 1, dtype: 'I8' }, QUInt8: { bytes: 1, dtype: 'U8' }, QInt32: { bytes: 4, dtype: 'I32' },
  QUInt4x2: { bytes: 1, dtype: null }, QUInt2x4: { bytes: 1, dtype: null }, Untyped: { bytes: 1, dtype: 'U8' },
};
const torchDTypes: Readonly<Record<string, DType>> = {
  float32: 'F32', float: 'F32', float64: 'F64', double: 'F64', float16: 'F16', half: 'F16', bfloat16: 'BF16', int64: 'I64', long: 'I64', int32: 'I32', int: 'I32', int16: 'I16', short: 'I16',
  int8: 'I8', uint8: 'U8', uint16: 'U16', uint32: 'U32', uint64: 'U64', bool: 'BOOL', complex64: 'C64', cfloat: 'C64',
  float8_e4m3fn: 'F8_E4M3', float8_e5m2: 'F8_E5M2', float8_e4m3fnuz: 'F8_E4M3FNUZ', float8_e5m2fnuz: 'F8_E5M2FNUZ', float8_e8m0fnu: 'F8_E8M0',
};

/** Bytes of one item of a storage class; 1 for what is not known (an untyped storage counts bytes). */
export const itemBytesOf = (storageType: string): number => storageTypes[storageType.replace(/Storage$/, '')]?.bytes ?? 1;

/** An expanded view costs time when it is read, whatever it takes in the file: more than this beyond the file is no real tensor. */
const MAX_EXPANDED_BYTES = 2 ** 32;

export type Placed = { readonly tensor: Omit<TensorInfo, 'file'> } | { readonly shown: { readonly kind: string; readonly detail: string } };

/**
 * A tensor as bytes of the file. Contiguous ones in a plain storage lie there as they are.
 *
 * @throws CheckpointError `bad-view`, `storage-missing`, `storage-too-short`
 */
export function placeTensor(name: string, tensor: PyTensor, storages: Storages, file: string, fileBytes: number): Placed {
  const { storage, shape, stride, offset } = tensor;
  if (tensor.special || !storage) return { shown: tensor.special ?? { kind: 'tensor', detail: 'no storage' } };
  const where = { file, tensor: shownName(name) };
  const type = storageTypes[storage.type.replace(/Storage$/, '')];
  const dtype = tensor.dtype !== null ? torchDTypes[tensor.dtype] ?? null : type?.dtype ?? null;
  if (!dtype) return { shown: { kind: 'unsupported dtype', detail: (tensor.dtype ?? storage.type.replace(/Storage$/, '')).slice(0, 60) } };

  if (shape.length !== stride.length) throw new CheckpointError('bad-view', where, `${shape.length} sizes and ${stride.length} strides`);
  if (shape.some((size) => size < 0) || stride.some((step) => step < 0)) throw new CheckpointError('bad-view', where, `shape [${shape.join(', ')}], strides [${stride.join(', ')}]`);
  const itemBytes = dtypes[dtype].bits / 8, elements = shape.reduce((product, size) => product * size, 1);
  const most = offset + storage.viewOffset + shape.reduce((sum, size, axis) => sum + (size - 1) * stride[axis], 0);
  if (!Number.isSafeInteger(elements) || !Number.isSafeInteger(most) || elements * itemBytes > fileBytes + MAX_EXPANDED_BYTES) {
    throw new CheckpointError('bad-view', where, `shape [${shape.join(', ')}], strides [${stride.join(', ')}] in a file of ${fileBytes} bytes`);
  }
  const place = storages.find(storage, name);
  const needed = elements === 0 ? 0 : (most + 1) * itemBytes;
  if (needed > place.bytes) throw new CheckpointError('storage-too-short', where, `storage ${shownName(storage.key)} holds ${place.bytes} bytes, tensor ${shownName(name)} needs ${needed}`);

  const steps: EncodingStep[] = [];
  const first = (offset + storage.viewOffset) * itemBytes, contiguous = isContiguous(shape, stride), size = elements * itemBytes;
  let { from, to } = place;
  // The part of a plain storage that the view spans; a compressed one has to be read from its beginning.
  const span = elements === 0 ? 0 : contiguous ? size : needed - first;
  if (place.deflated) {
    steps.push({ kind: 'inflate', inflatedBytes: place.bytes });
    if (elements === 0 || first > 0 || span < place.bytes) steps.push({ kind: 'slice', from: elements === 0 ? 0 : first, to: elements === 0 ? 0 : first + span });
  } else {
    from = elements === 0 ? place.from : place.from + first;
    to = from + span;
  }
  // Complex numbers are pairs: each part is swapped by itself.
  if (place.swapped && itemBytes > 1) steps.push({ kind: 'swap', itemBytes: dtype === 'C64' ? 4 : itemBytes });
  if (!contiguous && elements > 0) steps.push({ kind: 'strided', itemBytes, shape: [...shape], strides: [...stride], offset: 0 });
  const { conjugate, negative } = tensor.flags;
  if (conjugate && dtype === 'C64') steps.push({ kind: 'signs', itemBytes: 8, bytes: [7] });
  if (negative && (dtypes[dtype].kind === 'float' || dtype === 'C64')) steps.push({ kind: 'signs', itemBytes, bytes: dtype === 'C64' ? [3, 7] : [itemBytes - 1] });
  if (tensor.affine && (dtype === 'I8' || dtype === 'U8' || dtype === 'I32')) {
    steps.push({ kind: 'affine', stored: dtype, ...tensor.affine });
    return { tensor: { name, dtype: 'F32', shape: [...shape], elements, from, to, encoding: steps, storedDtype: storage.type.replace(/Storage$/, '').toUpperCase(), storedBits: itemBytes * 8, special: 'quantised' } };
  }
  return { tensor: { name, dtype, shape: [...shape], elements, from, to, ...(steps.length > 0 ? { encoding: steps } : {}) } };
}

/** Row-major without holes; axes of size 1 may have any stride. */
function isContiguous(shape: readonly number[], stride: readonly number[]): boolean {
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] !== 1 && stride[axis] !== expected) return false;
    expected *= shape[axis];
  }
  return true;
}
