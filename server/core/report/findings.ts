import { benchmarkName } from '../evaluation/contract';
import { isBaseline } from '../sweep/summary';
import type { SummaryCell, SweepSummary } from '../sweep/summary';
import { benchmarksOf, pruned, seriesOf } from './series';
import type { CellSeries } from './series';
import * as words from './words';

/** How much worse a person may still call the same: the question that every pruning paper is read with. */
export const TOLERANCE = 0.05;

/** Where a curve first goes over the tolerance. */
export interface Crossing {
  /** Fraction pruned, interpolated in log ratio. */
  readonly at: number;
  /** The same for the upper and the lower ends of the intervals; null where they are not known or do not cross. */
  readonly low: number | null;
  readonly high: number | null;
  /** The measured levels on either side. */
  readonly between: readonly [number, number];
}

/** First x at which the line through (x, y) goes over `limit`; null when it never does. y of NaN counts as over. */
function crossing(points: readonly (readonly [number, number])[], limit: number): { at: number; between: [number, number] } | null {
  for (let i = 1; i < points.length; i++) {
    const [x0, y0] = points[i - 1], [x1, y1] = points[i];
    if (y1 <= limit) continue;
    const at = Number.isFinite(y1) && y1 > y0 ? x0 + (x1 - x0) * Math.max(0, (limit - y0) / (y1 - y0)) : x0;
    return { at, between: [x0, x1] };
  }
  return null;
}

/** The largest fraction that can go within the tolerance, by straight lines between the measured levels in log ratio; null when all of them stay within. */
export function largestWithin(series: CellSeries, tolerance = TOLERANCE): Crossing | null {
  const limit = Math.log(1 + tolerance);
  const line = (pick: (cell: SummaryCell) => number): [number, number][] =>
    series.cells.map((cell) => [pruned(cell), isBaseline(cell.result) ? 0 : Math.log(pick(cell))]);
  // A cell without a value has diverged: it is over any limit.
  const middle = crossing(line(({ ratio }) => ratio?.value ?? Infinity), limit);
  if (!middle) return null;
  const known = series.cells.every(({ result, ratio }) => isBaseline(result) || ratio === null || (ratio.low > 0 && Number.isFinite(ratio.high)));
  return {
    ...middle,
    low: known ? crossing(line(({ ratio }) => ratio?.high ?? Infinity), limit)?.at ?? null : null,
    high: known ? crossing(line(({ ratio }) => ratio?.low ?? Infinity), limit)?.at ?? null : null,
  };
}

const levels = (cells: readonly SummaryCell[]): string => cells.map(({ result }) => words.level(result.specification.level)).join(', ').replace(/, ([^,]*)$/, ' and $1');

/** One sentence in Markdown (the only markup is `**`); `benchmark` null where it is about all texts. */
export interface Finding { readonly benchmark: string | null; readonly text: string }

function aboutPerplexity(series: CellSeries, summary: SweepSummary): string[] {
  const cells = series.cells.filter(({ result }) => !isBaseline(result));
  if (cells.length === 0) return [];
  const name = `${series.label}, ${benchmarkName(series.benchmark)}`, tolerance = words.level(TOLERANCE);
  const out: string[] = [], found = largestWithin(series);
  const metric = cells.find(({ result }) => result.evaluation)?.result.evaluation?.metric ?? 'perplexity';
  // Without an interval a crossing would be noise told as a result.
  const ratios = cells.flatMap(({ ratio }) => ratio ?? []), comparable = ratios.length > 0;
  if (comparable && ratios.every(({ low, high }) => low === 0 && high === Infinity)) {
    out.push(`The text is too short for an interval, so how much can go within +${tolerance} ${metric} is not said (${name}): use a longer text or more windows.`);
  } else if (comparable && found) {
    const bracket = found.low !== null && found.high !== null ? `; by the ends of the intervals ${words.percent(found.low)} … ${words.percent(found.high)}` : '';
    out.push(`Up to **${words.percent(found.at)}** of the weights in scope can go within +${tolerance} ${metric} (${name}): interpolated between the measured ${words.percent(found.between[0])} and ${words.percent(found.between[1])}${bracket}.`);
  } else if (comparable) out.push(`Every measured level stays within +${tolerance} ${metric} (${name}).`);
  const margin = `± ${words.level(summary.margin)}`;
  const same = cells.filter(({ verdict }) => verdict === 'no difference'), better = cells.filter(({ verdict }) => verdict === 'better'), open = cells.filter(({ verdict }) => verdict === 'not decided');
  if (same.length > 0) out.push(`At ${levels(same)} there is no difference to the dense model: the whole 95 % interval lies within ${margin} (${name}).`);
  if (better.length > 0) out.push(`At ${levels(better)} the pruned model is better than the dense one (${name}).`);
  if (open.length > 0) out.push(`At ${levels(open)} the text does not decide between a difference and none (${name}).`);
  const diverged = cells.filter(({ result }) => result.problem !== null);
  if (diverged.length > 0) out.push(`At ${levels(diverged)} there is no value (${diverged[0].result.problem!.code}; ${name}).`);
  return out;
}

