import { readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { cannotOpen } from '../bytes/openSource';
import { CheckpointError, type Problem } from '../errors';
import type { Checkpoint, CheckpointFile, Format } from './contract';
import { readFileHead } from './fileHead';
import { readModelConfig } from './modelConfig';
import { recognise } from './recognise';
import { formatOf, formats } from './registry';
import { openIndexed, openNumbered, readWeightFile, type Weights } from './shardSet';
import { numberedShard, readShardIndex } from './shardIndex';

/**
 * Opens a checkpoint by its headers: a weight file, a model folder, an `*.index.json`, or any one shard of a set (the set
 * is found). Reads no weights.
 *
 * @param given a path as the person gave it; links are followed for reading but keep their names and siblings
 * @throws CheckpointError
 */
export function openCheckpoint(given: string): Checkpoint {
  const full = path.resolve(given);
  let isFolder: boolean;
  try {
    isFolder = statSync(full).isDirectory();
  } catch (error) {
    throw cannotOpen(error, full);
  }
  const folder = isFolder ? full : path.dirname(full);
  const found = isFolder ? openFolder(full) : isIndexName(full) ? openIndexed(formatOfIndex(full), readShardIndex(full)) : openFile(full);
  const weights = isFolder || found.index !== null ? withStrays(found, folder) : found;
  const { config, problems } = readModelConfig(folder);
  const checkpoint = { path: full, folder, name: nameOf(full, isFolder, weights), ...weights, config, problems: [...weights.problems, ...problems] };
  return formatOf(weights.format).interpret?.(checkpoint) ?? checkpoint;
}

const isIndexName = (file: string): boolean => file.endsWith('.index.json');

function formatOfIndex(file: string): Format {
  const found = formats.find((format) => format.indexSuffix !== null && path.basename(file).endsWith(format.indexSuffix));
  if (!found) throw new CheckpointError('unsupported-format', { file }, 'the index of a format that is not read');
  return found;
}

/** One file, or the set that it is a shard of. */
function openFile(file: string): Weights {
  const name = path.basename(file);
  const numbered = numberedShard(name);
  const remarks: Problem[] = [];
  for (const format of formats) {
    if (format.indexSuffix === null) continue;
    for (const sibling of namesIn(path.dirname(file)).filter((entry) => entry.endsWith(format.indexSuffix as string))) {
      try {
        const index = readShardIndex(path.join(path.dirname(file), sibling));
        if (index.shards.includes(name)) return openIndexed(format, index);
      } catch (error) {
        // A broken index stops a shard, and is only remarked on beside a file that can stand alone.
        if (numbered || !(error instanceof CheckpointError)) throw error;
        remarks.push({ code: error.code, where: error.where, detail: error.detail });
      }
    }
  }
  const head = readFileHead(file);
  const format = recognise(head);
  if (numbered && numbered.count > 1) return openNumbered(format, path.dirname(file), numbered);
  const { header, ...rest } = readWeightFile(format, head);
  return {
    format: format.id, files: [rest, ...(header.files ?? []).map((name) => besides(path.join(path.dirname(file), name)))], index: null,
    tensors: header.tensors.map((tensor) => ({ ...tensor, file: tensor.file ?? 0 })), problems: [...header.problems, ...remarks], ...(header.opaque && { opaque: header.opaque }),
  };
}

/** A file of values without a header of its own. */
function besides(file: string): CheckpointFile {
  const { head: _, ...rest } = readFileHead(file);
  return { ...rest, dataFrom: 0, metadata: null };
}

/** The model of a folder: its best-known name first. No subfolder is looked into. */
function openFolder(folder: string): Weights {
  const names = namesIn(folder);
  const present = new Set(names);
  for (const format of formats) {
    const named = format.folderNames.find((name) => present.has(name));
    if (named !== undefined) return isIndexName(named) ? openIndexed(format, readShardIndex(path.join(folder, named))) : openFile(path.join(folder, named));
    const indexes = names.filter((name) => format.indexSuffix !== null && name.endsWith(format.indexSuffix));
    if (indexes.length > 0) return openIndexed(format, readShardIndex(path.join(folder, indexes[0])));
    // A loose `w.bin` is often the data of the `model.onnx` beside it: a file with the full name of another format goes first.
    if (format.id !== 'safetensors' && formats.some((other) => other !== format && other.folderNames.some((name) => present.has(name)))) continue;
    const files = names.filter((name) => format.extensions.some((extension) => name.toLowerCase().endsWith(extension)) && !format.isSidecar?.(name));
    const sets = new Set(files.map((name) => { const shard = numberedShard(name); return shard ? `${shard.stem}/${shard.count}` : name; }));
    if (sets.size === 1) return openFile(path.join(folder, files[0]));
    if (sets.size > 1) throw new CheckpointError('several-models-in-folder', { file: folder }, files.slice(0, 6).join(', '));
  }
  const foreign = names.filter((name) => /\.(bin|pt|pth|ckpt|gguf|onnx|h5|msgpack|npz)$/i.test(name));
  throw new CheckpointError('no-model-in-folder', { file: folder }, foreign.length > 0 ? `only ${foreign.slice(0, 6).join(', ')}` : 'no weight file');
}

/** How many extra files are named one by one. */
const MAX_STRAYS = 20;

/** Weight files of the folder that do not belong to the model are mentioned, never counted. */
function withStrays(weights: Weights, folder: string): Weights {
  const { extensions, isSidecar } = formatOf(weights.format);
  const used = new Set(weights.files.map((file) => path.relative(folder, file.path)));
  const strays = namesIn(folder).filter((name) => !used.has(name) && extensions.some((extension) => name.toLowerCase().endsWith(extension)) && !isSidecar?.(name));
  const problems: Problem[] = strays.slice(0, MAX_STRAYS).map((name) => ({ code: 'stray-file', where: { file: path.join(folder, name) }, detail: 'not part of the model, not counted' }));
  return { ...weights, problems: [...weights.problems, ...problems] };
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch (error) {
    throw cannotOpen(error, folder);
  }
}

/** File names that say nothing: the folder's name is the model's then. */
const GENERIC = /^(model|pytorch_model|consolidated|diffusion_pytorch_model|adapter_model|weights)$/;

function nameOf(full: string, isFolder: boolean, weights: Weights): string {
  const base = path.basename(full).replace(/\.index\.json$/, '').replace(/\.[^.]+$/, '');
  const stem = base.replace(/-\d+-of-\d+$/, '').replace(/\.safetensors$/, '');
  if (!isFolder && !GENERIC.test(stem)) return weights.files.length > 1 ? stem : base;
  const folder = isFolder ? full : path.dirname(full);
  // A snapshot in a Hugging Face cache is named by a commit; the model's name stands two folders above.
  const cached = /[\\/]models--(?:[^\\/]+?--)?([^\\/]+)[\\/]snapshots[\\/][^\\/]+$/.exec(folder);
  return cached?.[1] ?? (path.basename(folder) || stem || 'model');
}
