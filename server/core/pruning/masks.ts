import { closeSync, ftruncateSync, openSync, rmSync, writeSync } from 'node:fs';
import path from 'node:path';
import { makeFolder } from '../bytes/makeFolder';
import type { IoMode } from '../bytes/byteSource';
import { CheckpointError } from '../errors';
import { openCheckpoint } from '../formats/openCheckpoint';
import type { Checkpoint } from '../formats/contract';
import { layOutFile } from '../formats/writeSafetensors';
import type { Job } from '../job';
import type { Model } from '../models/contract';
import { overTensors } from '../stats/overTensors';
import { valueBytes, type TensorInfo } from '../tensor/tensorInfo';
import type { WorkerPool } from '../workers/contract';
import { rowOfBits } from '../workers/maskBits';
import { maskTensor } from '../workers/maskTensor';
import { tensorSource } from '../workers/slices';
import { all, cutRows } from '../workers/tensorTasks';
import type { PrunePlan, TensorRule } from './contract';
import { copiesOf } from './pruneScope';
import { requireSpace } from './publish';
import { publishStaged, stagedPath, syncFile } from './staging';

/** `__metadata__` of a file of masks: how its bytes are read. */
const METADATA = { format: 'pt', winnow_masks: '1', bit_order: 'little', bit: '1 = kept' } as const;
/** `__metadata__` key of a mask's tensor shape, as JSON: the mask's own shape has the last axis in bytes. */
const shapeKey = (name: string): string => `shape:${name}`;

const bitShape = (shape: readonly number[]): number[] => (shape.length === 0 ? [1] : [...shape.slice(0, -1), rowOfBits(shape[shape.length - 1])]);

/**
 * Writes the masks of pruned tensors: one U8 tensor each, true = kept, the first weight of a row in the lowest bit, each row of the
 * last axis begins a byte; the shapes stand in the metadata. A weight is kept unless it is +0.0, bit for bit.
 *
 * @param pruned the checkpoint that was written
 * @throws CheckpointError `target-exists`, `disk-full`, `target-not-writable`, `unsupported-dtype` for weights below one byte
 */
export async function* writeMasks(pruned: Checkpoint, names: readonly string[], out: string, force: boolean, pool: WorkerPool, io: IoMode, signal?: AbortSignal): Job<{ readonly out: string; readonly bytes: number }> {
  const wanted = new Set(names), tensors = pruned.tensors.filter((info) => wanted.has(info.name));
  const shapes = Object.fromEntries(tensors.map(({ name, shape }) => [shapeKey(name), JSON.stringify(shape)]));
  const layout = layOutFile(tensors.map(({ name, shape }) => ({ name, dtype: 'U8', shape: bitShape(shape) })), { ...METADATA, ...shapes }, out);
  requireSpace({ kind: 'file', path: out, replaces: force }, layout.byteLength);
  makeFolder(path.dirname(out));
  const staged = stagedPath(out);
  let done = false;
  try {
    const fd = openSync(staged, 'wx');
    try {
      ftruncateSync(fd, layout.byteLength);
      for (let at = 0; at < layout.head.length;) at += writeSync(fd, layout.head, at, layout.head.length - at, at);
    } finally {
      closeSync(fd);
    }
    yield* overTensors('masks', tensors.filter(({ elements }) => elements > 0), valueBytes, pool.threads + 1, async (info, onBytes, stop) => {
      let { from: at } = layout.places.get(info.name)!;
      await all(cutRows(tensorSource(pruned, info, io), 1).map((source) => {
        const bits = { path: staged, at };
        at += bitsIn(source.shape, info);
        return pool.run({ kind: 'pack', source, bits, kept: null, pairs: false }, stop, onBytes);
      }));
    }, signal);
    await syncFile(staged);
    publishStaged(staged, out, 'file', force);
    done = true;
  } finally {
    if (!done) rmSync(staged, { force: true });
  }
  return { out, bytes: layout.byteLength };
}

/** Bytes of the bits of a slice (rows, width); a slice that could not be cut is the whole tensor. */
const bitsIn = (shape: readonly number[], info: TensorInfo): number => bitShape(shape.length === 0 ? info.shape : shape).reduce((product, size) => product * size, 1);

