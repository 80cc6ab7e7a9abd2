import type { Divergence } from '../core/evaluation/divergence';
import type { DivergenceJson } from '../protocol/verbs';
import { num, numOrNull } from './encode';

/** A divergence as it is printed. */
export const divergenceJson = ({ klDivergence: kl, sameTop1: same, probabilityChange: change }: Divergence): DivergenceJson => ({
  klDivergence: { mean: num(kl.mean), standardError: numOrNull(kl.standardError), standardErrorIid: numOrNull(kl.standardErrorIid), median: num(kl.median), p99: num(kl.p99), max: num(kl.max) },
  sameTop1: { value: num(same.value), standardError: numOrNull(same.standardError), standardErrorIid: numOrNull(same.standardErrorIid) },
  probabilityChange: { mean: num(change.mean), rms: num(change.rms) },
});
