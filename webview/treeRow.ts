/** One reused row of the tree: name, parameters, bar (split for a group), fraction below, std. */
import { finite, formatCount, formatPercent, formatAligned } from './format';
import { h, setAttribute, setText } from './dom';
import type { NodeId, Row } from '../server/protocol/editor';

export interface RowPaint { fraction(id: NodeId): number | null; colour(fraction: number): string }

export interface RowView {
  element: HTMLElement;
  show(row: Row | undefined, index: number, selected: boolean, paint: RowPaint): void;
  /** Only what the threshold changes. */
  paintFraction(paint: RowPaint): void;
  hide(): void;
}

export function makeRow(rowHeight: number): RowView {
  const twisty = h('span', { class: 'twisty', 'aria-hidden': 'true' });
  const name = h('span', { class: 'row-label' });
  const params = h('span', { class: 'col-params', role: 'gridcell' });
  const fill = h('span', { class: 'bar-fill' });
  const bar = h('span', { class: 'bar', 'aria-hidden': 'true' });
  const percent = h('span', { class: 'percent' });
  const std = h('span', { class: 'col-std', role: 'gridcell' });
  const element = h('div', { class: 'row', role: 'row' }, h('span', { class: 'col-name', role: 'gridcell' }, twisty, name),
    params, h('span', { class: 'col-below', role: 'gridcell' }, bar, percent), std);
  let current: Row | undefined;
  let shownParts = -1;
  let segments: HTMLElement[] = [];

  /** A group's bar is one segment a child; a tensor's is filled as far as its fraction. */
  const setParts = (count: number): void => {
    if (count === shownParts) return;
    shownParts = count;
    segments = Array.from({ length: count }, () => h('span', { class: 'bar-part' }));
    bar.replaceChildren(...(count > 0 ? segments : [fill]));
    bar.classList.toggle('split', count > 0);
  };

  const paintFraction = (paint: RowPaint): void => {
    if (!current) return;
    const fraction = paint.fraction(current.id);
    setText(percent, fraction === null ? '' : formatPercent(fraction));
    if (shownParts > 0) {
      current.parts.forEach((id, i) => {
        const part = paint.fraction(id);
        const colour = part === null ? '' : paint.colour(part);
        if (segments[i].style.backgroundColor !== colour) segments[i].style.backgroundColor = colour;
      });
      return;
    }
    fill.style.width = fraction === null ? '0' : `${(fraction * 100).toFixed(1)}%`;
    fill.style.backgroundColor = fraction === null ? '' : paint.colour(fraction);
  };

  return {
    element,
    paintFraction,
    show: (row, index, selected, paint) => {
      current = row;
      element.hidden = false;
      element.style.transform = `translateY(${index * rowHeight}px)`;
      element.dataset.index = String(index);
      element.id = `row-${index}`;
      setAttribute(element, 'aria-rowindex', String(index + 2));
      element.classList.toggle('selected', selected);
      setAttribute(element, 'aria-selected', String(selected));
      element.classList.toggle('unknown', !row);
      if (!row) { setText(name, ''); setText(params, ''); setText(std, ''); setText(percent, ''); setParts(0); fill.style.width = '0'; return; }
      element.dataset.id = row.id;
      setAttribute(element, 'aria-level', String(row.depth + 1));
      setAttribute(element, 'aria-expanded', row.children > 0 ? String(row.expanded) : null);
      element.classList.toggle('child', row.depth > 0);
      element.classList.toggle('frozen', !row.prunable);
      twisty.className = row.children > 0 ? `twisty ${row.expanded ? 'open' : 'closed'}` : 'twisty';
      setText(name, row.label);
      setText(params, formatCount(row.parameters));
      setText(std, row.kind === 'tensor' && finite(row.stats?.std) !== null ? formatAligned(row.stats?.std ?? null) : '');
      setParts(row.kind === 'group' && row.parts.length > 1 ? row.parts.length : 0);
      paintFraction(paint);
    },
    hide: () => { current = undefined; element.hidden = true; },
  };
}
