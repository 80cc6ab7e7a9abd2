import { CheckpointError } from '../errors';
import type { GraphPieces } from '../graph/contract';

/** What lies between two boundaries of the graph. */
export interface Segment {
  /** Values that are fed: what crosses the boundary before it. */
  readonly from: readonly string[];
  /** Values that it makes or hands on: what crosses the boundary behind it; none behind the last. */
  readonly to: readonly string[];
  /** Inputs of each wanted matrix, (rows, in), by its name in the graph. Of several products the rows count together. */
  readonly taps: ReadonlyMap<string, readonly string[]>;
}

/**
 * The graph as segments, embeddings first and head last, up to the last that holds a wanted matrix.
 *
 * @param wanted names of weights in the graph
 * @throws CheckpointError `calibration-impossible` for a matrix that is used on both sides of a boundary
 */
export function segmentsOf({ builder, boundaries, taps }: GraphPieces, wanted: (name: string) => boolean): readonly Segment[] {
  const segments = Array.from({ length: boundaries.length + 1 }, (_, i): Segment => {
    const from = boundaries[i - 1] ?? [], to = boundaries[i] ?? [];
    const inside = builder.reach(i < boundaries.length ? to.filter((value) => !from.includes(value)) : ['losses'], from), found = new Map<string, readonly string[]>();
    for (const [name, all] of taps) {
      if (!wanted(name)) continue;
      const here = all.filter(({ output }) => inside.has(output) && !from.includes(output));
      if (here.length === 0) continue;
      if (here.length < all.length) throw new CheckpointError('calibration-impossible', { tensor: name }, `${name} is used in more than one block`);
      found.set(name, here.map(({ input }) => input));
    }
    return { from, to, taps: found };
  });
  return segments.slice(0, 1 + segments.findLastIndex((segment) => segment.taps.size > 0));
}
