/** Scans of the open checkpoints: moments and curves in memory, histograms within a budget that all of them share. */
import type { Moments, TensorScan } from '../../core/stats/contract';
import type { HistogramBudget } from '../../core/stats/histogramBudget';
import { gridCounts } from './numbers';

/** The scans of one checkpoint, by tensor name. */
export class ScanStore {
  private readonly kept = new Map<string, { readonly scan: TensorScan; readonly curve: Float64Array }>();

  constructor(private readonly budget: HistogramBudget) {}

  get size(): number { return this.kept.size; }

  /** @param scan as `scanModel` hands it out, its histogram within the budget */
  put(scan: TensorScan): void {
    const old = this.kept.get(scan.name);
    if (old) this.budget.forget(old.scan);
    this.kept.set(scan.name, { scan, curve: gridCounts(scan.histogram) });
  }

  has(name: string): boolean { return this.kept.has(name); }
  moments(name: string): Moments | null { return this.kept.get(name)?.scan.moments ?? null; }
  curve(name: string): Float64Array | null { return this.kept.get(name)?.curve ?? null; }
  get(name: string): TensorScan | null { return this.kept.get(name)?.scan ?? null; }

  clear(): void {
    for (const { scan } of this.kept.values()) this.budget.forget(scan);
    this.kept.clear();
  }
}
