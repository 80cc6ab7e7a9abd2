import { benchmarks } from './benchmarks';
import type { Evaluation, PreparedText } from './contract';

/** How a protocol reads a text: what makes its number differ from another protocol's. */
export interface Reading {
  readonly protocol: string;
  /** Tokens that stand before a scored one in its window, on average, and at least. */
  readonly meanBefore: number;
  readonly leastBefore: number;
  /** How often a token is read, for each that is scored. */
  readonly readPerScored: number;
  /** True where every window begins with the same token. */
  readonly beginsAlike: boolean;
  /** Rows of a data set are joined the loader's way. */
  readonly joinsRows: boolean;
}

export function readingOf({ protocol, windows, setup }: PreparedText): Reading {
  let scored = 0, before = 0, least = Infinity, read = 0;
  for (const { ids, encoder, scoreFrom, scoreTo, masked, fed } of windows) {
    const count = scoreTo - scoreFrom, around = masked ? ids.length - (masked.how === 'apart' ? 1 : count) : 0, first = (encoder?.length ?? 0) + (masked ? around : scoreFrom);
    scored += count;
    before += masked ? count * around : count * (first + (count - 1) / 2);
    least = Math.min(least, first);
    read += (masked?.how === 'apart' ? count : 1) * ((fed ?? ids.length) + (encoder?.length ?? 0));
  }
  const [one] = windows;
  return {
    protocol: protocol.id, meanBefore: before / scored, leastBefore: least, readPerScored: read / scored, joinsRows: protocol.joinsRows && (benchmarks.find(({ id }) => id === setup.benchmark)?.rows ?? false),
    beginsAlike: windows.length > 2 && windows.every(({ ids }) => ids[0] === one.ids[0]),
  };
}

const whole = (value: number): string => Math.round(value).toLocaleString('en');
const short = (value: number, digits = 4): string => (Number.isFinite(value) ? value.toPrecision(digits) : 'infinite');
const list = (parts: readonly string[], joint = ', '): string => parts.join(joint);
/** Whether something is not the same for all. */
const varies = <T>(items: readonly T[], pick: (item: T) => unknown): boolean => new Set(items.map(pick)).size > 1;

/**
 * Why the values of one model on one text differ by protocol, in sentences, the weightiest first. Only what differs is said.
 *
 * @param runs of the same model and benchmark
 */
export function explain(runs: readonly { readonly evaluation: Evaluation; readonly reading: Reading }[]): string[] {
  const evaluations = runs.map(({ evaluation }) => evaluation), readings = runs.map(({ reading }) => reading);
  const said: string[] = [];
  if (varies(evaluations, ({ metric }) => metric)) {
    const words = evaluations.flatMap(({ protocol, perWord, scoredTokens }) => perWord ? [`${protocol} has ${(scoredTokens / perWord.words).toPrecision(3)} tokens a word`] : []);
    const metrics = [...new Set(evaluations.map(({ metric }) => metric))].map((metric) => `${list(evaluations.filter((one) => one.metric === metric).map(({ protocol }) => protocol))}: ${metric}`);
    said.push(`They do not measure the same (${list(metrics, '; ')})${words.length > 0 ? `; the loss of a word is that of its tokens together, and ${list(words)}` : ''}.`);
  }
  if (varies(readings, ({ meanBefore }) => Math.round(meanBefore))) {
    const order = [...readings].sort((a, b) => b.meanBefore - a.meanBefore);
    said.push(`Tokens that are known when one is scored, on average (at least): ${list(order.map(({ protocol, meanBefore, leastBefore }) => `${protocol} ${whole(meanBefore)} (${whole(leastBefore)})`))}. The more is known, the lower the loss.`);
  }
  if (varies(evaluations, ({ tokens }) => tokens)) {
    const joined = varies(readings, ({ joinsRows }) => joinsRows);
    said.push(`The text is not cut into the same tokens: ${list(evaluations.map(({ protocol, tokens }, i) => `${protocol} ${whole(tokens)}${joined ? readings[i].joinsRows ? ', rows joined with blank lines as the data-set loader gives them' : ', the file as it is' : ''}`), '; ')}.`);
  }
  if (varies(evaluations, ({ scoredTokens }) => scoredTokens)) said.push(`Not the same tokens are scored: ${list(evaluations.map(({ protocol, scoredTokens, windows }) => `${protocol} ${whole(scoredTokens)} in ${whole(windows)} ${windows === 1 ? 'window' : 'windows'}`))}.`);
  if (varies(readings, ({ beginsAlike }) => beginsAlike)) {
    const alike = readings.filter(({ beginsAlike }) => beginsAlike).map(({ protocol }) => protocol);
    said.push(`${list(alike)} ${alike.length === 1 ? 'begins' : 'begin'} every window with the same token; the others go on in the middle of the text.`);
  }
  for (const { protocol, asPublished, value } of evaluations) if (asPublished !== null) said.push(`The published script of ${protocol} averages windows, not tokens, and would print ${short(asPublished, 6)} for this ${short(value, 6)}.`);
  const comparable = evaluations.filter(({ metric, value }) => metric === evaluations[0].metric && Number.isFinite(value)).sort((a, b) => a.value - b.value);
  if (comparable.length > 1) {
    const low = comparable[0], high = comparable[comparable.length - 1];
    said.push(`For the same weights ${high.protocol} says ${short(high.value)} and ${low.protocol} ${short(low.value)}, ${(100 * (high.value / low.value - 1)).toFixed(1)} % apart: numbers compare only within one protocol, context and stride.`);
  }
  return said;
}
