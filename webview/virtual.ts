/** The arithmetic of a virtualised list: which rows are on screen, which pages to ask for, where to scroll. Pure. */

export interface Viewport { scrollTop: number; height: number; rowHeight: number; total: number }

/** Rows [from, to) that touch the viewport, with `extra` rows either side. */
export function visibleRange(view: Viewport, extra = 0): { from: number; to: number } {
  const from = Math.floor(Math.max(0, view.scrollTop) / view.rowHeight) - extra;
  const to = Math.ceil((Math.max(0, view.scrollTop) + view.height) / view.rowHeight) + extra;
  return { from: Math.min(Math.max(0, from), view.total), to: Math.max(0, Math.min(view.total, to)) };
}

/** Pages of `size` rows that cover [from, to). */
export function pagesFor(range: { from: number; to: number }, size: number): number[] {
  const pages: number[] = [];
  for (let page = Math.floor(range.from / size); page * size < range.to; page += 1) pages.push(page);
  return pages;
}

/** The scrollTop that shows a row: unchanged when it is whole on screen, else the least move; `centre` puts it mid-screen. */
export function scrollToShow(view: Viewport, index: number, centre = false): number {
  const top = index * view.rowHeight;
  const bottom = top + view.rowHeight;
  const most = Math.max(0, view.total * view.rowHeight - view.height);
  const inside = top >= view.scrollTop && bottom <= view.scrollTop + view.height;
  if (inside) return view.scrollTop;
  if (centre) return Math.min(most, Math.max(0, top - (view.height - view.rowHeight) / 2));
  return top < view.scrollTop ? top : Math.max(0, bottom - view.height);
}

/** Where a key moves the current row; null when the key is not ours. -1 means none is current yet. */
export function moveBy(key: string, index: number, total: number, page: number): number | null {
  const last = total - 1;
  if (last < 0) return null;
  switch (key) {
    case 'ArrowDown': return Math.min(last, index + 1);
    case 'ArrowUp': return Math.max(0, index - 1);
    case 'PageDown': return Math.min(last, Math.max(0, index) + page);
    case 'PageUp': return Math.max(0, index - page);
    case 'Home': return 0;
    case 'End': return last;
    default: return null;
  }
}
