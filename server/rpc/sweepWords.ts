import type { SweepCellJson } from '../protocol/verbs';
import { printable } from './progressBar';
import * as words from '../core/report/words';

/** Numbers of a sweep in the words of the report, for a terminal. */
const toNumber = (value: number | string): number => Number(value);

/** `magnitude, global`, `magnitude, global, 2:4`, `wanda, row, owl`, `dense`. */
export const cellLabel = (cell: SweepCellJson): string =>
  cell.level === 0 ? 'dense' : printable([cell.method, cell.scope, ...(cell.pattern === 'unstructured' ? [] : [cell.pattern]), ...cell.options].join(', '));

/** `50.0 %`, or nothing. */
export const percentOf = (fraction: number | null): string => fraction === null ? '' : words.percent(fraction);

/** The value with its standard error; the code of the problem where there is none. */
export function perplexity(cell: SweepCellJson): string {
  if (cell.value === null) return cell.problem?.code ?? '';
  return words.withError(toNumber(cell.value), cell.standardError === null ? null : toNumber(cell.standardError));
}

/** The share of items that are right, or nothing. */
export const accuracyOf = ({ accuracy }: SweepCellJson): string => (accuracy ? words.accuracy(accuracy.value, accuracy.standardError) : '');

/** The ratio to the dense model, or its verdict of no difference. */
export function against(cell: SweepCellJson, margin: number): string {
  if (!cell.ratioToBaseline) return '';
  const { value, low, high } = cell.ratioToBaseline;
  return words.ratio({ value: toNumber(value), low: toNumber(low), high: toNumber(high) }, cell.verdict === 'no difference' ? margin : null);
}

/** `0.00865 ± 0.00007`: mean KL divergence from the dense model in nats, or nothing. */
export const divergence = ({ klDivergence: kl }: SweepCellJson): string => (kl ? words.divergence(toNumber(kl.mean), kl.standardError === null ? null : toNumber(kl.standardError)) : '');

/** `91.34 %` of tokens with the dense model's most probable one, or nothing. */
export const sameTop = ({ sameTop1 }: SweepCellJson): string => (sameTop1 ? words.percent(toNumber(sameTop1.value)) : '');

/** Time against the dense model; the code of the reason where there is none. */
export function runtimeWords({ runtime, runtimeProblem }: SweepCellJson): string {
  if (!runtime) return runtimeProblem?.code ?? '';
  const { value, low, high } = runtime.ratio;
  return words.timeRatio({ value: toNumber(value), low: toNumber(low), high: toNumber(high) }, runtime.verdict);
}
