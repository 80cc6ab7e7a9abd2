/**
 * The layer tree: a virtualised treegrid. Rows are asked for by range; some fifty elements are reused for any number of rows, and
 * a moving threshold repaints only those.
 */
import { h, setAttribute, setText } from './dom';
import { makeRow } from './treeRow';
import type { RowView } from './treeRow';
import { moveBy, pagesFor, scrollToShow, visibleRange } from './virtual';
import type { NodeId, Row } from '../server/protocol/editor';

const ROW_HEIGHT = 22;
const HEAD_HEIGHT = 26;
const PAGE = 64;
const OVERSCAN = 4;

export interface TreeSource {
  /** Rows [from, to) under the current filter, order and expansion. */
  fetch(from: number, to: number): Promise<{ total: number; rows: Row[] }>;
  fraction(id: NodeId): number | null;
  colour(fraction: number): string;
  select(row: Row): void;
  toggle(row: Row): void;
  hover(row: Row | null, element: HTMLElement | null): void;
  /** What is on screen changed: scrolled, or new rows came. */
  viewed(): void;
}

export interface Tree {
  element: HTMLElement;
  /** Asks again for everything (new order, filter, expansion, or values). Old rows stay on screen until the new ones are here. */
  reload(): Promise<void>;
  /** Repaints what depends on the threshold, on screen only. */
  repaint(): void;
  setSelected(id: NodeId | null): void;
  showIndex(index: number): void;
  visibleRows(): Row[];
  scrollTop(): number;
  scrollTo(top: number): void;
  belowHeader: HTMLElement;
  focus(): void;
}