/**
 * The masks of a file, put on a checkpoint of the same names and shapes, as a plan.
 *
 * @throws CheckpointError `not-masks`, `tensor-missing`, `tensor-shape-differs`, and what opening and reading throws
 */
export async function* planMasks(model: Model, file: string, pool: WorkerPool, io: IoMode, signal?: AbortSignal): Job<PrunePlan> {
  const masks = openMasks(file), byName = new Map(model.checkpoint.tensors.map((info) => [info.name, info]));
  const keptName = new Map([...copiesOf(model)].map(([name, [first]]) => [name, byName.has(first) ? first : name]));
  const rules = new Map<string, TensorRule>(), tensors: PrunePlan['tensors'][number][] = [];
  const work: { info: TensorInfo; rule: TensorRule }[] = [];
  for (const mask of masks.tensors) {
    const info = byName.get(mask.name), shape = shapeOf(masks, mask), place = { file: model.checkpoint.path, tensor: mask.name };
    if (!info) throw new CheckpointError('tensor-missing', place, `the masks of ${path.basename(file)} name it`);
    if (shape.join() !== info.shape.join()) throw new CheckpointError('tensor-shape-differs', place, `[${info.shape.join(', ')}], the mask is of [${shape.join(', ')}]`);
    // Of a tied tensor the masks name every stored copy; one stands for all.
    const name = keptName.get(mask.name) ?? mask.name;
    if (rules.has(name)) continue;
    const rule: TensorRule = { kind: 'bits', bits: { realPath: masks.files[mask.file].realPath, from: mask.from, byteLength: mask.to - mask.from } };
    rules.set(name, rule);
    work.push({ info, rule });
  }
  yield* overTensors('count', work, ({ info }) => valueBytes(info), pool.threads + 1, async ({ info, rule }, onBytes, stop) => {
    const { zerosBefore, zerosAfter } = await maskTensor(pool, tensorSource(model.checkpoint, info, io), rule, null, stop, onBytes);
    tensors.push({ name: keptName.get(info.name) ?? info.name, elements: info.elements, zerosBefore, zerosAfter });
  }, signal);
  const order = [...rules.keys()];
  tensors.sort((a, b) => order.indexOf(a.name) - order.indexOf(b.name));
  const elements = tensors.reduce((sum, tensor) => sum + tensor.elements, 0), zeros = tensors.reduce((sum, tensor) => sum + tensor.zerosAfter, 0);
  return {
    method: 'masks', request: { sparsity: elements > 0 ? zeros / elements : 0, scope: 'tensor', pattern: 'unstructured', include: [], exclude: [], seed: 0 },
    scopeParameters: elements, selected: zeros, threshold: null, rules, tensors, problems: [],
  };
}

/** @throws CheckpointError `not-masks` */
function openMasks(file: string): Checkpoint {
  const masks = openCheckpoint(file);
  const { metadata } = masks.files[0];
  if (metadata?.winnow_masks !== '1' || metadata.bit_order !== METADATA.bit_order) throw new CheckpointError('not-masks', { file }, metadata?.winnow_masks === undefined ? '' : `winnow_masks ${metadata.winnow_masks.slice(0, 20)}, bit order ${String(metadata.bit_order).slice(0, 20)}`);
  return masks;
}

/** The shape of the tensor that a mask is of, which its bytes must fit. @throws CheckpointError `not-masks` */
function shapeOf(masks: Checkpoint, mask: TensorInfo): readonly number[] {
  const place = { file: masks.path, tensor: mask.name };
  let shape: unknown;
  try { shape = JSON.parse(masks.files[mask.file].metadata?.[shapeKey(mask.name)] ?? 'null'); } catch { shape = null; }
  if (!Array.isArray(shape) || !shape.every((size) => Number.isSafeInteger(size) && size >= 0)) throw new CheckpointError('not-masks', place, 'its shape is not in the metadata');
  if (mask.dtype !== 'U8' || bitShape(shape as number[]).join() !== mask.shape.join()) throw new CheckpointError('not-masks', place, `${mask.dtype} [${mask.shape.join(', ')}] holds no bits of [${shape.join(', ')}]`);
  return shape as number[];
}
