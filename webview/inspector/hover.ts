/** Tooltips of rows and cells: statistics come from the row, or once from the server for a cell. */
import type { ViewCall } from '../bridge';
import type { HeatCell } from '../charts/heatmap';
import { formatBytes, formatCount, formatPercent, formatValue, plural } from '../format';
import { hideTooltip, showTooltip } from '../tooltip';
import type { HistogramBars, NodeId, Row } from '../../server/protocol/editor';
import type { StatsNumbers } from '../../server/protocol/verbs';

export interface HoverView { path(): string; scanned(): boolean; threshold(): number | null; fraction(id: NodeId): number | null }
export interface Hover {
  row(row: Row | null, element: HTMLElement | null): void;
  cell(cell: HeatCell | null, mark: DOMRect | null): void;
  forget(): void;
}

export function makeHover(call: ViewCall, view: HoverView): Hover {
  const known = new Map<NodeId, HistogramBars>();
  let over: NodeId | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const below = (id: NodeId): [string, string][] => {
    const threshold = view.threshold();
    return threshold === null ? [] : [[`below ${formatValue(threshold)}`, formatPercent(view.fraction(id))]];
  };
  const numbers = (stats: StatsNumbers): [string, string][] => [
    ['std', formatValue(stats.std)], ['max |w|', formatValue(stats.absMax)], ['mean', formatValue(stats.mean)], ['zeros', formatCount(stats.zeros)],
    ...(stats.nan + stats.inf > 0 ? [['NaN, inf', `${formatCount(stats.nan)}, ${formatCount(stats.inf)}`] as [string, string]] : [])];

  const showCell = (cell: HeatCell, mark: DOMRect): void => {
    const bars = known.get(cell.id);
    const twoFour = bars?.extra.twoFourReady ?? null;
    showTooltip({
      title: `layer ${cell.layer} · ${cell.role}`,
      pairs: [...below(cell.id), ['weights', formatCount(cell.parameters)], ...(bars ? numbers(bars.stats) : []), ...(twoFour === null ? [] : [['2:4 ready', formatPercent(twoFour)] as [string, string]])],
      note: cell.tensors > 1 ? plural(cell.tensors, 'tensor') : undefined,
    }, mark);
  };

  return {
    row: (row, element) => {
      clearTimeout(timer);
      over = row?.id ?? null;
      if (!row || !element) { hideTooltip(); return; }
      timer = setTimeout(() => {
        if (over !== row.id || !element.isConnected) return;
        const box = element.getBoundingClientRect();
        showTooltip({
          title: row.kind === 'tensor' ? row.id.slice(2) : row.label,
          pairs: [...below(row.id), ['weights', formatCount(row.parameters)], ['bytes', formatBytes(row.bytes)],
            ...(row.shape ? [['shape', `${row.shape.join(' × ')} ${row.dtype}`] as [string, string]] : []),
            ...(row.role ? [['role', row.role] as [string, string]] : []), ...(row.stats ? numbers(row.stats) : [])],
          note: row.kind === 'group' ? plural(row.children, 'tensor') : row.prunable ? undefined : 'not pruned unless asked',
        }, new DOMRect(box.left + box.width * 0.55, box.top, 0, box.height));
      }, 350);
    },
    cell: (cell, mark) => {
      clearTimeout(timer);
      over = cell?.id ?? null;
      if (!cell || !mark) { hideTooltip(); return; }
      showCell(cell, mark);
      if (known.has(cell.id) || !view.scanned()) return;
      timer = setTimeout(() => {
        call('histogram', { path: view.path(), id: cell.id, bars: 8 }).then((bars) => {
          known.set(cell.id, bars);
          if (over === cell.id) showCell(cell, mark);
        }, () => undefined); // not scanned yet: the tooltip keeps what it has
      }, 60);
    },
    forget: () => known.clear(),
  };
}
