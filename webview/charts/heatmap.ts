/**
 * Layer x role, colour = fraction below the threshold. Cells are made once; a moving threshold changes only their fills.
 *
 * Keyboard: arrows walk the cells, Home and End the row, Enter goes to the tensor.
 */
import { scaleBand, select } from 'd3';
import { h, setAttribute, setText } from '../dom';
import { formatPercent } from '../format';
import { cellId, shortRole } from '../store';
import type { Facts, NodeId } from '../../server/protocol/editor';

export interface HeatCell { id: NodeId; role: string; layer: number; parameters: number; tensors: number }

export interface HeatmapSource {
  select(cell: HeatCell): void;
  hover(cell: HeatCell | null, mark: DOMRect | null): void;
}

export interface HeatPaint {
  fraction(id: NodeId): number | null;
  colour(fraction: number): string;
  means: ReadonlyMap<string, number | null>;
}

export interface Heatmap {
  element: HTMLElement;
  setData(heat: Facts['heat']): void;
  paint(paint: HeatPaint): void;
  setSelected(role: string | null, layer: number | null): void;
  resize(width: number): void;
}

/** Space left of the cells and right of them; the chart by layer uses the same, so that layers line up. */
export const HEAT_MARGIN = { left: 84, right: 78 } as const;
const AXIS = 20;

