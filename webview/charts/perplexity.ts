/** Perplexity against % pruned: one line a method, intervals, the dense model as a reference, log when it must be. */
import { line as d3line, scaleLinear, scaleLog, select } from 'd3';
import { h } from '../dom';
import { formatLevel, formatPerplexity, formatTick } from '../format';
import { spread } from '../labels';
import { methodName, prunedTitle, ratioText, valueText } from '../sweep/model';
import type { Point, Topic } from '../sweep/model';
import { seriesClass, seriesDash } from '../theme';
import { hideTooltip, showTooltip } from '../tooltip';
import { drawPrunedAxis, drawValueAxis, logTicks, mustBeLog, prunedScale } from './axes';

export interface Chart<T> { element: HTMLElement; setData(data: T): void; resize(width: number, height: number): void }
export type LogChoice = 'auto' | 'on' | 'off';
export interface PerplexityChart extends Chart<Topic> { setLog(choice: LogChoice): void; isLog(): boolean }

/** Up to the next power of ten when it is near: a tick above the last point is worth a little room. */
const roundedUp = (high: number): number => { const power = 10 ** Math.ceil(Math.log10(high)); return power / high < 2.2 ? power : high; };

export function makePerplexity(): PerplexityChart {
  const element = h('div', { class: 'curve perplexity', role: 'img' });
  const svg = select(element).append('svg').attr('class', 'chart');
  const grid = svg.append('g').attr('class', 'grid');
  const yText = svg.append('g').attr('class', 'axis-text');
  const xAxis = svg.append('g').attr('class', 'axis-text');
  const reference = svg.append('line').attr('class', 'reference');
  const referenceText = svg.append('text').attr('class', 'axis-text-muted');
  const lines = svg.append('g');
  const marks = svg.append('g');
  const labels = svg.append('g');
  let topic: Topic | null = null;
  let size = { width: 0, height: 0 };
  let choice: LogChoice = 'auto';
  let log = false;

  const draw = (): void => {
    if (!topic || size.width === 0) return;
    const frame = { ...size, left: 62, right: 96, top: 24, bottom: 26 };
    svg.attr('width', size.width).attr('height', size.height);
    const points = topic.series.flatMap((series) => series.points).concat(topic.series.length === 0 && topic.baseline ? [{ level: 0, cell: topic.baseline, value: Number(topic.baseline.value), low: null, high: null }] : []);
    const values = points.flatMap((point) => (point.value === null ? [] : [point.value]));
    log = choice === 'on' || (choice === 'auto' && mustBeLog(values));
    const low = Math.min(...values.concat(points.flatMap((p) => (p.low !== null && p.low > 0 ? [p.low] : []))), Infinity);
    const high = Math.max(...values.concat(points.flatMap((p) => (p.high === null ? [] : [p.high]))), -Infinity);
    const floor = size.height - frame.bottom;
    const x = prunedScale(frame);
    const y = values.length === 0 ? scaleLinear([0, 1], [floor, frame.top])
      : log ? scaleLog([low * 0.8, roundedUp(high * 1.15)], [floor, frame.top]) : scaleLinear([Math.max(0, low - (high - low || low) * 0.15), high + (high - low || high) * 0.1], [floor, frame.top]);
    const ticks = values.length === 0 ? [] : log ? logTicks(y.domain()[0], y.domain()[1]) : y.ticks(6);
    drawValueAxis(grid, yText, frame, ticks, (v) => y(v), log ? (v) => (v < 1e6 ? formatPerplexity(v).replace(/\.0+$/, '') : formatTick(v)) : (v) => formatPerplexity(v).replace(/\.0+$/, ''));
    drawPrunedAxis(xAxis, frame, x, points.map((point) => point.cell.level), true);

    const base = topic.baseline && typeof topic.baseline.value === 'number' ? topic.baseline.value : null;
    reference.attr('visibility', base === null ? 'hidden' : null);
    if (base !== null) reference.attr('x1', frame.left).attr('x2', size.width - frame.right).attr('y1', y(base)).attr('y2', y(base));

    const shape = d3line<Point>((p) => x(p.level), (p) => y(p.value ?? 0)).defined((p) => p.value !== null);
    lines.selectAll('path').data(topic.series).join('path').attr('class', (_, i) => `line ${seriesClass(i)}`)
      .attr('stroke-dasharray', (_, i) => seriesDash(i) || null).attr('d', (series) => shape(series.points.filter((p) => p.value !== null)));
    const flat = topic.series.flatMap((series, i) => series.points.map((point) => ({ point, i })));
    const group = marks.selectAll<SVGGElement, (typeof flat)[number]>('g').data(flat).join((enter) => {
      const g = enter.append('g');
      g.append('line').attr('class', 'whisker');
      g.append('circle').attr('class', 'mark-ring').attr('r', 3.5);
      g.append('text').attr('class', 'no-value').attr('text-anchor', 'middle');
      return g;
    }).attr('class', ({ i }) => `mark ${seriesClass(i)}`).attr('transform', ({ point }) => `translate(${x(point.level)},${point.value === null ? 12 : y(point.value)})`);
    group.select('circle').attr('visibility', ({ point }) => (point.value === null ? 'hidden' : null));
    group.select('text').text(({ point }) => (point.value === null ? `${point.cell.value ?? 'no value'}` : ''));
    group.select('line').attr('y1', ({ point }) => (point.low === null || point.value === null ? 0 : y(Math.max(point.low, y.domain()[0])) - y(point.value)))
      .attr('y2', ({ point }) => (point.high === null || point.value === null ? 0 : y(point.high) - y(point.value)));
    group.on('mouseenter', (event: MouseEvent, { point }) => tip(point, event)).on('mouseleave', hideTooltip);

    const ends = topic.series.map((series) => { const last = series.points.filter((p) => p.value !== null).at(-1); return { x: last ? x(last.level) + 10 : frame.left, y: last ? y(last.value ?? 0) : floor }; });
    // The reference's label keeps clear of the ends of the lines, too.
    const wanted = [...ends.map((end) => end.y), ...(base === null ? [] : [y(base)])];
    const places = spread(wanted, 14, frame.top, floor - 6);
    labels.selectAll('text').data(topic.series).join('text').attr('class', (_, i) => `line-label ${seriesClass(i)}`).attr('dy', '0.35em')
      .attr('x', (_, i) => ends[i].x).attr('y', (_, i) => places[i]).text((series) => series.name);
    referenceText.attr('x', size.width - frame.right + 14).attr('dy', '0.35em').attr('y', places[topic.series.length] ?? 0).text(base === null ? '' : `dense ${formatPerplexity(base)}`);
    element.setAttribute('aria-label', `${topic.metric} against weights pruned: ${flat.map(({ point }) => `${formatLevel(point.cell.level)} ${valueText(point.cell).value}`).join(', ')}`);
  };

  const tip = (point: Point, event: MouseEvent): void => {
    const { cell } = point;
    const text = valueText(cell);
    showTooltip({
      title: `${methodName(cell)} · ${formatLevel(cell.level)}`,
      pairs: [[topic?.metric ?? '', `${text.value} ${text.error}`], ...(cell.ratioToBaseline ? [['against dense', ratioText(cell.ratioToBaseline)] as [string, string]] : [])],
      note: cell.level === 0 ? undefined : prunedTitle(cell),
    }, (event.currentTarget as Element).getBoundingClientRect());
  };

  return {
    element,
    setData: (next) => { topic = next; draw(); },
    setLog: (next) => { choice = next; draw(); },
    isLog: () => log,
    resize: (width, height) => { if (width !== size.width || height !== size.height) { size = { width, height }; draw(); } },
  };
}
