/** What a sweep's cells mean: series, and verdicts in words. Pure. */
import { finite, formatChange, formatError, formatLevel, formatPerplexity, formatPercent } from '../format';
import type { Interval, Num, SweepCellJson, SweepJson } from '../../server/protocol/verbs';

export interface Point { level: number; cell: SweepCellJson; value: number | null; low: number | null; high: number | null }
export interface Series { name: string; points: Point[] }
/** Cells that may share one axis: same text, same protocol. */
export interface Topic { id: string; title: string; metric: string; baseline: SweepCellJson | null; series: Series[]; cells: SweepCellJson[] }

/** 95 % of a normal distribution. */
const Z = 1.96;

export const isBaseline = (cell: SweepCellJson): boolean => cell.level === 0;

/** "text:/books/moby.txt" is called by its file. */
export const benchmarkName = (id: string): string => (id.startsWith('text:') ? id.slice(5).split(/[\\/]/).at(-1) ?? id : id);

/** "magnitude, global", "sparsegpt, 2:4". */
export function methodName(cell: SweepCellJson): string {
  if (isBaseline(cell)) return 'dense';
  return [cell.method, cell.pattern === 'unstructured' ? cell.scope : cell.pattern, ...cell.options].join(', ');
}

/** Groups cells into topics; within one, a series a method, each starting at the baseline. */
export function topicsOf(sweep: SweepJson): Topic[] {
  const topics = new Map<string, SweepCellJson[]>();
  for (const cell of sweep.cells) {
    const id = `${cell.benchmark}\n${cell.protocol}`;
    topics.set(id, [...(topics.get(id) ?? []), cell]);
  }
  return [...topics].map(([id, cells]) => {
    const baseline = cells.find(isBaseline) ?? null;
    const names = [...new Set(cells.filter((cell) => !isBaseline(cell)).map(methodName))];
    const short = new Set(names.map((name) => name.split(',')[0])).size === names.length;
    return {
      id,
      title: `${benchmarkName(cells[0].benchmark)} · ${cells[0].protocol}`,
      metric: cells[0].metric,
      baseline,
      cells,
      series: names.map((name) => ({
        name: short ? name.split(',')[0] : name,
        points: [...(baseline ? [baseline] : []), ...cells.filter((cell) => !isBaseline(cell) && methodName(cell) === name)]
          .sort((a, b) => a.level - b.level).map(pointOf),
      })),
    };
  });
}

function pointOf(cell: SweepCellJson): Point {
  const value = finite(cell.value);
  const error = finite(cell.standardError);
  return { level: cell.achieved ?? cell.level, cell, value, low: value === null || error === null ? null : value - Z * error, high: value === null || error === null ? null : value + Z * error };
}

/** "31.20 ± 0.9"; a cell without a value says why. */
export function valueText(cell: SweepCellJson): { value: string; error: string } {
  const value = finite(cell.value);
  if (value === null) return { value: cell.value === null ? '–' : String(cell.value), error: '' };
  const error = finite(cell.standardError);
  return { value: formatPerplexity(value), error: error === null ? '' : `± ${formatError(error, value)}` };
}

/** "62.5 %" and its standard error: how many items a cell has right. */
export const accuracyText = ({ accuracy }: SweepCellJson): string[] =>
  accuracy ? [formatPercent(accuracy.value), ...(accuracy.standardError === null ? [] : [` ± ${(100 * accuracy.standardError).toFixed(1)}`])] : ['–'];

/** Perplexity against the dense model, in the words of its verdict. */
export function againstDense(cell: SweepCellJson, margin: number): string {
  if (isBaseline(cell)) return '';
  if (cell.problem !== null && finite(cell.value) === null) return 'no value';
  const ratio = cell.ratioToBaseline;
  if (!ratio) return '–';
  if (cell.verdict === 'no difference') return `no difference (± ${formatLevel(margin)})`;
  const text = ratioText(ratio);
  return cell.verdict === 'not decided' ? `not decided, ${text}` : text;
}

/** "+24.1 % (23.3 … 24.9)" while it is small, "× 132 (126 … 139)" when it is not. */
export function ratioText(ratio: Interval): string {
  const value = finite(ratio.value);
  if (value === null) return String(ratio.value);
  const low = finite(ratio.low);
  const high = finite(ratio.high);
  if (value >= 3) {
    const short = (x: number): string => (x >= 99.5 ? formatPerplexity(Math.round(x)).replace(/\.\d+$/, '') : x.toPrecision(3));
    return `× ${short(value)}${low === null || high === null ? '' : ` (${short(low)} … ${short(high)})`}`;
  }
  const percent = (x: number): string => formatChange(x).replace(/^\+/, '').replace(' %', '');
  return `${formatChange(value)}${low === null || high === null ? '' : ` (${percent(low)} … ${percent(high)})`}`;
}

/** How far the predictions lie from the dense model's, for who asks by hovering; null where it was not measured. */
export function divergenceTitle({ klDivergence: kl, sameTop1 }: SweepCellJson): string | null {
  if (!kl || !sameTop1) return null;
  const short = (value: Num): string => { const x = finite(value); return x === null ? String(value) : String(Number(x.toPrecision(3))); };
  const error = kl.standardError ?? kl.standardErrorIid;
  return `KL divergence from dense ${short(kl.mean)}${error === null ? '' : ` ± ${short(error)}`} nats a token (median ${short(kl.median)}, 99 % ${short(kl.p99)})\nsame most probable token ${formatPercent(finite(sameTop1.value))}`;
}

/** Time of a window against the dense model; the dense model against itself is the control. */
export function timeText(cell: SweepCellJson): string {
  const runtime = cell.runtime;
  if (!runtime) return cell.runtimeProblem ? `none: ${cell.runtimeProblem.code}` : isBaseline(cell) ? '' : '–';
  const said = runtime.verdict === 'no difference' || runtime.verdict === 'not decided' ? runtime.verdict : ratioText(runtime.ratio);
  return isBaseline(cell) ? `control: ${said}` : said;
}

/** The numbers behind `timeText`, for who asks by hovering. */
export function timeTitle(cell: SweepCellJson): string | null {
  if (!cell.runtime) return cell.runtimeProblem?.detail ?? null;
  return `${ratioText(cell.runtime.ratio)} in ${cell.runtime.pairs} pairs${isBaseline(cell) ? '; the dense model against itself, to show what this machine can tell apart' : ''}`;
}

export type Sentence = (string | { strong: string })[];

/** What the numbers say about one text and about all of them: the sentences of the report, `**` made strong. */
export function sentencesOf(findings: SweepJson['findings'], topic: Topic): Sentence[] {
  const { benchmark } = topic.cells[0];
  return findings.filter((finding) => finding.benchmark === null || finding.benchmark === benchmark)
    .map(({ text }) => text.split('**').map((part, i) => (i % 2 === 1 ? { strong: part } : part)).filter((part) => part !== ''));
}

/** "prunes 50.0 %" of the prunable weights, and of everything. */
export function prunedTitle(cell: SweepCellJson): string {
  return `${formatPercent(cell.achieved)} of the prunable weights, ${formatPercent(cell.achievedTotal)} of all parameters`;
}
