import { statSync } from 'node:fs';
import { openTensor } from '../../bytes/decodedSource';
import { decodeInto } from '../../tensor/decode';
import { dtypes } from '../../tensor/dtype';
import type { EncodingStep } from '../../tensor/encoding';
import { valueBytes, type TensorInfo } from '../../tensor/tensorInfo';
import type { FoundTensor } from './onnxModel';
import { onnxTypes } from './onnxTypes';

/** A DequantizeLinear node over an initializer: names of its scale and zero point, the axis of its channels. */
export interface Dequantising { readonly scale: string; readonly zeroPoint: string | null; /** Null where it was not given: 1. */ readonly axis: number | null; readonly blocked: boolean }

/** Scales of one file that are held: one for each row of any embedding in use. */
const MAX_CHANNELS = 2 ** 20;

const STORED: Readonly<Record<string, 'I8' | 'U8' | 'I32'>> = { I8: 'I8', U8: 'U8', I32: 'I32' };

/** How integers that a DequantizeLinear turns into floats are shown: as those floats, with the type and the bits that they have in the file. */
export type Shown = Pick<TensorInfo, 'dtype' | 'encoding' | 'storedDtype' | 'storedBits' | 'special'>;

/**
 * Reads the scales and zero points of a file that are initializers of it, as they are asked for.
 *
 * @returns for a tensor what its values are dequantised, or null where scale or zero point are computed, lie in other files,
 *   go by blocks, or do not fit the tensor
 */
export function dequantiser(file: string, tensors: readonly FoundTensor[]): (tensor: FoundTensor, node: Dequantising | undefined) => Shown | null {
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  const held = new Map<string, readonly number[] | null>();
  let left = MAX_CHANNELS;
  const valuesOf = (name: string): readonly number[] | null => {
    const known = held.get(name);
    if (known !== undefined) return known;
    const tensor = byName.get(name);
    const values = tensor === undefined || tensor.external !== null || tensor.elements === 0 || tensor.elements > left || tensor.shape.length > 1 ? null : read(file, tensor);
    if (values !== null) left -= values.length;
    held.set(name, values);
    return values;
  };
  return (tensor, node) => {
    const stored = STORED[tensor.dtype];
    if (node === undefined || node.blocked || stored === undefined || tensor.elements === 0) return null;
    const scales = valuesOf(node.scale), zeros = node.zeroPoint === null ? [0] : valuesOf(node.zeroPoint), axis = node.axis ?? 1;
    if (scales === null || zeros === null || (zeros.length !== 1 && zeros.length !== scales.length)) return null;
    if (scales.length > 1 && !(axis < tensor.shape.length && tensor.shape[axis] === scales.length)) return null;
    const inner = tensor.shape.slice(axis + 1).reduce((product, size) => product * size, 1);
    const zeroPoints = zeros.length === scales.length ? zeros : scales.map(() => zeros[0]);
    const step: EncodingStep = { kind: 'affine', stored, scale: scales[0], zeroPoint: zeroPoints[0], ...(scales.length > 1 && { channels: { scales, zeroPoints, inner } }) };
    const bits = tensor.storedBits ?? dtypes[tensor.dtype].bits;
    const title = tensor.storedDtype ?? Object.values(onnxTypes).find((type) => type.dtype === tensor.dtype && type.packedBits === undefined)?.title ?? tensor.dtype;
    return { dtype: 'F32', encoding: [...tensor.encoding, step], storedDtype: title, storedBits: bits, special: 'quantised' };
  };
}

function read(file: string, tensor: FoundTensor): readonly number[] {
  const { size, mtimeMs } = statSync(file), bytes = new Uint8Array(Math.ceil(valueBytes(tensor) / 8) * 8), values = new Float64Array(tensor.elements);
  const { encoding, ...rest } = tensor;
  const source = openTensor({ path: file, realPath: file, byteLength: size, mtimeMs }, { ...rest, file: 0, ...(encoding.length > 0 && { encoding }) }, 'pread');
  try {
    source.read(0, valueBytes(tensor), bytes);
  } finally {
    source.close();
  }
  decodeInto(tensor.dtype, bytes, tensor.elements, values);
  return [...values];
}
