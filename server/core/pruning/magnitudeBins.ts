import type { MagnitudeHistogram } from '../stats/contract';
import { magnitudeOf, upperMagnitudeOf } from '../stats/histogram';

/** The magnitudes [low, high], both inclusive, that each key of a histogram stands for; equal where a key is one magnitude. */
export interface Bins { readonly low: Float64Array; readonly high: Float64Array }

/** Keys of the 16-bit spaces: the top 16 bits of the pattern less the sign. */
const KEYS = 32768;

const tables = new Map<string, Bins>();

/** The bins of a histogram. Tables are made once a space; space `value` carries its own. */
export function binsOf({ space, values }: MagnitudeHistogram): Bins {
  if (space === 'value') return { low: values!, high: values! };
  const known = tables.get(space);
  if (known) return known;
  const bins = {
    low: Float64Array.from({ length: KEYS }, (_, key) => magnitudeOf(space, key)),
    high: Float64Array.from({ length: KEYS }, (_, key) => upperMagnitudeOf(space, key)),
  };
  tables.set(space, bins);
  return bins;
}
