import { readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import type { Checkpoint } from '../formats/contract';
import { formatOf } from '../formats/registry';

/** The largest tokenizer.json in use is about 35 MB. What is larger is data, not a model's small file. */
export const MAX_SIDECAR_BYTES = 64 * 2 ** 20;

/** Names of the small files that make a folder a model, so that it loads in transformers and in `eval`. */
const sidecarNames: readonly RegExp[] = [
  /^config\.json$/i, /^[\w-]+_config\.json$/i, /^tokenizer.*/i, /^vocab.*/i, /^merges.*/i, /.*\.model$/i, /.*\.tiktoken$/i,
  /^special_tokens_map\.json$/i, /^added_tokens\.json$/i, /^chat_template.*/i, /^(modeling|configuration|tokenization)_\w+\.py$/i, /^licen[cs]e(\.\w+)?$/i,
];

/** Extensions that hold weights in some format, ours or not: never a sidecar, never kept when an output is replaced. */
const weightExtension = /\.(safetensors|bin|pt|pth|ckpt|gguf|ggml|onnx|onnx_data|h5|msgpack|npz|npy|pkl|ot|tflite|zip|tar|gz|index\.json)$/i;

export const isWeightName = (name: string): boolean => weightExtension.test(name);
export const isSidecarName = (name: string): boolean => !isWeightName(name) && sidecarNames.some((pattern) => pattern.test(name));

/** A small non-weight file of the model folder, or one that is made from the metadata of the weight files (`text`). */
export interface Sidecar { readonly name: string; readonly path: string; readonly bytes: number; readonly text?: string }

/** What says how a text becomes tokens: never mixed from two sources. */
const isTokenizerName = (name: string): boolean => /^(tokenizer|vocab|merges|special_tokens_map|added_tokens|chat_template)|\.(model|tiktoken)$/i.test(name);

/**
 * The small files that go along with the weights into a folder. Links are followed: a cache has nothing else. What the weight
 * files themselves say (GGUF) wins over the folder's.
 */
export function sidecarsOf(source: Checkpoint): readonly Sidecar[] {
  const made = (formatOf(source.format).sidecars?.(source) ?? []).map(({ name, text }): Sidecar => ({ name, path: source.files[0].path, bytes: Buffer.byteLength(text), text }));
  const names = new Set(made.map(({ name }) => name)), hasTokenizer = names.has('tokenizer.json');
  return [...made, ...inFolder(source).filter(({ name }) => !names.has(name) && !(hasTokenizer && isTokenizerName(name)))];
}

function inFolder(source: Checkpoint): readonly Sidecar[] {
  const found: Sidecar[] = [];
  for (const name of readdirSync(source.folder).sort()) {
    if (!isSidecarName(name)) continue;
    const file = path.join(source.folder, name), stat = statSync(file, { throwIfNoEntry: false });
    if (stat?.isFile() && stat.size <= MAX_SIDECAR_BYTES) found.push({ name, path: file, bytes: stat.size });
  }
  return found;
}
