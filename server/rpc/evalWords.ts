import * as words from '../core/report/words';
import type { AgainstJson, DivergenceJson, EvalJson, EvalSeveralJson, Num } from '../protocol/verbs';
import { formatBytes, printable } from './progressBar';
import { table } from './table';

const figure = (value: Num): string => words.number(Number(value));
const error = (value: Num | null): number | null => (value === null ? null : Number(value));

/** `0.01562 ± 0.0006 nats a token; median 0.01, 99 % 0.08, largest 0.16`. */
function divergenceWords({ mean, standardError, standardErrorIid, median, p99, max }: DivergenceJson['klDivergence']): string {
  const known = error(standardError) ?? error(standardErrorIid);
  const short = (value: Num): string => String(Number(Number(value).toPrecision(4)));
  return `${short(mean)}${known === null ? '' : ` ± ${Number(known.toPrecision(2))}${standardError === null ? ' (as if tokens were independent)' : ''}`} nats a token; median ${short(median)}, 99 % ${short(p99)}, largest ${short(max)}`;
}

/** What a comparison with a reference says, line by line. */
export function againstLines({ checkpoint, value, ratio, klDivergence, sameTop1, probabilityChange }: AgainstJson): string[] {
  const interval = { value: Number(ratio.value), low: Number(ratio.low), high: Number(ratio.high) }, sameError = error(sameTop1.standardError) ?? error(sameTop1.standardErrorIid);
  return [
    `  against    ${printable(checkpoint)}${value === null ? '' : `: ${figure(value)}`}; ${words.ratio(interval, null)}${interval.low > 0 && Number.isFinite(interval.high) ? ', 95 %' : ''}`,
    `  KL         ${divergenceWords(klDivergence)}`,
    `  same top   ${words.percent(Number(sameTop1.value))}${sameError === null ? '' : ` ± ${(100 * sameError).toFixed(2)} %`} of tokens; the right token's probability changes by ${(100 * Number(probabilityChange.mean)).toFixed(3)} % on average, ${(100 * Number(probabilityChange.rms)).toFixed(2)} % RMS`,
  ];
}

const duration = (seconds: number): string => `${seconds < 100 ? Number(seconds.toPrecision(2)) : Math.round(seconds)} s`;

/** `predicted 41 s, 0.9 GB; took 43 s, 0.8 GB`: what is not known is left out. */
export function tookWords({ predicted, seconds, peakMemoryBytes }: Pick<EvalJson, 'predicted' | 'seconds' | 'peakMemoryBytes'>): string {
  const some = (time: number | null, bytes: number | null): string => [time === null ? null : duration(time), bytes === null ? null : formatBytes(Math.round(bytes))].filter((part) => part !== null).join(', ');
  const before = some(predicted.seconds, predicted.memoryBytes), after = some(seconds, peakMemoryBytes);
  return before === '' ? `took ${after}` : `predicted ${before}; took ${after}`;
}

/** One model by several protocols: a table, and why its numbers differ. */
export function severalText({ runs, readings, explanation }: EvalSeveralJson): string {
  const right = 'right' as const, left = 'left' as const;
  const rows = runs.map((run, i) => [
    run.protocol, words.withError(Number(run.value), error(run.standardError)), run.metric, run.context.toLocaleString('en'), run.stride.toLocaleString('en'), run.scoredTokens.toLocaleString('en'),
    Math.round(readings[i].meanBefore).toLocaleString('en'), readings[i].joinsRows ? 'joined' : 'as it is', run.asPublished === null ? '' : figure(run.asPublished),
    ...(run.against ? [words.ratio({ value: Number(run.against.ratio.value), low: Number(run.against.ratio.low), high: Number(run.against.ratio.high) }, null), String(Number(Number(run.against.klDivergence.mean).toPrecision(4))), words.percent(Number(run.against.sameTop1.value))] : []),
  ]);
  const titles = ['protocol', 'value ± SE', 'metric', 'context', 'stride', 'scored', 'known before', 'rows', 'its script', ...(runs[0].against ? ['against reference', 'KL', 'same top'] : [])];
  return [
    `${printable(runs[0].benchmark.replace(/^text:/, ''))}: ${printable(runs[0].tokenizer)}; weights ${runs[0].weightDtype}, computed in ${runs[0].computeDtype} on ${runs[0].provider}`, '',
    table(titles.map((title, i) => ({ title, align: i === 0 || title === 'metric' || title === 'rows' ? left : right })), rows), '',
    ...explanation.map((sentence) => `- ${sentence}`),
  ].join('\n');
}
