import { dtypes } from '../tensor/dtype';
import type { Model } from '../models/contract';
import type { PrunePlan } from './contract';
import { namesWithAllTies } from './maskSegments';
import { copiesOf } from './pruneScope';

const view = new DataView(new ArrayBuffer(4));

/** The largest F32 that is at most `x` (x >= 0). */
export function floorF32(x: number): number {
  const near = Math.fround(x);
  return near <= x ? near : belowF32(near);
}

/** The next F32 magnitude below the F32 `x`; -1, which keeps everything, below zero. */
export function belowF32(x: number): number {
  if (x <= 0) return -1;
  view.setFloat32(0, x);
  view.setUint32(0, view.getUint32(0) - 1);
  return view.getFloat32(0);
}

/**
 * The plan as scalars for a graph that masks: `Where(Not(|W| <= t), W, +0)` after the cast to F32.
 *
 * Names before the tie boundary take the threshold itself (all their ties are selected), those after it the next F32
 * magnitude below, and the tensor that holds the boundary comes from an overlay. -1 keeps everything: what is not touched,
 * and what comes from an overlay. Exact for every dtype that F32 holds exactly. Rules by row or group, F64 tensors, and
 * in the tensor scope every tensor with ties, come from overlays too.
 *
 * @returns thresholds of every tensor in scope and of its stored copies; names (kept ones) for the overlay
 */
export function graphThresholds(plan: PrunePlan, model: Model): { thresholds: ReadonlyMap<string, number>; overlay: readonly string[] } {
  const copies = copiesOf(model);
  const dtypeOf = new Map(model.checkpoint.tensors.map((info) => [info.name, info.dtype]));
  const thresholds = new Map<string, number>(), overlay: string[] = [];
  const withAllTies = namesWithAllTies(plan);
  for (const { name } of plan.tensors) {
    const rule = plan.rules.get(name);
    let threshold = -1;
    if (rule !== undefined) {
      const inGraph = rule.kind === 'cut' && dtypes[dtypeOf.get(name)!].bits <= 32 && (rule.ties === 0 || withAllTies.has(name));
      if (!inGraph) overlay.push(name);
      else {
        const floor = floorF32(rule.threshold);
        threshold = rule.ties > 0 || floor !== rule.threshold ? floor : belowF32(floor);
      }
    }
    for (const copy of copies.get(name) ?? [name]) thresholds.set(copy, threshold);
  }
  return { thresholds, overlay };
}
