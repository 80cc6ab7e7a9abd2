import type { DType } from '../../tensor/dtype';
import type { EncodingStep } from '../../tensor/encoding';

/** How the values of one TensorProto.DataType are stored. github.com/onnx/onnx, onnx.proto */
export interface OnnxType {
  /** What ONNX calls it. */
  readonly title: string;
  /** What the values become; null for those that have no numbers here. */
  readonly dtype: DType | null;
  /** The typed field that may hold the values, and how each of them is written there. */
  readonly field: { readonly number: number; readonly wire: 'varint' | 'fixed32' | 'fixed64' } | null;
  /** Bits of a stored value where they differ from the dtype's: 4-bit integers, two a byte. */
  readonly packedBits?: 2 | 4;
}

/** Fields of TensorProto. */
export const tensorFields = {
  dims: 1, dataType: 2, floatData: 4, int32Data: 5, stringData: 6, int64Data: 7, name: 8, rawData: 9, doubleData: 10, uint64Data: 11, externalData: 13, dataLocation: 14,
} as const;

const floats = { number: tensorFields.floatData, wire: 'fixed32' } as const;
const int32 = { number: tensorFields.int32Data, wire: 'varint' } as const;
const int64 = { number: tensorFields.int64Data, wire: 'varint' } as const;
const doubles = { number: tensorFields.doubleData, wire: 'fixed64' } as const;
const uint64 = { number: tensorFields.uint64Data, wire: 'varint' } as const;

/** By the number of the data type. Half floats in `int32_data` are bit patterns, not integers. */
export const onnxTypes: Readonly<Record<number, OnnxType>> = {
  1: { title: 'FLOAT', dtype: 'F32', field: floats },
  2: { title: 'UINT8', dtype: 'U8', field: int32 },
  3: { title: 'INT8', dtype: 'I8', field: int32 },
  4: { title: 'UINT16', dtype: 'U16', field: int32 },
  5: { title: 'INT16', dtype: 'I16', field: int32 },
  6: { title: 'INT32', dtype: 'I32', field: int32 },
  7: { title: 'INT64', dtype: 'I64', field: int64 },
  8: { title: 'STRING', dtype: null, field: null },
  9: { title: 'BOOL', dtype: 'BOOL', field: int32 },
  10: { title: 'FLOAT16', dtype: 'F16', field: int32 },
  11: { title: 'DOUBLE', dtype: 'F64', field: doubles },
  12: { title: 'UINT32', dtype: 'U32', field: uint64 },
  13: { title: 'UINT64', dtype: 'U64', field: uint64 },
  14: { title: 'COMPLEX64', dtype: 'C64', field: floats },
  15: { title: 'COMPLEX128', dtype: null, field: null },
  16: { title: 'BFLOAT16', dtype: 'BF16', field: int32 },
  17: { title: 'FLOAT8E4M3FN', dtype: 'F8_E4M3', field: int32 },
  18: { title: 'FLOAT8E4M3FNUZ', dtype: 'F8_E4M3FNUZ', field: int32 },
  19: { title: 'FLOAT8E5M2', dtype: 'F8_E5M2', field: int32 },
  20: { title: 'FLOAT8E5M2FNUZ', dtype: 'F8_E5M2FNUZ', field: int32 },
  21: { title: 'UINT4', dtype: 'U8', field: null, packedBits: 4 },
  22: { title: 'INT4', dtype: 'I8', field: null, packedBits: 4 },
  23: { title: 'FLOAT4E2M1', dtype: 'F4', field: null },
  24: { title: 'FLOAT8E8M0', dtype: 'F8_E8M0', field: int32 },
  25: { title: 'UINT2', dtype: 'U8', field: null, packedBits: 2 },
  26: { title: 'INT2', dtype: 'I8', field: null, packedBits: 2 },
};

/** What undoes the packing of small integers. */
export const unpackStep = (type: OnnxType, items: number): readonly EncodingStep[] =>
  (type.packedBits === undefined ? [] : [{ kind: 'packed', bits: type.packedBits, signed: type.dtype === 'I8', items }]);

/** @returns undefined for a number that ONNX has not given to a type */
export const onnxTypeOf = (dataType: number): OnnxType | undefined => onnxTypes[dataType];
