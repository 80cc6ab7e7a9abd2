import { finiteCount, meanOf, stdOf } from '../core/stats/moments';
import type { SetStats } from '../core/stats/summarise';
import type { Num, StatsNumbers } from '../protocol/verbs';
import { num } from './encode';

/** A set's numbers as they travel. Null where there is nothing to say: no elements, no finite value, no threshold. */
export function statsNumbers({ moments, above }: SetStats): StatsNumbers {
  const { elements, zeros, nan, inf } = moments;
  // + 0 turns -0 into 0, which is how both are counted.
  const some = (value: number): Num | null => (finiteCount(moments) > 0 ? num(value + 0) : null);
  return {
    parameters: elements, zeros, nan, inf, aboveThreshold: above, fractionAbove: above === null || elements === 0 ? null : above / elements,
    min: some(moments.min), max: some(moments.max), mean: some(meanOf(moments)), std: some(stdOf(moments)),
    absMax: elements - nan > 0 ? num(moments.absMax) : null,
  };
}
