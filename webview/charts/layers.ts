/** How the fraction below varies by layer: one line a role, labelled at its end, dashed as well as coloured. */
import { line as d3line, scaleLinear, select } from 'd3';
import { h } from '../dom';
import { spread } from '../labels';
import { cellId, shortRole } from '../store';
import { seriesClass, seriesDash } from '../theme';
import type { Facts, NodeId } from '../../server/protocol/editor';
import { HEAT_MARGIN, layerTicks } from './heatmap';
import type { HeatCell, HeatmapSource } from './heatmap';

const TOP = 8;
const BOTTOM = 20;

export interface LayerLines {
  element: HTMLElement;
  setData(heat: Facts['heat']): void;
  paint(fraction: (id: NodeId) => number | null): void;
  setSelected(role: string | null, layer: number | null): void;
  resize(width: number, height: number): void;
}

export function makeLayerLines(source: HeatmapSource): LayerLines {
  const element = h('div', { class: 'layer-lines', role: 'img', 'aria-label': 'Fraction below the threshold by layer, one line a role' });
  const svg = select(element).append('svg').attr('class', 'chart');
  const grid = svg.append('g').attr('class', 'grid');
  const yText = svg.append('g').attr('class', 'axis-text');
  const xText = svg.append('g').attr('class', 'axis-text');
  const rule = svg.append('line').attr('class', 'layer-rule').attr('visibility', 'hidden');
  const lines = svg.append('g');
  const labels = svg.append('g');
  const dot = svg.append('circle').attr('class', 'hover-dot').attr('r', 3.5).attr('visibility', 'hidden');

  let heat: Facts['heat'] = { roles: [], layers: [], cells: [] };
  let size = { width: 0, height: 0 };
  let chosen: { role: string | null; layer: number | null } = { role: null, layer: null };
  let fraction: ((id: NodeId) => number | null) | null = null;
  let byRole = new Map<string, HeatCell[]>();
  let domain: [number, number] = [0, 1];
  const x = scaleLinear();
  const y = scaleLinear();

  const place = (): void => {
    const step = (size.width - HEAT_MARGIN.left - HEAT_MARGIN.right) / Math.max(1, heat.layers.length);
    const first = heat.layers[0] ?? 0;
    const last = heat.layers[heat.layers.length - 1] ?? 1;
    x.domain([first, Math.max(last, first + 1)]).range([HEAT_MARGIN.left + step / 2, size.width - HEAT_MARGIN.right - step / 2]);
  };

  const frame = (): void => {
    if (size.width === 0 || size.height === 0) return;
    svg.attr('width', size.width).attr('height', size.height);
    place();
    const step = (size.width - HEAT_MARGIN.left - HEAT_MARGIN.right) / Math.max(1, heat.layers.length);
    const floor = size.height - BOTTOM;
    y.domain(domain).range([floor, TOP]);
    const ticks = y.ticks(Math.max(2, Math.floor(size.height / 32)));
    grid.selectAll('line').data(ticks).join('line').attr('x1', HEAT_MARGIN.left).attr('x2', size.width - HEAT_MARGIN.right)
      .attr('y1', (v) => Math.round(y(v)) + 0.5).attr('y2', (v) => Math.round(y(v)) + 0.5);
    yText.selectAll('text').data(ticks).join('text').attr('x', HEAT_MARGIN.left - 10).attr('y', (v) => y(v)).attr('dy', '0.35em').attr('text-anchor', 'end').text((v) => `${Number((v * 100).toFixed(1))} %`);
    xText.selectAll('text').data(layerTicks(heat.layers, step)).join('text').attr('x', (v) => x(v)).attr('y', floor + 15).attr('text-anchor', 'middle').text((v) => v);
    mark();
  };

  const mark = (): void => {
    rule.attr('visibility', chosen.layer === null || size.width === 0 ? 'hidden' : null);
    if (chosen.layer !== null) rule.attr('x1', x(chosen.layer)).attr('x2', x(chosen.layer)).attr('y1', TOP - 4).attr('y2', size.height - BOTTOM);
    lines.selectAll<SVGPathElement, string>('path').classed('chosen', (role) => role === chosen.role);
    labels.selectAll<SVGTextElement, string>('text').classed('chosen', (role) => role === chosen.role);
  };

  const paint = (next: (id: NodeId) => number | null): void => {
    fraction = next;
    if (size.width === 0) return;
    const values = new Map(heat.roles.map((role) => [role, (byRole.get(role) ?? []).map((cell) => ({ layer: cell.layer, at: next(cell.id) })).filter((p): p is { layer: number; at: number } => p.at !== null)]));
    const all = [...values.values()].flat().map((p) => p.at);
    const wanted = niceDomain(all);
    if (wanted[0] !== domain[0] || wanted[1] !== domain[1]) { domain = wanted; frame(); }
    const shape = d3line<{ layer: number; at: number }>((p) => x(p.layer), (p) => y(p.at));
    const drawn = heat.roles.filter((role) => (values.get(role)?.length ?? 0) > 0);
    lines.selectAll<SVGPathElement, string>('path').data(drawn, (role) => role).join('path')
      .attr('class', (role) => `line ${seriesClass(heat.roles.indexOf(role))}`).classed('chosen', (role) => role === chosen.role)
      .attr('stroke-dasharray', (role) => seriesDash(heat.roles.indexOf(role)) || null)
      .attr('d', (role) => { const points = values.get(role) ?? []; return points.length === 1 ? `M${x(points[0].layer) - 3},${y(points[0].at)}h6` : shape(points); });
    const ends = drawn.map((role) => y((values.get(role) ?? []).at(-1)?.at ?? 0));
    const places = spread(ends, 12, TOP, size.height - BOTTOM);
    labels.selectAll<SVGTextElement, string>('text').data(drawn, (role) => role).join('text')
      .attr('class', (role) => `line-label ${seriesClass(heat.roles.indexOf(role))}`).classed('chosen', (role) => role === chosen.role)
      .attr('x', size.width - HEAT_MARGIN.right + 6).attr('y', (_, i) => places[i]).attr('dy', '0.35em').text(shortRole);
  };

  /** The cell whose mark is nearest to the pointer. */
  const nearest = (event: MouseEvent): { cell: HeatCell; at: number } | null => {
    if (!fraction || heat.layers.length === 0) return null;
    const box = element.getBoundingClientRect();
    const wanted = x.invert(event.clientX - box.left);
    const layer = heat.layers.reduce((best, next) => (Math.abs(next - wanted) < Math.abs(best - wanted) ? next : best));
    let best: { cell: HeatCell; at: number; far: number } | null = null;
    for (const cells of byRole.values()) {
      const cell = cells.find((c) => c.layer === layer);
      const at = cell ? fraction(cell.id) : null;
      if (!cell || at === null) continue;
      const far = Math.abs(y(at) - (event.clientY - box.top));
      if (!best || far < best.far) best = { cell, at, far };
    }
    return best;
  };
  element.addEventListener('mousemove', (event) => {
    const found = nearest(event);
    dot.attr('visibility', found ? null : 'hidden');
    if (!found) { source.hover(null, null); return; }
    const box = element.getBoundingClientRect();
    dot.attr('cx', x(found.cell.layer)).attr('cy', y(found.at));
    source.hover(found.cell, new DOMRect(box.left + x(found.cell.layer), box.top + y(found.at), 4, 4));
  });
  element.addEventListener('mouseleave', () => { dot.attr('visibility', 'hidden'); source.hover(null, null); });
  element.addEventListener('click', (event) => { const found = nearest(event); if (found) source.select(found.cell); });

  return {
    element,
    setData: (next) => {
      heat = next;
      byRole = new Map(next.roles.map((role) => [role, next.cells.filter((cell) => cell.role === role).sort((a, b) => a.layer - b.layer).map((cell) => ({ id: cellId(cell.role, cell.layer), ...cell }))]));
      frame();
    },
    paint,
    setSelected: (role, layer) => { chosen = { role, layer }; mark(); },
    resize: (width, height) => { if (width !== size.width || height !== size.height) { size = { width, height }; frame(); if (fraction) paint(fraction); } },
  };
}

/** A domain in tenths around the values, at least 0.2 wide, so that the axis changes seldom while the threshold moves. */
export function niceDomain(values: readonly number[]): [number, number] {
  if (values.length === 0) return [0, 1];
  let low = Math.floor(Math.min(...values) * 10 - 1e-9) / 10;
  let high = Math.ceil(Math.max(...values) * 10 + 1e-9) / 10;
  low = Math.max(0, low);
  high = Math.min(1, high);
  if (high - low < 0.2) { low = Math.max(0, Math.min(low, high - 0.2)); high = Math.min(1, Math.max(high, low + 0.2)); }
  return [Number(low.toFixed(1)), Number(high.toFixed(1))];
}