export function makeHeatmap(source: HeatmapSource): Heatmap {
  const element = h('div', { class: 'heatmap', role: 'grid', tabindex: 0, 'aria-label': 'Fraction below the threshold by layer and role' });
  const svg = select(element).append('svg').attr('class', 'chart').attr('role', 'presentation');
  const cellsGroup = svg.append('g').attr('class', 'cells');
  const rolesGroup = svg.append('g').attr('class', 'axis-text');
  const layersGroup = svg.append('g').attr('class', 'axis-text');
  const meansGroup = svg.append('g').attr('class', 'heat-means');
  const ring = svg.append('rect').attr('class', 'ring-selected').attr('visibility', 'hidden');
  const cursor = svg.append('rect').attr('class', 'ring-cursor').attr('visibility', 'hidden');

  let heat: Facts['heat'] = { roles: [], layers: [], cells: [] };
  let cells: HeatCell[] = [];
  let nodes: SVGRectElement[] = [];
  let width = 0;
  let chosen: { role: string | null; layer: number | null } = { role: null, layer: null };
  let at: HeatCell | null = null;
  let lastPaint: HeatPaint | null = null;

  const rowHeight = (): number => (heat.roles.length <= 5 ? 26 : heat.roles.length <= 9 ? 21 : 16);
  const x = scaleBand<number>();
  const y = scaleBand<string>();

  const place = (rect: typeof ring, role: string | null, layer: number | null): void => {
    const left = layer === null ? undefined : x(layer);
    const top = role === null ? undefined : y(role);
    if (left === undefined) { rect.attr('visibility', 'hidden'); return; }
    // A whole layer (a group in the tree) is ringed as a column.
    rect.attr('visibility', null).attr('x', left - 1.5).attr('width', x.bandwidth() + 3)
      .attr('y', (top ?? 0) - 1.5).attr('height', (top === undefined ? heat.roles.length * rowHeight() - 2 : y.bandwidth()) + 3);
  };

  const draw = (): void => {
    if (width === 0 || heat.roles.length === 0) return;
    const height = heat.roles.length * rowHeight();
    svg.attr('width', width).attr('height', height + AXIS);
    const step = (width - HEAT_MARGIN.left - HEAT_MARGIN.right) / Math.max(1, heat.layers.length);
    x.domain(heat.layers).range([HEAT_MARGIN.left, width - HEAT_MARGIN.right]).paddingInner(step > 7 ? 1.5 / step : step > 3 ? 0.12 : 0);
    y.domain(heat.roles).range([0, height]).paddingInner(2 / rowHeight());
    const joined = cellsGroup.selectAll<SVGRectElement, HeatCell>('rect').data(cells, (cell) => cell.id).join('rect')
      .attr('class', 'cell').attr('role', 'gridcell').attr('id', (_, i) => `cell-${i}`).attr('data-id', (cell) => cell.id)
      .attr('x', (cell) => x(cell.layer) ?? 0).attr('y', (cell) => y(cell.role) ?? 0)
      .attr('width', x.bandwidth()).attr('height', y.bandwidth()).attr('rx', step > 7 ? 1.5 : 0);
    nodes = joined.nodes();
    rolesGroup.selectAll<SVGTextElement, string>('text').data(heat.roles, (role) => role).join('text')
      .attr('x', HEAT_MARGIN.left - 10).attr('y', (role) => (y(role) ?? 0) + y.bandwidth() / 2).attr('dy', '0.35em').attr('text-anchor', 'end').text(shortRole);
    meansGroup.selectAll<SVGTextElement, string>('text').data(heat.roles, (role) => role).join('text')
      .attr('x', width - 4).attr('y', (role) => (y(role) ?? 0) + y.bandwidth() / 2).attr('dy', '0.35em').attr('text-anchor', 'end');
    layersGroup.selectAll<SVGTextElement, number>('text').data(layerTicks(heat.layers, step)).join('text')
      .attr('x', (layer) => (x(layer) ?? 0) + x.bandwidth() / 2).attr('y', height + 14).attr('text-anchor', 'middle').text((layer) => layer);
    place(ring, chosen.role, chosen.layer);
    if (lastPaint) paint(lastPaint);
  };

  const paint = (next: HeatPaint): void => {
    lastPaint = next;
    for (let i = 0; i < nodes.length; i += 1) {
      const fraction = next.fraction(cells[i].id);
      const fill = fraction === null ? 'var(--track)' : next.colour(fraction);
      if (nodes[i].getAttribute('fill') !== fill) nodes[i].setAttribute('fill', fill);
    }
    meansGroup.selectAll<SVGTextElement, string>('text').each(function each(role) { setText(this, formatMean(next.means.get(role) ?? null)); });
  };

  const cellAt = (target: EventTarget | null): HeatCell | null => {
    const index = target instanceof SVGRectElement ? nodes.indexOf(target) : -1;
    return index < 0 ? null : cells[index];
  };
  const point = (cell: HeatCell | null, byKey: boolean): void => {
    at = cell;
    const index = cell ? cells.indexOf(cell) : -1;
    if (byKey) place(cursor, cell?.role ?? null, cell?.layer ?? null);
    setAttribute(element, 'aria-activedescendant', index < 0 ? null : `cell-${index}`);
    if (cell && lastPaint) nodes[index].setAttribute('aria-label', `layer ${cell.layer}, ${cell.role}, ${formatPercent(lastPaint.fraction(cell.id))} below`);
    source.hover(cell, index < 0 ? null : nodes[index].getBoundingClientRect());
  };
  element.addEventListener('mouseover', (event) => point(cellAt(event.target), false));
  element.addEventListener('mouseleave', () => point(null, false));
  element.addEventListener('blur', () => point(null, true));
  element.addEventListener('click', (event) => { const cell = cellAt(event.target); if (cell) source.select(cell); });
  element.addEventListener('keydown', (event) => {
    const start = at ?? cells.find((cell) => cell.role === chosen.role && cell.layer === chosen.layer) ?? cells[0];
    if (!start) return;
    if (event.key === 'Enter' || event.key === ' ') source.select(start);
    else if (event.key === 'Escape') point(null, true);
    else {
      const next = step(event.key, start);
      if (!next) return;
      point(next, true);
    }
    event.preventDefault();
  });

  /** The next cell in a direction; holes (a layer without that role) are stepped over. */
  const step = (key: string, from: HeatCell): HeatCell | null => {
    const row = cells.filter((cell) => cell.role === from.role).sort((a, b) => a.layer - b.layer);
    const column = cells.filter((cell) => cell.layer === from.layer).sort((a, b) => heat.roles.indexOf(a.role) - heat.roles.indexOf(b.role));
    const moved = (list: HeatCell[], by: number): HeatCell => list[Math.min(list.length - 1, Math.max(0, list.indexOf(from) + by))];
    switch (key) {
      case 'ArrowRight': return moved(row, 1);
      case 'ArrowLeft': return moved(row, -1);
      case 'ArrowDown': return moved(column, 1);
      case 'ArrowUp': return moved(column, -1);
      case 'Home': return row[0];
      case 'End': return row[row.length - 1];
      default: return null;
    }
  };

  return {
    element,
    setData: (next) => {
      heat = next;
      cells = next.cells.map((cell) => ({ id: cellId(cell.role, cell.layer), ...cell }));
      at = null;
      draw();
    },
    paint,
    setSelected: (role, layer) => { chosen = { role, layer }; place(ring, role, layer); },
    resize: (next) => { if (next !== width) { width = next; draw(); } },
  };
}

const formatMean = (mean: number | null): string => (mean === null ? '' : formatPercent(mean));

/** Layer numbers that fit: every 1, 2, 4, 5, 8, 10, 16 … and the last. */
export function layerTicks(layers: readonly number[], step: number): number[] {
  const every = [1, 2, 4, 5, 8, 10, 16, 20, 32, 50, 64, 100].find((n) => n * step >= 38) ?? 200;
  const last = layers[layers.length - 1];
  return layers.filter((layer, i) => layer === last || (i % every === 0 && (layers.length - 1 - i) * step >= 26));
}
