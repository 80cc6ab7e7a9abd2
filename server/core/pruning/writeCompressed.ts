import { closeSync, openSync, statSync, writeSync } from 'node:fs';
import type { IoMode } from '../bytes/byteSource';
import { readWholeText } from '../bytes/readWhole';
import { CheckpointError } from '../errors';
import type { Problem } from '../errors';
import { configWithSparsity } from '../formats/compressed/config';
import { bytesOfPieces, pieceOf, piecesOf, unpackable, type Packing } from '../formats/compressed/pieces';
import type { Checkpoint } from '../formats/contract';
import { MAX_CONFIG_BYTES } from '../formats/modelConfig';
import { writtenParts } from '../formats/written';
import { aligned, layOutFile, type FileLayout, type TargetTensor } from '../formats/writeSafetensors';
import type { WeightReference } from '../graph/contract';
import type { Job } from '../job';
import type { Model } from '../models/contract';
import { countedAsParameters } from '../models/counting';
import { overTensors } from '../stats/overTensors';
import { dtypes } from '../tensor/dtype';
import { valueBytes, type TensorInfo } from '../tensor/tensorInfo';
import type { SliceSource, WorkerPool } from '../workers/contract';
import { rowOfBits } from '../workers/maskBits';
import { tensorSource } from '../workers/slices';
import { all, cutRows } from '../workers/tensorTasks';
import type { PrunePlan } from './contract';
import { storedInScope } from './maskSegments';
import { copiesOf } from './pruneScope';
import { writeOverlay } from './overlay';
import { publish } from './publish';
import type { Stage } from './publish';
import type { Sidecar } from './sidecars';
import { prunedTarget, writeHead, type WriteOptions, type WrittenCheckpoint } from './writePruned';

export interface WrittenCompressed extends WrittenCheckpoint { readonly problems: readonly Problem[] }

/** One weight on its way: its dense bytes, cut, and how many values of each row are kept. */
interface Packed { readonly info: TensorInfo; readonly slices: readonly SliceSource[]; readonly rows: readonly Float64Array[]; readonly kept: number }

const sum = (values: Iterable<number>): number => { let total = 0; for (const value of values) total += value; return total; };

/**
 * Writes the planned checkpoint with its pruned weights as bits and kept values, the layouts of compressed-tensors; everything else
 * dense, bit for bit. The pruned weights go through a dense file in `scratch` first: how many are kept decides where all else lies.
 * A weight that the layout cannot hold, or that would be larger in it, stays dense and is said.
 *
 * @throws CheckpointError `not-two-four` where 2:4 is asked and a weight has more than two values in four of its last axis; as
 *   `resolveTarget`, `publish` and `writeOverlay`, and what reading throws
 */
export async function* writeCompressed(
  model: Model, plan: PrunePlan, packing: Packing, options: WriteOptions & { readonly scratch: { readonly path: string } }, pool: WorkerPool, signal?: AbortSignal,
): Job<WrittenCompressed> {
  const { checkpoint } = model;
  const target = prunedTarget(model, plan.method, plan.request.sparsity, options);
  const pruned = yield* writeOverlay(model, plan, [...plan.rules.keys()], options.scratch.path, pool, options.io, signal);
  const source = (info: TensorInfo): SliceSource => { const at = pruned.get(info.name); return at ? overlaid(info, at, options.io) : tensorSource(checkpoint, info, options.io); };
  const { packed, problems } = yield* packable(model, plan, packing, source, pool, signal);
  const parts = writtenParts(checkpoint, 'safetensors');
  const layouts = parts.map((part) => {
    const file = checkpoint.files[part[0]];
    const tensors = inFiles(checkpoint, part).flatMap((info): TargetTensor[] => { const one = packed.get(info.name); return one ? piecesOf(info, one.kept, packing) : [info]; });
    return layOutFile(aligned(tensors), { format: 'pt', ...file.metadata }, file.path);
  });
  const zeros = sum(plan.tensors.map(({ zerosAfter }) => zerosAfter)), counted = countedAsParameters(model);
  const parameters = sum(checkpoint.tensors.map(({ elements }, i) => (counted[i] ? elements : 0)));
  const edit = (sidecar: Sidecar): Sidecar => withSparsity(sidecar, packing, [...packed.keys()], parameters > 0 ? zeros / parameters : 0);
  const changed = new Map(plan.tensors.map((tensor) => [tensor.name, tensor.zerosAfter - tensor.zerosBefore]));
  const { files, bytes } = yield* publish(checkpoint, target, layouts, (stage) => fill(checkpoint, parts, layouts, packed, packing, source, stage, pool, signal), signal, {
    as: 'safetensors', edit, account: options.account && (async (_, written) => options.account!(changed, written)),
  });
  const loaders: Problem = { code: 'packed-layout', where: { file: target.path }, detail: packing };
  return { out: target.path, kind: target.kind, files, bytes, changed, problems: packed.size > 0 ? [...problems, loaders] : problems };
}

