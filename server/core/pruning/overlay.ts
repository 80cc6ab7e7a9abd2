import { randomBytes } from 'node:crypto';
import { closeSync, ftruncateSync, openSync, realpathSync, rmSync } from 'node:fs';
import path from 'node:path';
import { makeFolder } from '../bytes/makeFolder';
import type { IoMode } from '../bytes/byteSource';
import { CheckpointError } from '../errors';
import type { WeightReference } from '../graph/contract';
import type { Job } from '../job';
import type { Model } from '../models/contract';
import { overTensors } from '../stats/overTensors';
import type { WorkerPool } from '../workers/contract';
import { maskTensor } from '../workers/maskTensor';
import { tensorSource } from '../workers/slices';
import { rulesOfStored } from './maskSegments';
import type { PlanRules } from './maskSegments';
import { copiesOf } from './pruneScope';
import { requireSpace } from './publish';
import { valueBytes } from '../tensor/tensorInfo';

/** Each tensor starts at a multiple of this: a cache line, and whole elements of every dtype. */
const ALIGNMENT = 64;

/**
 * Writes pruned tensors as raw blobs into one new file of `folder`, for a graph whose other weights stay where they are:
 * the same bytes that `writePruned` would write.
 *
 * @param names kept names of tensors, each with a rule in the plan
 * @returns where each tensor lies, by every stored name of it
 * @throws CheckpointError `disk-full`, `target-not-writable`, `cancelled`, and what reading throws
 */
export async function* writeOverlay(
  model: Model, plan: PlanRules, names: readonly string[], folder: string, pool: WorkerPool, io: IoMode, signal?: AbortSignal,
): Job<ReadonlyMap<string, WeightReference>> {
  if (names.length === 0) return new Map();
  const byName = new Map(model.checkpoint.tensors.map((info) => [info.name, info]));
  const rules = rulesOfStored(model, plan), copies = copiesOf(model);
  let size = 0;
  const blobs = names.map((name) => {
    const info = byName.get(name), rule = rules.get(name);
    if (!info || !rule) throw new CheckpointError('internal', { tensor: name }, 'an overlay needs a stored tensor with a rule');
    const at = size;
    size = Math.ceil((at + valueBytes(info)) / ALIGNMENT) * ALIGNMENT;
    return { name, info, rule, at };
  });

  const file = path.join(folder, `overlay-${randomBytes(6).toString('hex')}.bin`);
  requireSpace({ kind: 'file', path: file, replaces: false }, size);
  let done = false;
  try {
    create(file, size);
    yield* overTensors('overlay', blobs, ({ info }) => valueBytes(info), pool.threads + 2, async ({ info, rule, at }, onBytes, stop) => {
      await maskTensor(pool, tensorSource(model.checkpoint, info, io), rule, { path: file, at }, stop, onBytes);
    }, signal);
    done = true;
  } finally {
    if (!done) rmSync(file, { force: true });
  }
  const realPath = realpathSync(file), references = new Map<string, WeightReference>();
  for (const { name, info, at } of blobs) {
    for (const copy of copies.get(name) ?? [name]) references.set(copy, { realPath, from: at, byteLength: valueBytes(info) });
  }
  return references;
}

function create(file: string, size: number): void {
  try {
    makeFolder(path.dirname(file));
    const fd = openSync(file, 'wx');
    try {
      ftruncateSync(fd, size);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new CheckpointError(code === 'ENOSPC' ? 'disk-full' : 'target-not-writable', { file }, code ?? String(error), { cause: error });
  }
}
