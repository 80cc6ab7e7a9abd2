import type { EstimateJson, EvalJson, Num } from '../protocol/verbs';
import { accuracy } from '../core/report/words';

const shown = (value: Num, digits: number): string => (typeof value === 'number' ? value.toPrecision(digits) : value);
const count = (n: number, unit: string): string => `${n.toLocaleString('en')} ${unit}${n === 1 ? '' : 's'}`;

/** What the value of an evaluation is told by. */
export function unitWords({ items, perWord, accuracyNorm }: EvalJson): string {
  if (perWord) return 'per word of the pages, every token scored';
  if (items === undefined) return 'per token, mean over scored tokens';
  return accuracyNorm ? `share of ${count(items, 'question')} that are answered right` : `per last word, mean over ${count(items, 'document')}`;
}

/** What one loss is of. */
export const lossUnit = ({ items, accuracyNorm }: EvalJson): string => (items === undefined ? 'token' : accuracyNorm ? 'right choice' : 'last word');

/** Where the standard error comes from, or why there is none. */
export function errorWords({ items, metric, standardError, standardErrorIid }: EvalJson): string {
  if (items !== undefined) return standardError === null ? 'no standard error under 20 items' : `standard error over items${metric === 'accuracy' ? '' : ', which do not depend on each other'}`;
  return standardError === null ? 'no standard error under 20 blocks of 8 contexts' : `standard error from a moving-block bootstrap; as if tokens were independent: ± ${shown(standardErrorIid ?? 'NaN', 2)}`;
}

/** Lines of what an evaluation has besides its value. */
export function besideLines({ accuracy: right, accuracyNorm, perWord }: EvalJson): string[] {
  const named = (name: string, estimate: EstimateJson | undefined): string[] => (estimate ? [`${name} ${accuracy(estimate.value, estimate.standardError)}`] : []);
  const accuracies = [...named('acc', right), ...named('acc_norm', accuracyNorm)];
  return [
    ...(accuracies.length > 0 ? [`  accuracy   ${accuracies.join(', ')}`] : []),
    ...(perWord ? [`  by bytes   byte perplexity ${shown(perWord.bytePerplexity, 6)}, ${shown(perWord.bitsPerByte, 6)} bits a byte; ${count(perWord.words, 'word')}, ${count(perWord.bytes, 'byte')}`] : []),
  ];
}
