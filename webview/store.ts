/**
 * What the inspector knows, and how it changes. Pure: no DOM, no messages.
 *
 * One threshold drives everything. While a slider moves, every fraction is read from curves (a bound); on release the server's exact
 * answer takes their place, and stays until the threshold moves again.
 */
import { finite } from './format';
import { decodeCurve, fractionAt, thresholdFor } from './grid';
import { GRID_POINTS } from '../server/protocol/editor';
import type { Curve, Cut, Facts, NodeId } from '../server/protocol/editor';

/** The threshold and the target, tied together. `drive` says which of the two the person chose; the other follows. */
export interface CutState {
  drive: 'target' | 'threshold';
  threshold: number | null;
  sparsity: number;
  dragging: boolean;
  /** The exact answer to what is shown; null while only the bound is known. */
  exact: Cut | null;
}

export const firstCut: CutState = { drive: 'target', threshold: null, sparsity: 0.5, dragging: false, exact: null };

/** A new threshold; the sparsity follows from the curve of the prunable set. */
export function chooseThreshold(cut: CutState, threshold: number, prunable: Uint16Array | null, dragging: boolean): CutState {
  return { drive: 'threshold', threshold, sparsity: prunable ? fractionAt(prunable, threshold) : cut.sparsity, dragging, exact: null };
}

/** A new target; the threshold follows. */
export function chooseTarget(cut: CutState, sparsity: number, prunable: Uint16Array | null, dragging: boolean): CutState {
  return { drive: 'target', threshold: prunable ? thresholdFor(prunable, sparsity) : cut.threshold, sparsity, dragging, exact: null };
}

/** The server's answer. In target mode the threshold moves to the exact one; in threshold mode the sparsity does. */
export function answerCut(cut: CutState, exact: Cut): CutState {
  return cut.drive === 'target'
    ? { ...cut, threshold: finite(exact.threshold) ?? cut.threshold, exact }
    : { ...cut, sparsity: exact.sparsity, exact };
}

/** Fractions below the threshold by node: exact where asked, else the bound from the curve, else null (not scanned). */
export class Fractions {
  readonly curves = new Map<NodeId, Uint16Array>();
  readonly exact = new Map<NodeId, number | null>();

  add(curves: readonly Curve[]): void {
    for (const { id, base64 } of curves) {
      const curve = decodeCurve(base64);
      if (curve) this.curves.set(id, curve);
    }
  }

  addExact(nodes: Cut['nodes']): void {
    for (const { id, fraction } of nodes) this.exact.set(id, fraction);
  }

  of(id: NodeId, threshold: number | null): number | null {
    const exact = this.exact.get(id);
    if (exact !== undefined) return exact;
    const curve = this.curves.get(id);
    return curve && threshold !== null ? fractionAt(curve, threshold) : null;
  }

  clear(): void {
    this.curves.clear();
    this.exact.clear();
  }
}

export interface ScanState {
  state: 'waiting' | 'running' | 'done' | 'cancelled' | 'failed';
  done: number;
  total: number;
  bytesPerSecond: number;
  seconds: number;
  cached: boolean;
  message: string;
}
export const noScan: ScanState = { state: 'waiting', done: 0, total: 0, bytesPerSecond: 0, seconds: 0, cached: false, message: '' };

/** Progress never runs backwards and never past the end, whatever arrives late. */
export function scanAdvanced(scan: ScanState, event: { done: number; total: number; bytesPerSecond: number }): ScanState {
  if (scan.state !== 'running') return scan;
  const total = Math.max(0, event.total);
  return { ...scan, total, done: Math.min(total, Math.max(scan.done, event.done)), bytesPerSecond: event.bytesPerSecond };
}

/** `row` is the tree's row; `node` what the histogram shows (a heat cell of several tensors has no row of its own). */
export interface Selection { row: NodeId | null; node: NodeId; role: string | null; layer: number | null }
export type Sort = 'file' | 'parameters' | 'name';