export function makeTree(source: TreeSource, headerTools: HTMLElement): Tree {
  const belowHeader = h('span', { role: 'columnheader', class: 'col-below' }, 'below');
  const head = h('div', { class: 'tree-head', role: 'row' }, h('span', { role: 'columnheader', class: 'col-name' }, 'layer'),
    h('span', { role: 'columnheader', class: 'col-params' }, 'params'), belowHeader, h('span', { role: 'columnheader', class: 'col-std' }, 'std'));
  const body = h('div', { class: 'tree-body', role: 'rowgroup' });
  // The header is inside and sticky, so that its columns and the rows' share one width, scrollbar or not.
  const scroller = h('div', { class: 'tree-scroll', tabindex: -1 }, head, body);
  const empty = h('div', { class: 'tree-empty', hidden: true }, 'No tensor has this in its name.');
  const grid = h('div', { class: 'tree', role: 'treegrid', tabindex: 0, 'aria-label': 'Layers and tensors' }, scroller, empty);
  const element = h('div', { class: 'tree-pane' }, headerTools, grid);

  let rows: (Row | undefined)[] = [];
  let total = 0;
  let generation = 0;
  let selected: NodeId | null = null;
  let pool: RowView[] = [];
  let wantedTop: number | null = null;
  const asked = new Set<number>();

  const viewport = (): { scrollTop: number; height: number; rowHeight: number; total: number } =>
    ({ scrollTop: scroller.scrollTop, height: scroller.clientHeight - HEAD_HEIGHT, rowHeight: ROW_HEIGHT, total });
  const selectedIndex = (): number => rows.findIndex((row) => row?.id === selected);

  const ask = async (pages: readonly number[], mine: number): Promise<void> => {
    await Promise.all(pages.map(async (page) => {
      if (asked.has(page)) return;
      asked.add(page);
      try {
        const answer = await source.fetch(page * PAGE, (page + 1) * PAGE);
        if (mine !== generation) return;
        total = answer.total;
        answer.rows.forEach((row, i) => { rows[page * PAGE + i] = row; });
      } catch {
        if (mine === generation) asked.delete(page); // the next scroll asks again; the banner says what happened
      }
    }));
    if (mine === generation) { layout(); source.viewed(); }
  };

  const paint = (): void => {
    const range = visibleRange(viewport(), OVERSCAN);
    const missing = pagesFor(range, PAGE).filter((page) => !asked.has(page));
    const count = range.to - range.from;
    while (pool.length < count) { const view = makeRow(ROW_HEIGHT); pool.push(view); body.append(view.element); }
    const slots = pool.length;
    const used = new Set<RowView>();
    for (let index = range.from; index < range.to; index += 1) {
      const view = pool[index % slots];
      used.add(view);
      view.show(rows[index], index, rows[index]?.id === selected, source);
    }
    for (const view of pool) if (!used.has(view)) view.hide();
    const at = selectedIndex();
    setAttribute(grid, 'aria-activedescendant', at >= range.from && at < range.to ? `row-${at}` : null);
    if (missing.length > 0 && total > 0) void ask(missing, generation);
  };

  const layout = (): void => {
    body.style.setProperty('height', `${total * ROW_HEIGHT}px`);
    setAttribute(grid, 'aria-rowcount', String(total + 1));
    empty.hidden = total > 0 || rows.length > 0 || asked.size === 0;
    if (wantedTop !== null && total > 0) { scroller.scrollTop = wantedTop; wantedTop = null; }
    paint();
  };

  let frame = 0;
  scroller.addEventListener('scroll', () => {
    source.hover(null, null);
    if (frame) return;
    frame = requestAnimationFrame(() => { frame = 0; paint(); source.viewed(); });
  }, { passive: true });
  new ResizeObserver(() => { if (pool.length > 200) { pool.forEach((view) => view.element.remove()); pool = []; } paint(); source.viewed(); }).observe(scroller);

  const rowAt = (target: EventTarget | null): Row | undefined => {
    const found = target instanceof Element ? target.closest<HTMLElement>('.row') : null;
    return found ? rows[Number(found.dataset.index)] : undefined;
  };
  body.addEventListener('click', (event) => {
    const row = rowAt(event.target);
    if (!row) return;
    choose(row);
    if (row.children > 0 && event.target instanceof Element && event.target.closest('.twisty')) source.toggle(row);
  });
  body.addEventListener('dblclick', (event) => {
    const row = rowAt(event.target);
    if (row && row.children > 0 && !(event.target instanceof Element && event.target.closest('.twisty'))) source.toggle(row);
  });
  body.addEventListener('mouseover', (event) => {
    const row = rowAt(event.target);
    source.hover(row ?? null, event.target instanceof Element ? event.target.closest<HTMLElement>('.row') : null);
  });
  body.addEventListener('mouseleave', () => source.hover(null, null));

  const choose = (row: Row): void => {
    selected = row.id;
    source.select(row);
    paint();
  };
  const goTo = (index: number): void => {
    scroller.scrollTop = scrollToShow(viewport(), index);
    const row = rows[index];
    if (row) choose(row);
    else void ask(pagesFor({ from: index, to: index + 1 }, PAGE), generation).then(() => { const late = rows[index]; if (late) choose(late); });
  };
  grid.addEventListener('keydown', (event) => {
    const index = selectedIndex();
    const row = rows[index];
    const page = Math.max(1, Math.floor(viewport().height / ROW_HEIGHT) - 1);
    const next = moveBy(event.key, index, total, page);
    if (next !== null) goTo(next);
    else if (event.key === 'ArrowRight' && row) {
      if (row.children > 0 && !row.expanded) source.toggle(row);
      else if (row.children > 0) goTo(Math.min(total - 1, index + 1));
    } else if (event.key === 'ArrowLeft' && row) {
      if (row.expanded) source.toggle(row);
      else if (row.depth > 0) { let up = index; while (up > 0 && rows[up] && (rows[up] as Row).depth > 0) up -= 1; goTo(up); }
    } else if (event.key === 'Enter' || event.key === ' ') {
      if (!row) goTo(0);
      else if (row.children > 0) source.toggle(row);
      else choose(row);
    } else return;
    event.preventDefault();
  });

  return {
    element,
    belowHeader,
    reload: async () => {
      generation += 1;
      const mine = generation;
      const view = viewport();
      const range = total === 0 ? visibleRange({ scrollTop: wantedTop ?? 0, height: scroller.clientHeight, rowHeight: ROW_HEIGHT, total: Infinity }, OVERSCAN) : visibleRange(view, OVERSCAN);
      const pages = pagesFor({ from: range.from, to: Math.max(range.to, range.from + 1) }, PAGE);
      const answers = await Promise.all(pages.map((page) => source.fetch(page * PAGE, (page + 1) * PAGE)));
      if (mine !== generation) return;
      rows = [];
      asked.clear();
      total = answers[0]?.total ?? 0;
      answers.forEach((answer, i) => { asked.add(pages[i]); answer.rows.forEach((row, k) => { rows[pages[i] * PAGE + k] = row; }); });
      layout();
      source.viewed();
    },
    repaint: () => { for (const view of pool) view.paintFraction(source); },
    setSelected: (id) => { selected = id; paint(); },
    showIndex: (index) => { scroller.scrollTop = scrollToShow({ ...viewport(), total: Math.max(total, index + 1) }, index, true); paint(); },
    visibleRows: () => { const range = visibleRange(viewport(), OVERSCAN); return rows.slice(range.from, range.to).filter((row): row is Row => row !== undefined); },
    scrollTop: () => wantedTop ?? scroller.scrollTop,
    scrollTo: (top) => { wantedTop = top; if (total > 0) { scroller.scrollTop = top; wantedTop = null; } },
    focus: () => grid.focus(),
  };
}

/** Text of the header while the threshold moves. */
export function setBelowHeader(tree: Tree, text: string): void {
  setText(tree.belowHeader, text);
}
