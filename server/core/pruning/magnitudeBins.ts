import type { MagnitudeHistogram } from '../stats/contract';

/**
 * The magnitudes [low, high], both inclusive, that each key of a histogram stands for, as doubles; equal where a key is
 * one magnitude. Infinity has a bin of its own: whatever follows it under the same key is NaN, which is in no bin.
 */
export interface Bins { readonly low: Float64Array; readonly high: Float64Array }

/** Keys of the 16-bit spaces: the top 16 bits of the pattern less the sign. */
const KEYS = 32768;

const view = new DataView(new ArrayBuffer(8));
const tables = new Map<string, Bins>();

/** The bins of a histogram. Tables are made once a space; space `value` carries its own. */
export function binsOf(histogram: MagnitudeHistogram): Bins {
  if (histogram.space === 'value') return { low: histogram.values!, high: histogram.values! };
  const known = tables.get(histogram.space);
  if (known) return known;
  const low = new Float64Array(KEYS), high = new Float64Array(KEYS);
  for (let key = 0; key < KEYS; key++) [low[key], high[key]] = ends(histogram.space, key);
  const bins = { low, high };
  tables.set(histogram.space, bins);
  return bins;
}

function ends(space: 'BF16' | 'F16' | 'F32' | 'F64', key: number): readonly [number, number] {
  if (space === 'F16') { const value = f16Magnitude(key); return [value, value]; }
  const wide = space === 'F64';
  const at = (rest: number): number => {
    view.setUint32(0, (key << 16) | (rest & 0xffff));
    view.setUint32(4, rest);
    return wide ? view.getFloat64(0) : view.getFloat32(0);
  };
  const low = at(0);
  return [low, space === 'BF16' || low === Infinity ? low : at(0xffffffff)];
}

/** Value of the 15 magnitude bits of an IEEE half, denormals included. */
function f16Magnitude(bits: number): number {
  const exponent = bits >> 10, fraction = bits & 0x3ff;
  if (exponent === 0) return fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? Infinity : NaN;
  return (1024 + fraction) * 2 ** (exponent - 25);
}
