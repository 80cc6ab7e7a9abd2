/** The element types of safetensors, in its spelling. `bits` is the size of one element (F4 packs two per byte, low half first). */
export const dtypes = {
  BOOL: { bits: 8, kind: 'bool' }, U8: { bits: 8, kind: 'int' }, I8: { bits: 8, kind: 'int' }, U16: { bits: 16, kind: 'int' }, I16: { bits: 16, kind: 'int' },
  U32: { bits: 32, kind: 'int' }, I32: { bits: 32, kind: 'int' }, U64: { bits: 64, kind: 'int' }, I64: { bits: 64, kind: 'int' },
  F16: { bits: 16, kind: 'float' }, BF16: { bits: 16, kind: 'float' }, F32: { bits: 32, kind: 'float' }, F64: { bits: 64, kind: 'float' },
  F8_E4M3: { bits: 8, kind: 'float' }, F8_E5M2: { bits: 8, kind: 'float' }, F8_E4M3FNUZ: { bits: 8, kind: 'float' }, F8_E5M2FNUZ: { bits: 8, kind: 'float' },
  F8_E8M0: { bits: 8, kind: 'float' }, F6_E2M3: { bits: 6, kind: 'float' }, F6_E3M2: { bits: 6, kind: 'float' }, F4: { bits: 4, kind: 'float' },
  C64: { bits: 64, kind: 'complex' },
} as const satisfies Record<string, { bits: number; kind: 'bool' | 'int' | 'float' | 'complex' }>;

export type DType = keyof typeof dtypes;

/** True for a dtype that safetensors has. */
export const isDType = (text: string): text is DType => Object.hasOwn(dtypes, text);

/** Bytes that `elements` values of `dtype` take, or null when they do not fill whole bytes. */
export function dtypeBytes(dtype: DType, elements: number): number | null {
  const bits = elements * dtypes[dtype].bits;
  return Number.isSafeInteger(bits) && bits % 8 === 0 ? bits / 8 : null;
}
