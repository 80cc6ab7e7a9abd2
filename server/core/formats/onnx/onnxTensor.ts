import { CheckpointError } from '../../errors';
import type { DType } from '../../tensor/dtype';
import { dtypes } from '../../tensor/dtype';
import type { EncodingStep } from '../../tensor/encoding';
import { listNames, shownName } from '../names';
import { onnxTypeOf, tensorFields, unpackStep, type OnnxType } from './onnxTypes';
import type { ProtoField, ProtoReader } from './protoReader';

/** Longest text and most dimensions that make sense. */
export const MAX_TEXT = 65_536;
const MAX_DIMS = 64;

/** Where values lie outside of the file. Not checked yet. */
export interface ExternalData { readonly location: string; readonly offset: number; readonly length: number | null }

/** A TensorProto without its values. `from` and `to` are of the .onnx file and mean nothing where `external` is given. */
export interface OnnxTensor {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly elements: number;
  readonly from: number;
  readonly to: number;
  readonly encoding: readonly EncodingStep[];
  readonly external: ExternalData | null;
  readonly storedDtype?: string;
  readonly storedBits?: number;
}

/** A tensor without numbers that can be shown, and why. */
export interface OpaqueTensor { readonly name: string; readonly kind: string; readonly shape: readonly number[]; readonly detail: string }

/** Bytes that the values take as stored: whole ones, the last padded. */
const storedBytes = (type: OnnxType, dtype: DType, elements: number): number => Math.ceil((elements * (type.packedBits ?? dtypes[dtype].bits)) / 8);

/** Product of the dimensions. @throws CheckpointError `bad-shape` */
export function elementsOf(dims: readonly number[], where: { readonly file: string; readonly tensor: string }): number {
  // A zero must not hide an overflow: every partial product has to be exact.
  if (dims.length > MAX_DIMS || !dims.every((size) => Number.isSafeInteger(size) && size >= 0) || !Number.isSafeInteger(dims.reduce((product, size) => product * Math.max(1, size), 8))) {
    throw new CheckpointError('bad-shape', where, `[${listNames(dims.map(String))}]`);
  }
  return dims.reduce((product, size) => product * size, 1);
}

/**
 * Reads the TensorProto [from, to) up to, but without, its values.
 *
 * @param named the name of a tensor that has none of its own (the output of a Constant node)
 * @throws CheckpointError `bad-shape`, `unknown-dtype`, `size-mismatch`, `bad-tensor-entry`, `file-damaged`, `file-cut-short`
 */
