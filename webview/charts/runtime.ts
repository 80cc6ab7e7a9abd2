/** Time a window against the dense model: a ratio and its interval at each level; 1.00 is the dense model. */
import { scaleLinear, select } from 'd3';
import { h } from '../dom';
import { finite, formatLevel } from '../format';
import { methodName, timeText } from '../sweep/model';
import type { Topic } from '../sweep/model';
import { seriesClass } from '../theme';
import { hideTooltip, showTooltip } from '../tooltip';
import { drawPrunedAxis, drawValueAxis, prunedScale } from './axes';
import type { Chart } from './perplexity';

export function makeRuntime(): Chart<Topic> {
  const element = h('div', { class: 'curve runtime', role: 'img', 'aria-label': 'Time a window against dense' });
  const svg = select(element).append('svg').attr('class', 'chart');
  const grid = svg.append('g').attr('class', 'grid');
  const yText = svg.append('g').attr('class', 'axis-text');
  const xAxis = svg.append('g').attr('class', 'axis-text');
  const one = svg.append('line').attr('class', 'reference');
  const marks = svg.append('g');
  const none = svg.append('text').attr('class', 'axis-text-muted').attr('text-anchor', 'middle');
  let topic: Topic | null = null;
  let size = { width: 0, height: 0 };

  const draw = (): void => {
    if (size.width === 0 || !topic) return;
    svg.attr('width', size.width).attr('height', size.height);
    const frame = { ...size, left: 62, right: 18, top: 10, bottom: 24 };
    const x = prunedScale(frame);
    const floor = size.height - frame.bottom;
    const count = topic.series.length;
    const points = topic.series.flatMap((series, i) => series.points.flatMap((point) => {
      // The dense model against itself is the control: one mark, whatever the number of methods.
      const ratio = point.cell.level === 0 && i > 0 ? null : point.cell.runtime?.ratio;
      const value = finite(ratio?.value);
      return value === null ? [] : [{ point, i, value, low: finite(ratio?.low) ?? value, high: finite(ratio?.high) ?? value }];
    }));
    none.attr('x', size.width / 2).attr('y', size.height / 2).text(points.length === 0 ? 'not measured yet' : '');
    // Symmetric about 1 and at least ± 2 %, so that noise looks like noise.
    const reach = Math.max(0.02, ...points.flatMap((p) => [Math.abs(p.low - 1), Math.abs(p.high - 1)])) * 1.15;
    const y = scaleLinear([1 - reach, 1 + reach], [floor, frame.top]);
    const ticks = points.length === 0 ? [] : y.ticks(5);
    drawValueAxis(grid, yText, frame, ticks, (v) => y(v), (v) => v.toFixed(2));
    drawPrunedAxis(xAxis, frame, x, topic.series.flatMap((series) => series.points.map((p) => p.cell.level)), false);
    one.attr('visibility', points.length === 0 ? 'hidden' : null).attr('x1', frame.left).attr('x2', size.width - frame.right).attr('y1', y(1)).attr('y2', y(1));
    const group = marks.selectAll<SVGGElement, (typeof points)[number]>('g').data(points).join((enter) => {
      const g = enter.append('g');
      g.append('line').attr('class', 'whisker');
      g.append('circle').attr('class', 'mark-ring').attr('r', 3.25);
      return g;
    }).attr('class', (p) => `mark ${p.point.cell.level === 0 ? 'dense' : seriesClass(p.i)}`)
      .attr('transform', (p) => `translate(${x(p.point.level) + (p.point.cell.level === 0 ? 0 : (p.i - (count - 1) / 2) * 6)},${y(p.value)})`);
    group.select('line').attr('y1', (p) => y(p.low) - y(p.value)).attr('y2', (p) => y(p.high) - y(p.value));
    group.on('mouseenter', (event: MouseEvent, p) => showTooltip({
      title: `${methodName(p.point.cell)} · ${formatLevel(p.point.cell.level)}`,
      pairs: [['ratio', `${p.value.toFixed(3)} (${p.low.toFixed(3)} … ${p.high.toFixed(3)})`], ['median', `${(p.point.cell.runtime?.medianMs ?? 0).toFixed(0)} ms`], ['dense', `${(p.point.cell.runtime?.baselineMedianMs ?? 0).toFixed(0)} ms`]],
      note: `${timeText(p.point.cell)}, ${p.point.cell.runtime?.pairs ?? 0} pairs`,
    }, (event.currentTarget as Element).getBoundingClientRect())).on('mouseleave', hideTooltip);
  };

  return {
    element,
    setData: (next) => { topic = next; draw(); },
    resize: (width, height) => { if (width !== size.width || height !== size.height) { size = { width, height }; draw(); } },
  };
}
