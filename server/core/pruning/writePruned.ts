import type { IoMode } from '../bytes/byteSource';
import { CheckpointError, throwIfCancelled } from '../errors';
import type { Job } from '../job';
import type { Model } from '../models/contract';
import type { WorkerPool } from '../workers/contract';
import { maskTensor } from '../workers/maskTensor';
import type { PrunePlan } from './contract';
import { everyOrFirstError, follow } from './follow';
import { rawSlice, rulesOfStored, segmentsOf } from './maskSegments';
import type { Segment } from './maskSegments';
import { sliceOf } from './planned';
import { publish } from './publish';
import type { Stage } from './publish';
import { percentName, resolveTarget } from './target';
import type { Target } from './target';

export interface WriteOptions {
  /** A folder, or a file if it ends in the format's extension; null for a sibling `<name>-<method>-<percent>`. */
  readonly out: string | null;
  readonly force: boolean;
  readonly io: IoMode;
}

export interface WrittenCheckpoint {
  /** The folder or file written, absolute. */
  readonly out: string;
  readonly kind: Target['kind'];
  /** Weight files, absolute, in the source's order. */
  readonly files: readonly string[];
  /** Weights, index and small files together. */
  readonly bytes: number;
  /** Newly zeroed weights of each tensor in scope, by its kept name. */
  readonly changed: ReadonlyMap<string, number>;
}

/** Where `writePruned` would write, checked; throws what it would throw, before any long work. */
export function prunedTarget(model: Model, methodId: string, sparsity: number, options: Pick<WriteOptions, 'out' | 'force'>): Target {
  return resolveTarget(model.checkpoint, { ...options, suffix: `${methodId}-${percentName(sparsity)}` });
}

/**
 * Writes the planned checkpoint: same files, dtypes, header and metadata; tensors without a rule bit for bit. Streams
 * through the workers, beside the target, then renames. The source is only read.
 *
 * @throws CheckpointError as `resolveTarget` and `publish`, and what reading throws
 */
export async function* writePruned(model: Model, plan: PrunePlan, options: WriteOptions, pool: WorkerPool, signal?: AbortSignal): Job<WrittenCheckpoint> {
  const { checkpoint } = model;
  const target = prunedTarget(model, plan.method, plan.request.sparsity, options);
  const totalSize = checkpoint.tensors.reduce((sum, tensor) => sum + tensor.to - tensor.from, 0);
  const sizes = checkpoint.files.map((file) => file.byteLength);
  const { answer: changed, files, bytes } = yield* publish(checkpoint, target, sizes, totalSize, (stage) => fill(model, plan, stage, options.io, pool, signal), signal);
  return { out: target.path, kind: target.kind, files, bytes, changed };
}

async function* fill(model: Model, plan: PrunePlan, stage: Stage, io: IoMode, pool: WorkerPool, signal?: AbortSignal): Job<ReadonlyMap<string, number>> {
  const rules = rulesOfStored(model, plan);
  const planned = new Map(plan.tensors.map((tensor) => [tensor.name, tensor]));
  const changed = new Map(plan.tensors.map((tensor) => [tensor.name, 0]));
  const total = model.checkpoint.files.reduce((sum, file) => sum + file.byteLength, 0);

  return yield* follow({ stage: 'write', unit: 'bytes', total }, async (add) => {
    for (let file = 0; file < stage.files.length; file++) {
      throwIfCancelled(signal);
      const path = stage.files[file];
      await everyOrFirstError(segmentsOf(model, file, rules), signal, async (segment: Segment, stop) => {
        const { from, to } = segment, target = { path, at: from };
        if (segment.kind === 'copy') {
          await pool.run({ kind: 'copy', source: rawSlice(model, file, from, to, io), target }, stop, add);
          return;
        }
        const { info, rule } = segment;
        const counts = await maskTensor(pool, sliceOf(model, info, io), rule, target, stop, add);
        const expected = planned.get(info.name);
        if (!expected) return; // a stored copy of a tied group: counted under its kept name
        if (counts.zerosAfter !== expected.zerosAfter) {
          throw new CheckpointError('file-changed-while-reading', { file: model.checkpoint.files[file].path, tensor: info.name }, `${expected.zerosAfter} zeros planned, ${counts.zerosAfter} written`);
        }
        changed.set(info.name, counts.changed);
      });
      stage.complete(path);
    }
    return changed;
  });
}