function aboutSize(series: CellSeries): string[] {
  const forms = [['deflate', 'deflate'], ['bitmask', 'a bitmask'], ['csr', 'CSR']] as const;
  const parts = forms.map(([form, name]) => {
    const found = crossing(series.cells.map((cell) => [pruned(cell), -cell.result.bytes[form] / cell.result.bytes.dense] as const), -1);
    const [first] = series.cells;
    if (first && first.result.bytes[form] < first.result.bytes.dense) return `${name} is smaller at every level`;
    return found ? `${name} from ${words.percent(found.at)} on` : `${name} at none of the levels`;
  });
  return [`A dense file does not shrink by zeros. Smaller than dense: ${parts.join(', ')} (${series.label}).`];
}

/** Two methods at one level, where their intervals against the same baseline lie apart. */
function aboutMethods(rivals: readonly CellSeries[]): string[] {
  const asked = new Set(rivals.flatMap(({ cells }) => cells.filter(({ result }) => !isBaseline(result)).map(({ result }) => result.specification.level)));
  return [...asked].sort((a, b) => a - b).flatMap((at) => {
    const [first, second] = rivals.flatMap(({ label, cells }) => {
      const ratio = cells.find(({ result }) => !isBaseline(result) && result.specification.level === at)?.ratio;
      return ratio && Number.isFinite(ratio.value) ? [{ label, ratio, metric: cells[0].result.evaluation?.metric ?? 'perplexity' }] : [];
    }).sort((a, b) => a.ratio.value - b.ratio.value);
    if (!first || !second || !(first.ratio.high < second.ratio.low)) return [];
    const gain = { value: first.ratio.value / second.ratio.value, low: Number.NaN, high: Number.NaN };
    return [`**${first.label} is better than ${second.label}** at ${words.level(at)}: ${words.ratio(gain, null)} ${first.metric}.`];
  });
}

function aboutTime(summary: SweepSummary): string[] {
  const out: string[] = [], none = summary.cells.filter(({ result }) => result.runtimeProblem && !isBaseline(result));
  if (none.length > 0) out.push(`At ${levels(none)} there is no time (${none[0].result.runtimeProblem!.code}): ${none[0].result.runtimeProblem!.detail}.`);
  const timed = summary.cells.filter(({ result }) => result.runtime !== null && !isBaseline(result));
  if (timed.length === 0) return out;
  const margin = words.level(timed[0].result.runtime!.margin);
  const of = (verdict: string): SummaryCell[] => timed.filter(({ result }) => result.runtime!.verdict === verdict);
  const same = of('no difference');
  if (same.length === timed.length) out.push(`Zeros do not make dense kernels faster: at every level the 95 % interval of the time lies within ± ${margin} of the dense model's.`);
  else if (same.length > 0) out.push(`At ${levels(same)} the time is that of the dense model within ± ${margin}.`);
  for (const verdict of ['faster', 'slower'] as const) if (of(verdict).length > 0) out.push(`At ${levels(of(verdict))} a window is ${verdict}: ${of(verdict).map(({ result }) => words.ratio(result.runtime!.ratio, null)).join(', ')}.`);
  if (of('not decided').length > 0) out.push(`At ${levels(of('not decided'))} the timings are too noisy to decide.`);
  const control = summary.cells.find(({ result }) => isBaseline(result) && result.runtime)?.result.runtime;
  if (control && control.verdict !== 'no difference') out.push(`The control, the dense model against itself, came out as \`${control.verdict}\`: this machine was too busy for its timings to be trusted.`);
  return out;
}

/** What the numbers say, in sentences: the one source of the report, of `sweep --json` and of the view. */
export function findings(summary: SweepSummary): Finding[] {
  const series = seriesOf(summary), [firstText] = benchmarksOf(summary);
  const of = (benchmark: string | null, texts: readonly string[]): Finding[] => texts.map((text) => ({ benchmark, text }));
  return [
    ...benchmarksOf(summary).flatMap((benchmark) => {
      const here = series.filter((one) => one.benchmark === benchmark);
      return of(benchmark, [...here.flatMap((one) => aboutPerplexity(one, summary)), ...aboutMethods(here)]);
    }),
    // Sizes and times do not depend on the text.
    ...of(null, [...series.filter(({ benchmark, cells }) => benchmark === firstText && cells.length > 1).flatMap(aboutSize), ...aboutTime(summary)]),
  ];
}
