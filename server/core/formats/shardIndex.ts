import path from 'node:path';
import { cannotOpen } from '../bytes/openSource';
import { CheckpointError } from '../errors';
import { readSmallText } from './fileHead';
import { shownName } from './names';
import { isJsonObject, JsonError, parseStrictJson, type JsonValue } from './strictJson';

/** An index has about 100 bytes a tensor: the largest published ones have a few MB. */
export const MAX_INDEX_BYTES = 64 * 2 ** 20;

/** The largest published sets have a few hundred shards. */
export const MAX_SHARDS = 4096;

/** What `*.index.json` says. Nothing in it is believed but which shard a tensor is in. */
export interface ShardIndex {
  readonly path: string;
  /** Tensor name -> name of its shard, relative to the index and inside its folder. */
  readonly weightMap: ReadonlyMap<string, string>;
  /** Shard names in code-unit order, which is the order that numbered shards are in. */
  readonly shards: readonly string[];
  readonly totalSize: number | null;
  readonly totalParameters: number | null;
}

/** `model-00001-of-00003.safetensors` -> its stem, extension and count; null for any other name. */
export function numberedShard(name: string): { readonly stem: string; readonly count: number; readonly digits: number; readonly extension: string } | null {
  const match = /^(.*)-(\d{1,9})-of-(\d{1,9})(\.[^.]+)$/.exec(name);
  return match ? { stem: match[1], count: Number(match[3]), digits: match[3].length, extension: match[4] } : null;
}

/** @throws CheckpointError `index-not-json`, `index-bad-map`, `shard-outside-folder`, `too-many-shards`, `not-found`, `not-readable` */
export function readShardIndex(file: string): ShardIndex {
  const index = parse(file);
  const map = isJsonObject(index) ? index.get('weight_map') : undefined;
  if (!isJsonObject(index) || !isJsonObject(map)) throw new CheckpointError('index-bad-map', { file, key: 'weight_map' }, 'weight_map is missing or not an object');
  const weightMap = new Map<string, string>();
  for (const [tensor, shard] of map) {
    if (typeof shard !== 'string' || shard === '') throw new CheckpointError('index-bad-map', { file, tensor: shownName(tensor), key: 'weight_map' }, 'its shard is not a file name');
    weightMap.set(tensor, shard);
  }
  const shards = [...new Set(weightMap.values())].sort();
  for (const shard of shards) {
    if (!staysInside(shard)) throw new CheckpointError('shard-outside-folder', { file, key: shownName(shard) }, 'nothing outside the folder of the index is opened');
  }
  if (shards.length > MAX_SHARDS) throw new CheckpointError('too-many-shards', { file }, `${shards.length} shards, at most ${MAX_SHARDS}`);
  const metadata = index.get('metadata');
  const total = (key: string): number | null => {
    const value = isJsonObject(metadata) ? metadata.get(key) : null;
    return typeof value === 'number' ? value : null;
  };
  return { path: file, weightMap, shards, totalSize: total('total_size'), totalParameters: total('total_parameters') };
}

/** A plain relative path without `..`, on every system (a colon would be a drive or a stream on Windows). */
function staysInside(shard: string): boolean {
  if (path.posix.isAbsolute(shard) || path.win32.isAbsolute(shard) || /[\0\\:]/.test(shard)) return false;
  return shard.split('/').every((part) => part !== '..' && part !== '');
}

function parse(file: string): JsonValue {
  let text: string | null;
  try {
    text = readSmallText(file, MAX_INDEX_BYTES);
  } catch (error) {
    if (error instanceof TypeError) throw new CheckpointError('index-not-json', { file }, 'not UTF-8');
    throw cannotOpen(error, file);
  }
  if (text === null) throw new CheckpointError('index-not-json', { file }, `longer than ${MAX_INDEX_BYTES} bytes`);
  if (/^version https:\/\/git-lfs\.github\.com\//.test(text)) throw new CheckpointError('git-lfs-pointer', { file }, 'the index itself is a pointer');
  try {
    return parseStrictJson(text);
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    if (error.key !== undefined) throw new CheckpointError('index-bad-map', { file, key: shownName(error.key) }, 'the key appears twice');
    throw new CheckpointError('index-not-json', { file }, `${error.message} at character ${error.at} of ${text.length}`);
  }
}
