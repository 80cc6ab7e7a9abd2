/** Bytes on disk against % pruned: dense, deflate, bitmask, CSR, each labelled on its line. */
import { line as d3line, max, scaleLinear, select } from 'd3';
import { h } from '../dom';
import { formatBytes, formatLevel } from '../format';
import { labelLines } from '../labels';
import type { Series } from '../sweep/model';
import { seriesClass, seriesDash } from '../theme';
import { hideTooltip, showTooltip } from '../tooltip';
import { drawPrunedAxis, drawValueAxis, prunedScale } from './axes';
import type { Chart } from './perplexity';

const FORMS = [['dense', 'dense'], ['deflate', 'deflate'], ['bitmask', 'bitmask'], ['csr', 'CSR']] as const;

export function makeSizes(): Chart<Series | null> {
  const element = h('div', { class: 'curve sizes', role: 'img', 'aria-label': 'Size on disk against weights pruned' });
  const svg = select(element).append('svg').attr('class', 'chart');
  const grid = svg.append('g').attr('class', 'grid');
  const yText = svg.append('g').attr('class', 'axis-text');
  const xAxis = svg.append('g').attr('class', 'axis-text');
  const lines = svg.append('g');
  const marks = svg.append('g');
  const labels = svg.append('g');
  let series: Series | null = null;
  let size = { width: 0, height: 0 };

  const draw = (): void => {
    if (size.width === 0) return;
    svg.attr('width', size.width).attr('height', size.height);
    const frame = { ...size, left: 62, right: 18, top: 10, bottom: 24 };
    const points = series?.points ?? [];
    const x = prunedScale(frame);
    const floor = size.height - frame.bottom;
    const top = max(points, (p) => Math.max(...FORMS.map(([form]) => p.cell.bytes[form]))) ?? 1;
    const y = scaleLinear([0, top * 1.05], [floor, frame.top]);
    drawValueAxis(grid, yText, frame, y.ticks(5), (v) => y(v), (v) => (v === 0 ? '0' : formatBytes(v).replace(/\.0+(?=\D)/, '')));
    drawPrunedAxis(xAxis, frame, x, points.map((p) => p.cell.level), false);
    const shape = d3line<(typeof points)[number]>((p) => x(p.level), () => 0);
    const forms = points.length === 0 ? [] : FORMS.map(([form, name]) => ({ form, name }));
    lines.selectAll('path').data(forms).join('path').attr('class', ({ form }, i) => `line ${form === 'dense' ? 'dense' : seriesClass(i - 1)}`)
      .attr('stroke-dasharray', ({ form }, i) => (form === 'dense' ? null : seriesDash(i - 1) || null)).attr('d', ({ form }) => shape.y((p) => y(p.cell.bytes[form]))(points));
    marks.selectAll('circle').data(forms.flatMap(({ form, name }, i) => points.map((point) => ({ form, name, i, point })))).join('circle')
      .attr('class', ({ form, i }) => `dot ${form === 'dense' ? 'dense' : seriesClass(i - 1)}`).attr('r', 2.5).attr('cx', ({ point }) => x(point.level)).attr('cy', ({ form, point }) => y(point.cell.bytes[form]))
      .on('mouseenter', (event: MouseEvent, { name, form, point }) => showTooltip({
        title: `${name} · ${formatLevel(point.cell.level)}`,
        pairs: [['size', formatBytes(point.cell.bytes[form])], ['of dense', formatLevel(Number((point.cell.bytes[form] / point.cell.bytes.dense).toFixed(3)))]],
      }, (event.currentTarget as Element).getBoundingClientRect())).on('mouseleave', hideTooltip);
    const places = labelLines(forms.map(({ form }) => ({ points: points.map((p) => ({ x: x(p.level), y: y(p.cell.bytes[form]) })) })), forms.map(({ name }) => name.length * 6.4 + 6),
      { left: frame.left, right: size.width - frame.right, top: frame.top, bottom: floor });
    labels.selectAll('text').data(forms).join('text').attr('class', ({ form }, i) => `line-label ${form === 'dense' ? 'dense' : seriesClass(i - 1)}`).attr('text-anchor', 'middle').attr('dy', '0.35em')
      .attr('x', (_, i) => places[i].x).attr('y', (_, i) => places[i].y).text(({ name }) => name);
  };

  return {
    element,
    setData: (next) => { series = next; draw(); },
    resize: (width, height) => { if (width !== size.width || height !== size.height) { size = { width, height }; draw(); } },
  };
}
