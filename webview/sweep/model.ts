/** What a sweep's cells mean: series, verdicts in words, and the few sentences worth saying. Pure. */
import { finite, formatChange, formatError, formatLevel, formatPerplexity, formatPercent } from '../format';
import type { Interval, SweepCellJson, SweepJson } from '../../server/protocol/verbs';

export interface Point { level: number; cell: SweepCellJson; value: number | null; low: number | null; high: number | null }
export interface Series { name: string; points: Point[] }
/** Cells that may share one axis: same text, same protocol. */
export interface Topic { id: string; title: string; metric: string; baseline: SweepCellJson | null; series: Series[]; cells: SweepCellJson[] }

/** 95 % of a normal distribution. */
const Z = 1.96;
/** Loss of perplexity that the first sentence asks for. */
const TOLERATED = 1.05;

export const isBaseline = (cell: SweepCellJson): boolean => cell.level === 0;

/** "text:/home/me/moby.txt" is called by its file. */
export const benchmarkName = (id: string): string => (id.startsWith('text:') ? id.slice(5).split(/[\\/]/).at(-1) ?? id : id);

/** "magnitude, global", "sparsegpt, 2:4". */
export function methodName(cell: SweepCellJson): string {
  if (isBaseline(cell)) return 'dense';
  return cell.pattern === 'unstructured' ? `${cell.method}, ${cell.scope}` : `${cell.method}, ${cell.pattern}`;
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
      metric: cells[0].protocol.startsWith('mlm') ? 'pseudo-perplexity' : 'perplexity',
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

/** Time of a window against the dense model; the dense model against itself is the control. */
export function timeText(cell: SweepCellJson): string {
  const runtime = cell.runtime;
  if (!runtime) return isBaseline(cell) ? '' : '–';
  if (isBaseline(cell)) return `control: ${runtime.verdict === 'no difference' ? runtime.verdict : ratioText(runtime.ratio)}`;
  if (runtime.verdict === 'no difference') return 'no difference';
  if (runtime.verdict === 'not decided') return `not decided, ${ratioText(runtime.ratio)}`;
  return ratioText(runtime.ratio);
}

export type Sentence = (string | { strong: string })[];

/** What the numbers say: only what an interval decides, and in which bracket of measured levels. */
export function sentencesOf(topic: Topic): Sentence[] {
  return [...tolerated(topic), ...better(topic), ...sizes(topic), ...times(topic), ...broken(topic)];
}

/** How far one can go within +5 %, by the upper end of the interval; methods that get equally far share a sentence. */
function tolerated(topic: Topic): Sentence[] {
  const byLevel = new Map<number, { names: string[]; costs: string[]; next: number | null }>();
  for (const { name, points } of topic.series) {
    const pruned = points.filter((point) => point.level > 0);
    const within = pruned.filter((point) => (finite(point.cell.ratioToBaseline?.high) ?? Infinity) <= TOLERATED).at(-1)?.cell.level ?? 0;
    const beyond = pruned.find((point) => point.cell.level > within);
    if (pruned.every((point) => point.cell.ratioToBaseline === null && point.cell.problem === null)) continue; // nothing to compare with yet
    const entry = byLevel.get(within) ?? { names: [], costs: [], next: beyond?.cell.level ?? null };
    entry.names.push(name);
    if (beyond && beyond.cell.level === entry.next) entry.costs.push(`${beyond.cell.ratioToBaseline ? ratioText(beyond.cell.ratioToBaseline) : 'no value'}${topic.series.length > 1 ? ` with ${name}` : ''}`);
    byLevel.set(within, entry);
  }
  return [...byLevel].sort((a, b) => b[0] - a[0]).map(([level, { names, costs, next }]): Sentence => {
    const cost = next === null || costs.length === 0 ? '' : `${formatLevel(next)} costs ${costs.join(', ')}`;
    return level === 0 ? [`No measured level of ${names.join(', ')} is surely within +5 % ${topic.metric}`, cost ? `; ${cost}.` : '.']
      : ['Up to ', { strong: formatLevel(level) }, ` can go within +5 % ${topic.metric} (${names.join(', ')})${cost ? `; ${cost}` : ''}.`];
  });
}

/** Two methods at one level, where their intervals lie apart. */
function better(topic: Topic): Sentence[] {
  const said: Sentence[] = [];
  for (const level of new Set(topic.series.flatMap((series) => series.points.map((point) => point.cell.level)))) {
    if (level === 0) continue;
    const rivals = topic.series.map((series) => ({ name: series.name, ratio: series.points.find((point) => point.cell.level === level)?.cell.ratioToBaseline }))
      .filter((rival) => rival.ratio && finite(rival.ratio.value) !== null)
      .sort((a, b) => (finite(a.ratio?.value) ?? 0) - (finite(b.ratio?.value) ?? 0));
    const [first, second] = rivals;
    if (!first?.ratio || !second?.ratio || (finite(first.ratio.high) ?? Infinity) >= (finite(second.ratio.low) ?? -Infinity)) continue;
    const gain = (finite(first.ratio.value) ?? 1) / (finite(second.ratio.value) ?? 1);
    said.push([{ strong: `${first.name} is better than ${second.name}` }, ` at ${formatLevel(level)}: ${formatChange(gain)} ${topic.metric}.`]);
  }
  return said;
}

function sizes(topic: Topic): Sentence[] {
  const points = topic.series[0]?.points.filter((point) => point.level > 0) ?? [];
  if (points.length === 0) return [];
  const from = (form: 'deflate' | 'bitmask' | 'csr'): string => {
    const first = points.find((point) => point.cell.bytes[form] < point.cell.bytes.dense);
    return first ? `from ${formatLevel(first.cell.level)}` : 'at no level measured';
  };
  return [[`Against dense, a bitmask saves space ${from('bitmask')}, CSR ${from('csr')}.`]];
}

function times(topic: Topic): Sentence[] {
  const measured = topic.cells.filter((cell) => cell.runtime !== null && !isBaseline(cell));
  if (measured.length === 0) return [];
  const holds = measured.every(({ runtime }) => (finite(runtime?.ratio.low) ?? 1) <= 1 && (finite(runtime?.ratio.high) ?? 1) >= 1);
  if (holds) return [['Zeros do not make dense kernels faster: the interval of every level holds 1.00.']];
  return measured.filter((cell) => cell.runtime?.verdict === 'faster' || cell.runtime?.verdict === 'slower')
    .map((cell): Sentence => [`${methodName(cell)} at ${formatLevel(cell.level)} is ${cell.runtime?.verdict} than dense: ${timeText(cell)} a window.`]);
}

function broken(topic: Topic): Sentence[] {
  return topic.cells.filter((cell) => cell.problem !== null)
    .map((cell): Sentence => [`${methodName(cell)} at ${formatLevel(cell.level)} has no value: ${cell.problem?.detail || cell.problem?.code}.`]);
}

/** "prunes 50.0 %" of the prunable weights, and of everything. */
export function prunedTitle(cell: SweepCellJson): string {
  return `${formatPercent(cell.achieved)} of the prunable weights, ${formatPercent(cell.achievedTotal)} of all parameters`;
}
