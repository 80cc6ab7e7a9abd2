import { closeSync, openSync, writeSync } from 'node:fs';
import type { IoMode } from '../bytes/byteSource';
import { CheckpointError } from '../errors';
import type { GeneratedFile } from '../formats/contract';
import { isRewritten, type WrittenAs } from '../formats/written';
import { layOutLike } from '../formats/writeSafetensors';
import type { FileLayout } from '../formats/writeSafetensors';
import type { Job } from '../job';
import type { Model } from '../models/contract';
import { sharedCopies } from '../models/sharedCopies';
import { overTensors } from '../stats/overTensors';
import { valueBytes } from '../tensor/tensorInfo';
import type { WorkerPool } from '../workers/contract';
import { maskTensor } from '../workers/maskTensor';
import { tensorSource } from '../workers/slices';
import type { PrunePlan } from './contract';
import { rawSource, rulesOfStored, segmentsOf } from './maskSegments';
import { publish, requireSpace } from './publish';
import type { PublishedFile, Stage } from './publish';
import { writeStructured } from './structured/writeStructured';
import { percentName, resolveTarget } from './target';
import type { Target } from './target';

export interface WriteOptions {
  /** A folder, or a file if it ends in the format's extension; null for a sibling `<name>-<method>-<percent>`. */
  readonly out: string | null;
  readonly force: boolean;
  readonly io: IoMode;
  /** Missing: `own`. */
  readonly as?: WrittenAs;
  /** The small file that tells what was done, made when the weights are written; missing: none. */
  readonly account?: (changed: ReadonlyMap<string, number>, files: readonly PublishedFile[]) => Promise<GeneratedFile>;
}

export interface WrittenCheckpoint {
  /** The folder or file written, absolute. */
  readonly out: string;
  readonly kind: Target['kind'];
  /** Weight files, absolute, in the source's order. */
  readonly files: readonly string[];
  /** Of the weight files. */
  readonly bytes: number;
  /** Newly zeroed weights of each tensor in scope, by its kept name. */
  readonly changed: ReadonlyMap<string, number>;
}

/**
 * Where `writePruned` would write, checked before any long work.
 *
 * @throws CheckpointError as `resolveTarget`, and `disk-full`
 */
export function prunedTarget(model: Model, methodId: string, sparsity: number, options: Pick<WriteOptions, 'out' | 'force' | 'as'>): Target {
  const target = resolveTarget(model.checkpoint, { ...options, suffix: `${methodId}-${percentName(sparsity)}` });
  requireSpace(target, weightBytes(model.checkpoint));
  return target;
}

/** What the written weights take, headers aside where values are decoded. */
export const weightBytes = (checkpoint: Model['checkpoint']): number => (!isRewritten(checkpoint)
  ? checkpoint.files.reduce((sum, file) => sum + file.byteLength, 0) : checkpoint.tensors.reduce((sum, tensor) => sum + valueBytes(tensor), 0));

/**
 * Writes the planned checkpoint: same files, dtypes, header and metadata; tensors without a rule bit for bit. Streams
 * through the workers, beside the target, then renames. The source is only read.
 *
 * @throws CheckpointError as `resolveTarget` and `publish`, and what reading throws
 */
export async function* writePruned(model: Model, plan: PrunePlan, options: WriteOptions, pool: WorkerPool, signal?: AbortSignal): Job<WrittenCheckpoint> {
  const { checkpoint } = model;
  if (plan.structure) return yield* writeStructured(model, plan, plan.structure, options, signal);
  const target = prunedTarget(model, plan.method, plan.request.sparsity, options);
  const leftOut = sharedCopies(model);
  const layouts = checkpoint.files.map((_, file) => layOutLike(checkpoint, file, leftOut));
  const { answer: changed, files, bytes } = yield* publish(checkpoint, target, layouts, (stage) => fill(model, plan, layouts, stage, options.io, pool, signal), signal, { account: options.account });
  return { out: target.path, kind: target.kind, files, bytes, changed };
}

async function* fill(
  model: Model, plan: PrunePlan, layouts: readonly FileLayout[], stage: Stage, io: IoMode, pool: WorkerPool, signal?: AbortSignal,
): Job<ReadonlyMap<string, number>> {
  const rules = rulesOfStored(model, plan);
  const planned = new Map(plan.tensors.map((tensor) => [tensor.name, tensor]));
  const changed = new Map(plan.tensors.map((tensor) => [tensor.name, 0]));
  const segments = layouts.flatMap((layout, file) => segmentsOf(model, file, layout, rules));
  const left = layouts.map((_, file) => segments.filter((segment) => segment.file === file).length);
  layouts.forEach((layout, file) => {
    writeHead(stage.files[file], layout.head);
    if (left[file] === 0) stage.complete(stage.files[file]);
  });

  yield* overTensors('write', segments, ({ from, to }) => to - from, pool.threads + 2, async (segment, onBytes, stop) => {
    const target = { path: stage.files[segment.file], at: segment.at };
    if (segment.kind === 'copy') await pool.run({ kind: 'copy', source: rawSource(model, segment, io), target }, stop, onBytes);
    else {
      const { info, rule } = segment, expected = planned.get(info.name);
      const counts = await maskTensor(pool, tensorSource(model.checkpoint, info, io), rule, target, stop, onBytes);
      // Stored copies of a tied group are counted under the kept name.
      if (expected && counts.zerosAfter !== expected.zerosAfter) {
        throw new CheckpointError('file-changed-while-reading', { file: model.checkpoint.files[segment.file].path, tensor: info.name }, `${expected.zerosAfter} zeros planned, ${counts.zerosAfter} written`);
      }
      if (expected) changed.set(info.name, counts.changed);
    }
    if (--left[segment.file] === 0) stage.complete(stage.files[segment.file]);
  }, signal);
  return changed;
}

/** Header length and header of a file that is there. */
export function writeHead(file: string, head: Uint8Array): void {
  const fd = openSync(file, 'r+');
  try {
    for (let at = 0; at < head.length;) at += writeSync(fd, head, at, head.length - at, at);
  } finally {
    closeSync(fd);
  }
}
