/** Float types that a checkpoint is converted between. */
export const convertible = ['F64', 'F32', 'F16', 'BF16'] as const;
export type Convertible = (typeof convertible)[number];

const view = new DataView(new ArrayBuffer(8));

/** Bits of the BF16 nearest to a double, ties to even. NaN stays NaN, quiet, with its sign and the top of its payload. */
export function bf16Bits(x: number): number {
  view.setFloat32(0, x);
  let bits = view.getUint32(0);
  if (Number.isNaN(x)) return (bits >>> 16) | 0x0040;
  const near = view.getFloat32(0);
  // From F64: cut to F32 with a sticky last bit, so that two roundings give what one would.
  if (near !== x) bits = (Math.abs(near) > Math.abs(x) ? bits - 1 : bits) | 1;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

/** Bits of the F16 nearest to a double, ties to even; from 65,520 on that is infinity. */
export function f16Bits(x: number): number {
  view.setFloat64(0, x);
  const high = view.getUint32(0), sign = (high >>> 16) & 0x8000;
  if (Number.isNaN(x)) return sign | 0x7e00;
  const magnitude = Math.abs(x);
  if (magnitude >= 65520) return sign | 0x7c00;
  if (magnitude < 2 ** -14) return sign | nearestEven(magnitude * 2 ** 24);
  const exponent = ((high >>> 20) & 0x7ff) - 1023;
  // 1024..2048 in steps of one unit in the last place; a carry runs into the exponent by itself.
  return sign | ((exponent + 14) * 1024 + nearestEven(magnitude * 2 ** (10 - exponent)));
}

function nearestEven(x: number): number {
  const floor = Math.floor(x), rest = x - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}

/**
 * Encodes doubles as `dtype`, round to nearest, ties to even.
 *
 * @param out starts at offset 0 of its buffer
 * @returns how many finite values became infinite
 */
export function encodeInto(dtype: Convertible, values: Float64Array, elements: number, out: Uint8Array<ArrayBuffer>): number {
  let overflowed = 0;
  if (dtype === 'F64') new Float64Array(out.buffer, 0, elements).set(values.subarray(0, elements));
  else if (dtype === 'F32') {
    const target = new Float32Array(out.buffer, 0, elements);
    for (let i = 0; i < elements; i++) {
      target[i] = values[i];
      if (!Number.isFinite(target[i]) && Number.isFinite(values[i])) overflowed++;
    }
  } else {
    const target = new Uint16Array(out.buffer, 0, elements), encode = dtype === 'BF16' ? bf16Bits : f16Bits, infinity = dtype === 'BF16' ? 0x7f80 : 0x7c00;
    for (let i = 0; i < elements; i++) {
      target[i] = encode(values[i]);
      if ((target[i] & 0x7fff) === infinity && Number.isFinite(values[i])) overflowed++;
    }
  }
  return overflowed;
}
