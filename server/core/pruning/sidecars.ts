import { readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import type { Checkpoint } from '../formats/contract';

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

/** A small non-weight file of the model folder. */
export interface Sidecar { readonly name: string; readonly path: string; readonly bytes: number }

/** The small files that go along with the weights into a folder. Links are followed: a cache has nothing else. */
export function sidecarsOf(source: Checkpoint): readonly Sidecar[] {
  const found: Sidecar[] = [];
  for (const name of readdirSync(source.folder).sort()) {
    if (!isSidecarName(name)) continue;
    const file = path.join(source.folder, name), stat = statSync(file, { throwIfNoEntry: false });
    if (stat?.isFile() && stat.size <= MAX_SIDECAR_BYTES) found.push({ name, path: file, bytes: stat.size });
  }
  return found;
}
