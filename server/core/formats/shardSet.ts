import { existsSync } from 'node:fs';
import path from 'node:path';
import { CheckpointError, type Problem } from '../errors';
import { valueBytes, type TensorInfo } from '../tensor/tensorInfo';
import type { Checkpoint, CheckpointFile, FileHeader, Format, OpaqueEntry } from './contract';
import { readFileHead, type FileHead } from './fileHead';
import { listNames, shownName } from './names';
import { recognise } from './recognise';
import type { numberedShard} from './shardIndex';
import { MAX_SHARDS, type ShardIndex } from './shardIndex';

/** The part of a checkpoint that comes from weight files and their index. */
export type Weights = Pick<Checkpoint, 'format' | 'files' | 'index' | 'tensors' | 'problems' | 'opaque'>;

/** One weight file with its header. */
export function readWeightFile(format: Format, head: FileHead): CheckpointFile & { readonly header: FileHeader } {
  const header = format.readHeader(head.path);
  const { path: file, realPath, byteLength, mtimeMs } = head;
  return { path: file, realPath, byteLength, mtimeMs, dataFrom: header.dataFrom, metadata: header.metadata, header };
}

/**
 * All shards that the index names, each tensor from the shard the index says. Totals come from the shards.
 *
 * @throws CheckpointError `shard-missing`, `tensor-missing-in-shard`, `unsupported-format`, and what a header can be
 */
export function openIndexed(format: Format, index: ShardIndex): Weights {
  const folder = path.dirname(index.path);
  const missing = index.shards.filter((shard) => !existsSync(path.join(folder, shard)));
  if (missing.length > 0) {
    throw new CheckpointError('shard-missing', { file: index.path, key: shownName(missing[0]) }, `${listNames(missing)} missing; ${index.shards.length - missing.length} of ${index.shards.length} shards are here`);
  }
  const problems: Problem[] = [];
  const files: CheckpointFile[] = [];
  const tensors: TensorInfo[] = [];
  const found = new Set<string>(), opaque: OpaqueEntry[] = [];
  for (const [number, shard] of index.shards.entries()) {
    const { header, ...file } = readShard(format, path.join(folder, shard));
    files.push(file);
    problems.push(...header.problems);
    opaque.push(...(header.opaque ?? []));
    const unnamed: string[] = [], copies: string[] = [];
    for (const tensor of header.tensors) {
      const home = index.weightMap.get(tensor.name);
      if ((home !== undefined && home !== shard) || (home === undefined && found.has(tensor.name))) {
        copies.push(tensor.name);
        continue;
      }
      if (home === undefined) unnamed.push(tensor.name);
      found.add(tensor.name);
      tensors.push({ ...tensor, file: number });
    }
    if (copies.length > 0) problems.push({ code: 'stray-copy', where: { file: file.path, tensor: shownName(copies[0]) }, detail: copiesDetail(copies, index) });
    // Loaders read whole shards, so these count; the index is what is wrong.
    if (unnamed.length > 0) problems.push({ code: 'index-bad-map', where: { file: index.path, key: shard }, detail: `${unnamed.length} tensors of ${shard} are not in it: ${listNames(unnamed)}` });
  }
  for (const [tensor, shard] of index.weightMap) {
    if (!found.has(tensor)) throw new CheckpointError('tensor-missing-in-shard', { file: path.join(folder, shard), tensor: shownName(tensor) }, `the index says it is in ${shard}`);
  }
  return { format: format.id, files, index: index.path, tensors, problems: [...problems, ...wrongTotals(index, tensors)], ...(opaque.length > 0 && { opaque }) };
}

/**
 * A numbered set without an index: every number has to be there.
 *
 * @throws CheckpointError `shard-missing`, `duplicate-tensor`, `too-many-shards`
 */
export function openNumbered(format: Format, folder: string, shard: NonNullable<ReturnType<typeof numberedShard>>): Weights {
  if (shard.count > MAX_SHARDS) throw new CheckpointError('too-many-shards', { file: folder }, `${shard.count} shards, at most ${MAX_SHARDS}`);
  const names = Array.from({ length: shard.count }, (_, i) =>
    `${shard.stem}-${String(i + 1).padStart(shard.digits, '0')}-of-${String(shard.count).padStart(shard.digits, '0')}${shard.extension}`);
  const missing = names.filter((name) => !existsSync(path.join(folder, name)));
  if (missing.length > 0) throw new CheckpointError('shard-missing', { file: folder, key: shownName(missing[0]) }, `${listNames(missing)} missing; ${shard.count - missing.length} of ${shard.count} shards are here`);
  const problems: Problem[] = [], files: CheckpointFile[] = [], tensors: TensorInfo[] = [];
  const found = new Map<string, string>(), opaque: OpaqueEntry[] = [];
  for (const [number, name] of names.entries()) {
    const { header, ...file } = readShard(format, path.join(folder, name));
    files.push(file);
    problems.push(...header.problems);
    opaque.push(...(header.opaque ?? []));
    for (const tensor of header.tensors) {
      const other = found.get(tensor.name);
      if (other !== undefined) throw new CheckpointError('duplicate-tensor', { file: file.path, tensor: shownName(tensor.name) }, `${other} has it too, and no index says which counts`);
      found.set(tensor.name, name);
      tensors.push({ ...tensor, file: number });
    }
  }
  return { format: format.id, files, index: null, tensors, problems, ...(opaque.length > 0 && { opaque }) };
}

function readShard(format: Format, file: string): ReturnType<typeof readWeightFile> {
  const head = readFileHead(file);
  const real = recognise(head);
  if (real !== format) throw new CheckpointError('wrong-content', { file }, `the content is ${real.title}, the set is ${format.title}`);
  return readWeightFile(format, head);
}

function copiesDetail(copies: readonly string[], index: ShardIndex): string {
  const homes = new Set(copies.map((name) => index.weightMap.get(name)));
  const from = homes.size === 1 ? [...homes][0] ?? 'an earlier shard' : 'other shards';
  return copies.length === 1 ? `it counts from ${from}` : `${copies.length} tensors count from ${from}: ${listNames(copies)}`;
}

/** The index's totals are only compared with what is there. */
function wrongTotals(index: ShardIndex, tensors: readonly TensorInfo[]): Problem[] {
  const bytes = tensors.reduce((sum, tensor) => sum + valueBytes(tensor), 0);
  const elements = tensors.reduce((sum, tensor) => sum + tensor.elements, 0);
  const wrong = [
    index.totalSize !== null && index.totalSize !== bytes ? `total_size says ${index.totalSize}, the shards hold ${bytes} bytes` : null,
    index.totalParameters !== null && index.totalParameters > elements ? `total_parameters says ${index.totalParameters}, the shards hold ${elements}` : null,
    index.totalParameters !== null && index.totalParameters * 2 < elements ? `total_parameters says ${index.totalParameters}, the shards hold ${elements}` : null,
  ].filter((text) => text !== null);
  return wrong.length > 0 ? [{ code: 'index-total-wrong', where: { file: index.path, key: 'metadata' }, detail: wrong.join('; ') }] : [];
}