/**
 * Bytes that `writeCompressed` writes, and those of its temporary dense file: exact but for weights of -0.0, which are kept, and headers.
 */
export function compressedSize(model: Model, plan: PrunePlan, packing: Packing): { readonly bytes: number; readonly scratch: number } {
  const zeros = new Map(plan.tensors.map(({ name, zerosAfter }) => [name, zerosAfter])), copies = copiesOf(model), scope = new Set(storedInScope(model, plan));
  const zerosOf = (name: string): number => zeros.get(name) ?? zeros.get(copies.get(name)?.find((copy) => zeros.has(copy)) ?? '') ?? 0;
  const sizes = model.checkpoint.tensors.map((info) => {
    const dense = valueBytes(info);
    return scope.has(info.name) && unpackable(info, packing) === null ? Math.min(dense, bytesOfPieces(piecesOf(info, info.elements - zerosOf(info.name), packing))) : dense;
  });
  return { bytes: sum(sizes), scratch: sum(model.checkpoint.tensors.map((info) => (plan.rules.has(info.name) ? valueBytes(info) : 0))) };
}

const inFiles = (checkpoint: Checkpoint, files: readonly number[]): TensorInfo[] => checkpoint.tensors.filter((info) => files.includes(info.file));

/** A pruned tensor in a file of our own. */
function overlaid({ dtype, shape }: TensorInfo, { realPath, from, byteLength }: WeightReference, io: IoMode): SliceSource {
  const { size, mtimeMs } = statSync(realPath);
  return { file: { path: realPath, realPath, byteLength: size, mtimeMs }, io, dtype, shape, from, to: from + byteLength };
}

/** Which weights in scope are packed, with their counts. */
async function* packable(
  model: Model, plan: PrunePlan, packing: Packing, source: (info: TensorInfo) => SliceSource, pool: WorkerPool, signal?: AbortSignal,
): Job<{ readonly packed: ReadonlyMap<string, Packed>; readonly problems: readonly Problem[] }> {
  const { checkpoint } = model, scope = new Set(storedInScope(model, plan)), problems: Problem[] = [], packed = new Map<string, Packed>();
  const dense = (info: TensorInfo, detail: string): void => void problems.push({ code: 'stored-dense', where: { file: checkpoint.files[info.file].path, tensor: info.name }, detail });
  const candidates = checkpoint.tensors.filter((info) => {
    const reason = scope.has(info.name) && info.elements > 0 ? unpackable(info, packing) : null;
    if (reason !== null) dense(info, reason);
    return scope.has(info.name) && info.elements > 0 && reason === null;
  });
  const pairs = packing === 'sparse-24-bitmask';
  yield* overTensors('count', candidates, valueBytes, pool.threads + 1, async (info, onBytes, stop) => {
    const slices = cutRows(source(info), 1);
    const answers = await all(slices.map((slice) => pool.run({ kind: 'pack', source: slice, bits: null, kept: null, pairs }, stop, onBytes)));
    const crowded = sum(answers.map((answer) => answer.crowded)), kept = sum(answers.flatMap(({ rows }) => [...rows]));
    if (pairs && crowded > 0) throw new CheckpointError('not-two-four', { file: checkpoint.path, tensor: info.name }, `${crowded} of ${info.elements / 4} groups of four along its last axis hold more than two values`);
    packed.set(info.name, { info, slices, rows: answers.map(({ rows }) => rows), kept });
  }, signal);
  for (const [name, { info, kept }] of packed) {
    const size = bytesOfPieces(piecesOf(info, kept, packing));
    if (size < valueBytes(info)) continue;
    dense(info, `${size} bytes packed, ${valueBytes(info)} dense`);
    packed.delete(name);
  }
  // In the files' order, however the counting ended.
  return { packed: new Map(candidates.flatMap(({ name }) => (packed.has(name) ? [[name, packed.get(name)!] as const] : []))), problems };
}