export function readTensor(reader: ProtoReader, file: string, from: number, to: number, named: string | null): OnnxTensor | OpaqueTensor {
  const dims: number[] = [], typed = new Map<number, ProtoField[]>(), external: ProtoField[] = [];
  let dataType = 0, name = '', raw: ProtoField | null = null, isExternal = false, typedFields = 0;
  for (const field of reader.fields(from, to)) switch (field.number) {
    case tensorFields.dims:
      for (const size of reader.varints(field)) if (dims.push(size) > MAX_DIMS) throw reader.damaged(field.tagFrom, `more than ${MAX_DIMS} dimensions`);
      break;
    case tensorFields.dataType: dataType = field.value; break;
    case tensorFields.name: name = reader.text(field, MAX_TEXT); break;
    case tensorFields.rawData: reader.message(field); raw = field; break;
    case tensorFields.externalData: if (external.push(field) > 64) throw reader.damaged(field.tagFrom, 'too many entries of external data'); break;
    case tensorFields.dataLocation: isExternal = field.value === 1; break;
    case tensorFields.floatData: case tensorFields.int32Data: case tensorFields.int64Data: case tensorFields.doubleData: case tensorFields.uint64Data: {
      // Only the first two are kept: whether there is one run of packed values, or more than that, is all that matters.
      const found = typed.get(field.number) ?? [];
      if (found.length < 2) found.push(field);
      typed.set(field.number, found);
      typedFields++;
      break;
    }
  }
  name = named ?? name;
  const where = { file, tensor: shownName(name) }, elements = elementsOf(dims, where), type = onnxTypeOf(dataType);
  if (type === undefined) throw new CheckpointError('unknown-dtype', where, `data type ${dataType}`);
  const { dtype } = type;
  const opaque = (detail: string): OpaqueTensor => ({ name, kind: type.title, shape: dims, detail });
  if (dtype === null) return opaque(type.title === 'STRING' ? 'text has no statistics' : 'complex numbers of 128 bits are not read');
  if (dtype === 'F4' && elements % 2 === 1) return opaque('an odd number of 4-bit floats does not fill whole bytes');
  const size = storedBytes(type, dtype, elements);
  const base = {
    name, dtype, shape: dims, elements,
    ...(type.packedBits !== undefined && { storedDtype: type.title, storedBits: type.packedBits }),
  };
  const exactly = (bytes: number): void => {
    if (bytes !== size) throw new CheckpointError('size-mismatch', where, `${type.title} [${listNames(dims.map(String))}] needs ${size} bytes but has ${bytes}`);
  };
  if (isExternal) {
    const data = readExternal(reader, external, where);
    if (data.length !== null) exactly(data.length);
    return { ...base, from: 0, to: size, encoding: unpackStep(type, elements), external: data };
  }
  if (raw !== null) {
    exactly(raw.to - raw.from);
    return { ...base, from: raw.from, to: raw.to, encoding: unpackStep(type, elements), external: null };
  }
  if (elements === 0) return { ...base, from: to, to, encoding: [], external: null };
  const { field } = type, found = field === null ? undefined : typed.get(field.number);
  if (field === null) return opaque(`${type.title} outside of raw_data`);
  if (!found) {
    throw new CheckpointError('size-mismatch', where, `${type.title} [${listNames(dims.map(String))}] needs ${size} bytes but holds no values${typedFields > 0 ? ' of its type' : ''}`);
  }
  const isRun = found.length === 1 && found[0].wire === 2;
  if (isRun && field.wire !== 'varint') {
    exactly(found[0].to - found[0].from);
    return { ...base, from: found[0].from, to: found[0].to, encoding: [], external: null };
  }
  const itemBytes = Math.max(1, dtypes[dtype].bits / 8);
  const step = { kind: 'protobuf', field: field.number, wire: field.wire, itemBytes: dtype === 'C64' ? 4 : itemBytes, decodedBytes: size } as const;
  checkValues(reader, from, to, step.field, step.wire, dtype === 'C64' ? elements * 2 : elements, where);
  return { ...base, from, to, encoding: [step], external: null };
}

/** Counts the values of a typed field. */
function checkValues(reader: ProtoReader, from: number, to: number, number: number, wire: 'varint' | 'fixed32' | 'fixed64', wanted: number, where: { readonly file: string; readonly tensor: string }): void {
  let there = 0;
  for (const field of reader.fields(from, to)) {
    if (field.number !== number) continue;
    if (wire === 'varint') for (const value of reader.varints(field)) there += value >= 0 ? 1 : 0;
    else there += (field.to - field.from) / (wire === 'fixed32' ? 4 : 8);
  }
  if (there !== wanted) throw new CheckpointError('size-mismatch', where, `the shape needs ${wanted} values, ${there} are there`);
}

/** @throws CheckpointError `bad-tensor-entry` */
function readExternal(reader: ProtoReader, entries: readonly ProtoField[], where: { readonly file: string; readonly tensor: string }): ExternalData {
  const values = new Map<string, string>();
  for (const entry of entries) {
    let key = '', value = '';
    for (const field of reader.fields(...reader.message(entry))) {
      if (field.number === 1) key = reader.text(field, MAX_TEXT);
      else if (field.number === 2) value = reader.text(field, MAX_TEXT);
    }
    values.set(key, value);
  }
  const location = values.get('location');
  if (location === undefined || location === '') throw new CheckpointError('bad-tensor-entry', { ...where, key: 'location' }, 'external data without a location');
  const count = (key: string): number | null => {
    const text = values.get(key);
    if (text === undefined) return null;
    const number = /^\d{1,16}$/.test(text) ? Number(text) : NaN;
    if (!Number.isSafeInteger(number)) throw new CheckpointError('bad-tensor-entry', { ...where, key }, `${key} of external data is ${shownName(text)}`);
    return number;
  };
  return { location, offset: count('offset') ?? 0, length: count('length') };
}