/** What survives a reload of the window. */
export interface Kept {
  version: 1;
  path: string;
  drive: CutState['drive'];
  threshold: number | null;
  sparsity: number;
  selection: Selection | null;
  expanded: NodeId[];
  scrollTop: number;
  filter: string;
  sort: Sort;
}

/** Reads what `getState` gave; anything that does not look like ours is dropped. */
export function readKept(raw: unknown, path: string): Kept {
  const blank: Kept = { version: 1, path, drive: 'target', threshold: null, sparsity: 0.5, selection: null, expanded: [], scrollTop: 0, filter: '', sort: 'file' };
  if (typeof raw !== 'object' || raw === null) return blank;
  const kept = raw as Partial<Kept>;
  if (kept.version !== 1 || kept.path !== path) return blank;
  return {
    ...blank,
    drive: kept.drive === 'threshold' ? 'threshold' : 'target',
    threshold: finite(kept.threshold),
    sparsity: Math.min(1, Math.max(0, finite(kept.sparsity) ?? 0.5)),
    selection: kept.selection && typeof kept.selection.node === 'string' ? kept.selection : null,
    expanded: Array.isArray(kept.expanded) ? kept.expanded.filter((id) => typeof id === 'string') : [],
    scrollTop: Math.max(0, finite(kept.scrollTop) ?? 0),
    filter: typeof kept.filter === 'string' ? kept.filter : '',
    sort: kept.sort === 'parameters' || kept.sort === 'name' ? kept.sort : 'file',
  };
}

export const cellId = (role: string, layer: number): NodeId => `c:${role}|${layer}`;
export const heatIds = (facts: Facts): NodeId[] => facts.heat.cells.map((cell) => cellId(cell.role, cell.layer));

/** Splits ids into requests of at most `size`, without repeats. */
export function batches(ids: Iterable<NodeId>, size: number): NodeId[][] {
  const unique = [...new Set(ids)];
  return Array.from({ length: Math.ceil(unique.length / size) }, (_, i) => unique.slice(i * size, (i + 1) * size));
}

/**
 * The curve of the cells known so far, weighted by their weights: stands in for the prunable set's while the first scan runs, so that
 * rows can fill in. Null while less than a fiftieth is known.
 */
export function provisionalCurve(facts: Facts, curves: ReadonlyMap<NodeId, Uint16Array>): Uint16Array | null {
  const sum = new Float64Array(GRID_POINTS);
  let known = 0;
  for (const cell of facts.heat.cells) {
    const curve = curves.get(cellId(cell.role, cell.layer));
    if (!curve) continue;
    known += cell.parameters;
    for (let i = 0; i < GRID_POINTS; i += 1) sum[i] += curve[i] * cell.parameters;
  }
  return known === 0 || known < facts.prunableParameters / 50 ? null : Uint16Array.from(sum, (value) => Math.round(value / known));
}

/** Mean of a role's cells, weighted by their weights: what stands at the end of its row in the heatmap. */
export function roleMeans(facts: Facts, fraction: (id: NodeId) => number | null): Map<string, number | null> {
  const sums = new Map<string, { below: number; parameters: number }>();
  for (const cell of facts.heat.cells) {
    const at = fraction(cellId(cell.role, cell.layer));
    if (at === null) continue;
    const sum = sums.get(cell.role) ?? { below: 0, parameters: 0 };
    sums.set(cell.role, { below: sum.below + at * cell.parameters, parameters: sum.parameters + cell.parameters });
  }
  return new Map(facts.heat.roles.map((role) => {
    const sum = sums.get(role);
    return [role, sum && sum.parameters > 0 ? sum.below / sum.parameters : null];
  }));
}

/** "attention.query" as drawn in a narrow margin: "attn.query". */
export const shortRole = (role: string): string => role.replace(/^attention\b/, 'attn').replace(/^cross-?attention\b/i, 'xattn');
