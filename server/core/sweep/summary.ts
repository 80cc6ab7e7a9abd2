import { blockOptions, pairedRatio, verdictOf } from '../evaluation/uncertainty';
import type { Verdict } from '../evaluation/uncertainty';
import type { CellResult, FinishedCell, Interval } from './contract';
import { BASELINE_METHOD } from './plan';
import type { StoreHeader } from './store';

/** Perplexities within this of each other make no difference (relative, DESIGN section 7). */
export const MARGIN = 0.005;

/** A cell beside its baseline. */
export interface SummaryCell {
  readonly result: CellResult;
  /** Perplexity over the baseline's on the same tokens; null for the baseline, and where either has no value. */
  readonly ratio: Interval | null;
  readonly verdict: Verdict | null;
}

/** What a sweep found: the cells in reading order, and the setup that every number travels with. */
export interface SweepSummary {
  readonly folder: string;
  readonly header: StoreHeader;
  readonly margin: number;
  /** Baselines first; then by method, scope, pattern, level, benchmark. */
  readonly cells: readonly SummaryCell[];
}

/** The unpruned model on one text: what the other cells are compared with. */
export const isBaseline = (result: CellResult): boolean => result.specification.method === BASELINE_METHOD && result.specification.level === 0;

/** Everything that has to be equal before two perplexities are compared. */
const comparable = (a: CellResult, b: CellResult): boolean => {
  const x = a.evaluation, y = b.evaluation;
  if (!x || !y || a.fingerprint !== b.fingerprint) return false;
  return (['protocol', 'context', 'stride', 'metric', 'provider', 'weightDtype', 'computeDtype', 'textSha256', 'tokenizer', 'limit', 'scoredTokens', 'items', 'field', 'decoder'] as const).every((key) => x[key] === y[key]);
};

const methodKey = ({ specification: { method, scope, pattern } }: CellResult): string => `${method} ${scope} ${JSON.stringify(pattern)}`;

/** Puts finished cells side by side. A cell is compared only with the baseline of its own benchmark, and only when all of the setup is equal. */
export function summarise(folder: string, header: StoreHeader, finished: readonly FinishedCell[], margin = MARGIN): SweepSummary {
  const order = [...finished].sort(({ result: a }, { result: b }) =>
    Number(isBaseline(b)) - Number(isBaseline(a)) || (methodKey(a) < methodKey(b) ? -1 : methodKey(a) > methodKey(b) ? 1 : 0)
    || a.specification.level - b.specification.level || (a.specification.benchmark < b.specification.benchmark ? -1 : 1));
  const cells = order.map(({ result, losses }): SummaryCell => {
    if (isBaseline(result) || !losses) return { result, ratio: null, verdict: null };
    const baseline = finished.find((other) => isBaseline(other.result) && other.result.specification.benchmark === result.specification.benchmark);
    if (!baseline?.losses || !comparable(result, baseline.result)) return { result, ratio: null, verdict: null };
    const ratio = pairedRatio(losses, baseline.losses, blockOptions(result.evaluation!));
    return { result, ratio, verdict: verdictOf(ratio, margin) };
  });
  return { folder, header, margin, cells };
}
