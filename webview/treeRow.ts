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
  let shownParts = '';
  let segments: HTMLElement[] = [];

  let parts: readonly NodeId[] = [];

  /** A group's bar is one segment a child, as wide as its share of the weights; a tensor's is filled as far as its fraction. */
  const setParts = (row: Row | undefined): void => {
    const split = row && row.kind === 'group' ? barParts(row) : [];
    parts = split.map((part) => part.id);
    const shape = split.map((part) => part.share.toFixed(3)).join(' ');
    if (shape === shownParts && bar.childElementCount > 0) return;
    shownParts = shape;
    segments = split.map((part) => {
      const segment = h('span', { class: 'bar-part' });
      segment.style.flexGrow = String(part.share);
      return segment;
    });
    bar.replaceChildren(...(segments.length > 0 ? segments : [fill]));
    bar.classList.toggle('split', segments.length > 0);
  };

  const paintFraction = (paint: RowPaint): void => {
    if (!current) return;
    const fraction = paint.fraction(current.id);
    setText(percent, fraction === null ? '' : formatPercent(fraction));
    if (segments.length > 0) {
      parts.forEach((id, i) => {
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
      if (!row) { setText(name, ''); setText(params, ''); setText(std, ''); setText(percent, ''); setParts(undefined); fill.style.width = '0'; return; }
      element.dataset.id = row.id;
      setAttribute(element, 'aria-level', String(row.depth + 1));
      setAttribute(element, 'aria-expanded', row.children > 0 ? String(row.expanded) : null);
      element.classList.toggle('child', row.depth > 0);
      element.classList.toggle('frozen', !row.prunable);
      twisty.className = row.children > 0 ? `twisty ${row.expanded ? 'open' : 'closed'}` : 'twisty';
      setText(name, row.label);
      setText(params, formatCount(row.parameters));
      setText(std, row.kind === 'tensor' && finite(row.stats?.std) !== null ? formatAligned(row.stats?.std ?? null) : '');
      setParts(row);
      paintFraction(paint);
    },
    hide: () => { current = undefined; element.hidden = true; },
  };
}

/** The segments of a group's bar: parts under a hundredth of it (biases, norms) would be hairlines and are left out. */
export function barParts(row: Pick<Row, 'parts' | 'partParameters'>): { id: NodeId; share: number }[] {
  const sizes = row.partParameters;
  if (!sizes || sizes.length !== row.parts.length) return row.parts.length > 1 ? row.parts.map((id) => ({ id, share: 1 })) : [];
  const all = sizes.reduce((sum, size) => sum + size, 0);
  const kept = row.parts.map((id, i) => ({ id, share: all > 0 ? sizes[i] / all : 0 })).filter((part) => part.share >= 0.01);
  return kept.length > 1 ? kept : [];
}