/** Copies are cut into pieces, so that all workers share a large one. */
const COPY_BYTES = 64 * 2 ** 20;

async function* fill(
  checkpoint: Checkpoint, parts: readonly (readonly number[])[], layouts: readonly FileLayout[], packed: ReadonlyMap<string, Packed>, packing: Packing,
  source: (info: TensorInfo) => SliceSource, stage: Stage, pool: WorkerPool, signal?: AbortSignal,
): Job<void> {
  type Work = { readonly file: string; readonly bytes: number; run(onBytes: (bytes: number) => void, stop: AbortSignal): Promise<unknown> };
  const work: Work[] = [], left = new Map<string, number>();
  layouts.forEach((layout, number) => {
    const file = stage.files[number];
    writeHead(file, layout.head);
    for (const info of inFiles(checkpoint, parts[number])) {
      const one = packed.get(info.name), place = (name: string): number => layout.places.get(name)!.from;
      if (one) work.push(...packWork(one, packing, file, place, pool));
      else {
        const all = source(info);
        for (let from = all.from; from < all.to; from += COPY_BYTES) {
          const to = Math.min(all.to, from + COPY_BYTES), slice: SliceSource = { ...all, dtype: 'U8', shape: [to - from], from, to };
          const target = { path: file, at: place(info.name) + from - all.from };
          work.push({ file, bytes: to - from, run: (onBytes, stop) => pool.run({ kind: 'copy', source: slice, target }, stop, onBytes) });
        }
      }
    }
  });
  for (const file of stage.files) left.set(file, work.filter((one) => one.file === file).length);
  for (const [file, count] of left) if (count === 0) stage.complete(file);
  yield* overTensors('write', work, ({ bytes }) => bytes, pool.threads + 2, async ({ file, run }, onBytes, stop) => {
    await run(onBytes, stop);
    left.set(file, left.get(file)! - 1);
    if (left.get(file) === 0) stage.complete(file);
  }, signal);
}

/** Shape and row offsets at once; bits and kept values slice by slice. */
function packWork({ info, slices, rows }: Packed, packing: Packing, file: string, place: (name: string) => number, pool: WorkerPool): { file: string; bytes: number; run(onBytes: (bytes: number) => void, stop: AbortSignal): Promise<unknown> }[] {
  const pairs = packing === 'sparse-24-bitmask', [, columns] = info.shape, itemBytes = dtypes[info.dtype].bits / 8;
  writeAt(file, place(pieceOf(info.name, 'shape')), new BigInt64Array(info.shape.map(BigInt)));
  const offsets: bigint[] = [];
  let row = 0, value = 0;
  const work = slices.map((slice, i) => {
    const bits = { path: file, at: place(pieceOf(info.name, 'bitmask')) + row * rowOfBits(columns) }, kept = { path: file, at: place(pieceOf(info.name, 'compressed')) + value * itemBytes };
    for (const count of rows[i]) { offsets.push(BigInt(value)); value += count; }
    row += rows[i].length;
    return { file, bytes: slice.to - slice.from, run: (onBytes: (bytes: number) => void, stop: AbortSignal) => pool.run({ kind: 'pack', source: slice, bits, kept, pairs }, stop, onBytes) };
  });
  if (!pairs) writeAt(file, place(pieceOf(info.name, 'row_offsets')), BigInt64Array.from(offsets));
  return work;
}

function writeAt(file: string, at: number, values: BigInt64Array): void {
  const bytes = new Uint8Array(values.buffer), fd = openSync(file, 'r+');
  try {
    for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done, bytes.length - done, at + done);
  } finally {
    closeSync(fd);
  }
}

/** config.json tells loaders of the packing; one that cannot be read is copied as it is. */
function withSparsity(sidecar: Sidecar, packing: Packing, weights: readonly string[], sparsity: number): Sidecar {
  if (sidecar.name !== 'config.json') return sidecar;
  try {
    const text = configWithSparsity(sidecar.text ?? readWholeText(sidecar.path, MAX_CONFIG_BYTES), packing, weights, sparsity);
    return { ...sidecar, text, bytes: Buffer.byteLength(text) };
  } catch {
    return sidecar;
  }
}
