import { countedAsParameters, countedAsPrunable } from '../models/counting';
import type { Model, Stack } from '../models/contract';
import { layerName } from '../models/contract';
import type { Moments, TensorScan } from './contract';
import { emptyMoments, mergeMoments } from './moments';

/** Moments of a set of tensors and how many of its |w| exceed the threshold (null when none was asked). */
export interface SetStats {
  readonly moments: Moments;
  readonly above: number | null;
}

/** A checkpoint's numbers, rolled up. */
export interface Summary {
  /** The parameters: tied tensors once, no buffers. */
  readonly overall: SetStats;
  /** Every element in the files. */
  readonly stored: SetStats;
  readonly prunable: SetStats;
  /** Parameters of each block, ascending, an encoder's before a decoder's; what lies outside the blocks is in no layer. */
  readonly layers: readonly (SetStats & { readonly layer: number; readonly stack?: Stack; readonly prunable: SetStats })[];
  /** Every stored tensor, in checkpoint order. */
  readonly tensors: readonly (SetStats & { readonly name: string })[];
}

/**
 * Rolls scans up. Tensors that were not scanned are left out everywhere.
 *
 * @param above exact counts by tensor (from `exactAbove`); absent: those of the scans
 */
export function summarise(model: Model, scans: ReadonlyMap<string, TensorScan>, above?: ReadonlyMap<string, number>): Summary {
  const isParameter = countedAsParameters(model), isPrunable = countedAsPrunable(model);
  const overall = new Rollup(), stored = new Rollup(), prunable = new Rollup();
  const layers = new Map<string, { layer: number; stack?: Stack; all: Rollup; prunable: Rollup }>();
  const tensors: (SetStats & { name: string })[] = [];
  model.checkpoint.tensors.forEach((tensor, i) => {
    const scan = scans.get(tensor.name);
    if (!scan) return;
    const one: SetStats = { moments: scan.moments, above: above ? (above.get(tensor.name) ?? null) : scan.above };
    tensors.push({ name: tensor.name, ...one });
    stored.add(one);
    if (!isParameter[i]) return;
    overall.add(one);
    if (isPrunable[i]) prunable.add(one);
    const { layer, stack } = model.roles[i];
    if (layer === null) return;
    const key = layerName(model.roles[i], layer);
    let entry = layers.get(key);
    if (!entry) layers.set(key, (entry = { layer, ...(stack && { stack }), all: new Rollup(), prunable: new Rollup() }));
    entry.all.add(one);
    if (isPrunable[i]) entry.prunable.add(one);
  });
  return {
    overall: overall.stats(), stored: stored.stats(), prunable: prunable.stats(), tensors,
    layers: [...layers.values()].sort((a, b) => Number(a.stack === 'decoder') - Number(b.stack === 'decoder') || a.layer - b.layer)
      .map(({ layer, stack, all, prunable: kept }) => ({ layer, ...(stack && { stack }), ...all.stats(), prunable: kept.stats() })),
  };
}

/** The numbers of any set of scans, e.g. a group of the tree or a cell of the heatmap. */
export function rollUp(scans: Iterable<TensorScan>, above?: ReadonlyMap<string, number>): SetStats {
  const set = new Rollup();
  for (const scan of scans) set.add({ moments: scan.moments, above: above ? (above.get(scan.name) ?? null) : scan.above });
  return set.stats();
}

class Rollup {
  private moments = emptyMoments;
  private above: number | null = 0;

  add(one: SetStats): void {
    this.moments = mergeMoments(this.moments, one.moments);
    this.above = this.above === null || one.above === null ? null : this.above + one.above;
  }

  stats(): SetStats {
    return { moments: this.moments, above: this.above };
  }
}
