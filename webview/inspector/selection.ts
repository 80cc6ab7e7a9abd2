/** What is selected, in the tree and in the heatmap at once, and its histogram. */
import { CallFailure } from '../bridge';
import type { ViewCall } from '../bridge';
import type { HeatCell } from '../charts/heatmap';
import type { Tree } from '../controls';
import { debounce } from '../dom';
import type { ScanState, Selection } from '../store';
import type { NodeId, Params, Row } from '../../server/protocol/editor';
import type { Panel } from './panel';

/** The node that stands for all prunable weights: shown while nothing is selected. */
export const PRUNABLE: NodeId = 'prunable';
const BARS = 180;

export interface SelectionView {
  path(): string;
  query(): Pick<Params<'locate'>, 'expanded' | 'filter' | 'sort'>;
  scan(): ScanState['state'];
  current(): Selection | null;
  choose(selection: Selection): void;
  expand(group: NodeId): Promise<void>;
  repaint(): void;
  report(error: unknown): void;
}

export interface Selecting {
  row(row: Row): void;
  /** Goes to the tensor behind a heat cell, opening its group. */
  cell(cell: HeatCell): Promise<void>;
  showHistogram(): Promise<void>;
}

export function makeSelection(call: ViewCall, tree: Tree, panel: Panel, view: SelectionView): Selecting {
  const node = (): NodeId => view.current()?.node ?? PRUNABLE;

  const showHistogram = async (): Promise<void> => {
    const id = node();
    const title = id === PRUNABLE ? 'Prunable weights' : id.slice(2).replace('|', ', layer ');
    // Asked before, this would start a scan of its own that nobody could cancel.
    if (view.scan() !== 'done') {
      panel.setHistogram(null, title, view.scan() === 'failed' ? 'not scanned' : 'not scanned yet');
      return;
    }
    try {
      const bars = await call('histogram', { path: view.path(), id, bars: BARS });
      if (node() === id) panel.setHistogram(bars, '', '');
    } catch (error) {
      // A stopped server leaves the last histogram: it comes back with the server.
      if (node() !== id || !(error instanceof CallFailure) || error.code === 'server-stopped') return;
      panel.setHistogram(null, title, error.sentence);
    }
    view.repaint();
  };
  const showSoon = debounce(() => void showHistogram(), 50);

  const choose = (selection: Selection): void => {
    view.choose(selection);
    panel.setSelected(selection.role, selection.layer);
    showSoon();
  };

  return {
    showHistogram,
    row: (row) => choose({ row: row.id, node: row.id, role: row.role, layer: row.layer }),
    cell: async (cell) => {
      choose({ row: view.current()?.row ?? null, node: cell.id, role: cell.role, layer: cell.layer });
      try {
        const place = await call('locate', { path: view.path(), id: cell.id, ...view.query() });
        if (node() !== cell.id) return;
        if (place.group !== null) await view.expand(place.group);
        tree.setSelected(place.id);
        if (place.index !== null) tree.showIndex(place.index);
        choose({ row: place.id, node: cell.tensors > 1 ? cell.id : place.id, role: cell.role, layer: cell.layer });
      } catch (error) { view.report(error); }
    },
  };
}
