import { benchmarkName } from '../evaluation/contract';
import { isBaseline } from '../sweep/summary';
import type { SweepSummary } from '../sweep/summary';
import { benchmarksOf, pruned, seriesOf } from './series';
import type { CellSeries } from './series';
import { drawPlot, linearTicks, logTicks } from './svg';
import type { PlotPoint, PlotSeries } from './svg';
import * as words from './words';

/** Values further apart than this are drawn on a log axis. */
const LOG_FROM = 20;
const Z95 = 1.96;

const ticksOf = (series: readonly CellSeries[]): number[] => [...new Set(series.flatMap(({ cells }) => cells.map((cell) => Number((100 * pruned(cell)).toFixed(2)))))];

const short = (value: number): string => value >= 1e6 ? value.toExponential(0).replace('e+', 'e') : Number(value.toPrecision(6)).toLocaleString('en');

/** Perplexity against weights pruned, one picture a text. */
export function perplexityPlot(summary: SweepSummary, benchmark: string): string {
  const series = seriesOf(summary).filter((one) => one.benchmark === benchmark);
  const metric = series[0]?.cells.find(({ result }) => result.evaluation)?.result.evaluation?.metric ?? 'perplexity';
  const drawn = series.map(({ label, cells }, tone): PlotSeries => ({
    label, tone, line: true, marks: true,
    points: cells.map((cell): PlotPoint => {
      const { evaluation } = cell.result, value = evaluation?.value ?? Number.NaN, error = evaluation?.standardError ?? null;
      const reach = error === null || !Number.isFinite(value) ? null : Math.exp(Z95 * error / value);
      return { x: 100 * pruned(cell), y: value, ...(reach === null ? {} : { low: value / reach, high: value * reach }), title: `${label}, ${words.percent(pruned(cell))} pruned: ${words.withError(value, error)}` };
    }),
  }));
  const values = drawn.flatMap(({ points }) => points.flatMap(({ y, low, high }) => [y, low, high])).filter((v): v is number => v !== undefined && Number.isFinite(v) && v > 0);
  const least = values.length > 0 ? Math.min(...values) : 1, most = values.length > 0 ? Math.max(...values) : 10;
  const log = most / least > LOG_FROM;
  const linear = linearTicks(least, most * 1.001);
  const [from, to] = log ? [least / 1.25, most * 1.25] : [linear[0], linear[linear.length - 1]];
  const baseline = series[0]?.cells.find(({ result }) => isBaseline(result))?.result.evaluation;
  return drawPlot({
    title: `${metric} against weights pruned · ${benchmarkName(benchmark)}`, description: `${metric} on ${benchmarkName(benchmark)} against the percentage of weights pruned`,
    width: 760, height: 380, xTicks: ticksOf(series), xLabel: '% pruned', y: { log, ticks: log ? logTicks(from, to) : linear, from, to, format: short },
    series: drawn, rules: baseline && Number.isFinite(baseline.value) ? [{ y: baseline.value, label: `dense ${words.number(baseline.value)}` }] : [],
  });
}

/** Size on disk in four forms, one picture a way of pruning (sizes do not depend on the text). */
export function sizePlots(summary: SweepSummary): { readonly label: string; readonly svg: string }[] {
  const [benchmark] = benchmarksOf(summary);
  return seriesOf(summary).filter((one) => one.benchmark === benchmark).map((series) => ({ label: series.label, svg: sizePlot(series) }));
}

function sizePlot(series: CellSeries): string {
  const { cells, label: way } = series;
  const forms = [['dense', 'dense', -1], ['deflate', 'deflate', 2], ['bitmask', 'bitmask', 0], ['csr', 'CSR', 1]] as const;
  const largest = Math.max(1, ...cells.flatMap(({ result: { bytes } }) => Object.values(bytes)));
  const unit = 10 ** (3 * Math.min(4, Math.floor(Math.log10(largest) / 3)));
  const ticks = linearTicks(0, largest / unit);
  return drawPlot({
    title: `size on disk · ${way}`, description: 'Size of the weights on disk against the percentage of weights pruned',
    width: 480, height: 300, xTicks: ticksOf([series]), xLabel: '% pruned', rules: [],
    y: { log: false, ticks, from: ticks[0], to: ticks[ticks.length - 1], format: (value) => `${short(value)} ${words.bytes(unit).split(' ')[1]}` },
    series: forms.map(([form, label, tone]) => ({
      label, tone, line: true, marks: form !== 'dense',
      points: cells.map((cell) => ({ x: 100 * pruned(cell), y: cell.result.bytes[form] / unit, title: `${label}, ${words.percent(pruned(cell))} pruned: ${words.bytes(cell.result.bytes[form])}` })),
    })),
  });
}

/** Time a window against the baseline, with its interval; null where nothing was timed. */
export function timePlot(summary: SweepSummary): string | null {
  const [benchmark] = benchmarksOf(summary);
  const series = seriesOf(summary).filter((one) => one.benchmark === benchmark);
  const drawn = series.map(({ label, cells }, tone): PlotSeries => ({
    label: series.length > 1 ? label : '', tone, line: false, marks: true,
    points: cells.flatMap((cell) => {
      const { runtime } = cell.result;
      if (!runtime) return [];
      const title = `${isBaseline(cell.result) ? 'dense against itself' : label}, ${words.percent(pruned(cell))} pruned: ${words.ratio(runtime.ratio, null)}, ${runtime.pairs} pairs`;
      return [{ x: 100 * pruned(cell), y: runtime.ratio.value, low: runtime.ratio.low, high: runtime.ratio.high, title }];
    }),
  }));
  const margin = summary.cells.find(({ result }) => result.runtime)?.result.runtime?.margin;
  if (margin === undefined) return null;
  const values = drawn.flatMap(({ points }) => points.flatMap(({ y, low, high }) => [y, low, high])).filter((v): v is number => v !== undefined && Number.isFinite(v));
  const ticks = linearTicks(Math.min(1 - 1.4 * margin, ...values), Math.max(1 + 1.4 * margin, ...values));
  return drawPlot({
    title: 'time a window, against dense', description: 'Time of a window of the pruned weights over the time of the baseline',
    width: 480, height: 300, xTicks: ticksOf(series), xLabel: '% pruned', band: { from: 1 / (1 + margin), to: 1 + margin },
    y: { log: false, ticks, from: ticks[0], to: ticks[ticks.length - 1], format: (value) => value.toFixed(2) },
    series: drawn, rules: [{ y: 1, label: `dense; ± ${Number((100 * margin).toPrecision(3))} %` }],
  });
}
