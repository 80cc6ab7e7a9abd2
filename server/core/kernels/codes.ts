import { dtypes, type DType } from '../tensor/dtype';
import { float16FromBits, float32FromBits } from './floatBits';

/**
 * The value of each code of the dtypes with at most 16 bits; NaN and infinities where the format has them.
 * 8-bit floats follow the OCP and the "FNUZ" definitions: E4M3 has no infinity, E8M0 has neither zero nor sign,
 * the FNUZ types have one NaN (the code of -0) and no infinity. Null for wider dtypes.
 */
export function codeValues(dtype: DType): Float64Array | null {
  if (dtypes[dtype].bits > 16) return null;
  let table = cache.get(dtype);
  if (!table) {
    const decode = decoders[dtype as CodeDType];
    table = Float64Array.from({ length: 2 ** dtypes[dtype].bits }, (_, code) => decode(code));
    cache.set(dtype, table);
  }
  return table;
}

const cache = new Map<DType, Float64Array>();

type CodeDType = Exclude<DType, 'U32' | 'I32' | 'U64' | 'I64' | 'F32' | 'F64' | 'C64'>;
type Special = (magnitudeBits: number, negative: boolean) => number | null;

/** Sign, exponent, mantissa, from the top; `special` answers for codes that are not plain numbers. */
function small(exponentBits: number, mantissaBits: number, bias: number, special: Special = () => null): (code: number) => number {
  return (code) => {
    const negative = (code >> (exponentBits + mantissaBits)) === 1;
    const bits = code & (2 ** (exponentBits + mantissaBits) - 1);
    const odd = special(bits, negative);
    if (odd !== null) return odd;
    const exponent = bits >> mantissaBits, mantissa = bits & (2 ** mantissaBits - 1);
    const magnitude = exponent === 0 ? mantissa * 2 ** (1 - bias - mantissaBits) : (2 ** mantissaBits + mantissa) * 2 ** (exponent - bias - mantissaBits);
    return negative ? -magnitude : magnitude;
  };
}

const fnuz: Special = (bits, negative) => (negative && bits === 0 ? NaN : null);

const decoders: Readonly<Record<CodeDType, (code: number) => number>> = {
  BOOL: (code) => (code === 0 ? 0 : 1),
  U8: (code) => code,
  I8: (code) => (code << 24) >> 24,
  U16: (code) => code,
  I16: (code) => (code << 16) >> 16,
  F16: float16FromBits,
  BF16: (code) => float32FromBits(code << 16),
  F8_E4M3: small(4, 3, 7, (bits) => (bits === 0x7f ? NaN : null)),
  F8_E5M2: small(5, 2, 15, (bits, negative) => (bits > 0x7c ? NaN : bits === 0x7c ? (negative ? -Infinity : Infinity) : null)),
  F8_E4M3FNUZ: small(4, 3, 8, fnuz),
  F8_E5M2FNUZ: small(5, 2, 16, fnuz),
  F8_E8M0: (code) => (code === 0xff ? NaN : 2 ** (code - 127)),
  F6_E2M3: small(2, 3, 1),
  F6_E3M2: small(3, 2, 3),
  F4: small(2, 1, 1),
};

/** Reads code `index` of packed bytes: F4 low half first, F6 from the lowest bit up (four codes in three bytes). */
export function readCode(bytes: Uint8Array, bits: number, index: number): number {
  if (bits === 8) return bytes[index];
  if (bits === 16) return bytes[2 * index] | (bytes[2 * index + 1] << 8);
  const at = index * bits, byte = at >> 3, shift = at & 7;
  return ((bytes[byte] | ((bytes[byte + 1] ?? 0) << 8)) >> shift) & (2 ** bits - 1);
}

/** Writes code 0 at `index`; of the packed types only this code's bits change. */
export function clearCode(bytes: Uint8Array, bits: number, index: number): void {
  if (bits === 8) { bytes[index] = 0; return; }
  if (bits === 16) { bytes[2 * index] = 0; bytes[2 * index + 1] = 0; return; }
  const at = index * bits, byte = at >> 3, mask = (2 ** bits - 1) << (at & 7);
  bytes[byte] &= ~mask;
  if (mask > 0xff) bytes[byte + 1] &= ~(mask >> 8);
}

/** Adds the codes of `bytes` to `counts` (2^bits long). */
export function countCodes(bytes: Uint8Array, bits: number, elements: number, counts: Float64Array): void {
  if (bits === 8) for (let i = 0; i < elements; i++) counts[bytes[i]]++;
  else for (let i = 0; i < elements; i++) counts[readCode(bytes, bits, i)]++;
}
