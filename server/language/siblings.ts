/** Cheap looks at names, so that nothing is started for a JSON file that has no weights beside it. No recursion, no reading of weights. */
import { readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { folderNames, ownSuffixes, weightSuffixes } from './weightNames';

const endsIn = (name: string, suffixes: readonly string[]): boolean => suffixes.some((suffix) => name.toLowerCase().endsWith(suffix) && name.length > suffix.length);

/** True for names that weights or their index go by. */
export const isWeightName = (name: string): boolean => endsIn(name, weightSuffixes);

/** Weights that make a folder a model: any tool may write a `.bin`, so those count by their full name only. */
const isModelName = (name: string): boolean => endsIn(name, ownSuffixes) || (folderNames as readonly string[]).includes(name.toLowerCase());
/** True for `*.winnow.yaml` and `*.winnow.yml`. */
export const isRecipeName = (name: string): boolean => /\.winnow\.ya?ml$/i.test(name);

/** At most this many names of one folder are looked at. */
export const MAX_NAMES = 20_000;

/** True when `folder` itself holds weights. False for what cannot be read. One readdir, no stat per entry. */
export function hasWeights(folder: string): boolean {
  try {
    const names = readdirSync(folder);
    for (let i = 0; i < names.length && i < MAX_NAMES; i++) if (isModelName(names[i])) return true;
  } catch { /* not there or not readable: no weights to offer anything for */ }
  return false;
}

export type DocumentKind = 'recipe' | 'config' | 'yaml';

/** What a document is to Winnow: a recipe, a model's config with weights beside it, another YAML, or null for not ours. */
export function documentKind(file: string): DocumentKind | null {
  const name = path.basename(file);
  if (isRecipeName(name)) return 'recipe';
  if (name === 'config.json') return hasWeights(path.dirname(file)) ? 'config' : null;
  return /\.ya?ml$/i.test(name) ? 'yaml' : null;
}

/** Whether opening this document is a reason to start the server: a recipe, or a config with weights beside it. Under 5 ms. */
export function startsServer(file: string): boolean {
  const kind = documentKind(file);
  return kind === 'recipe' || kind === 'config';
}

/** What a person pointed at: a weight file, an index, a folder with weights, or a sentence why not. */
export function checkpointAt(target: string): { ok: true; path: string } | { ok: false; sentence: string } {
  let folder: boolean;
  try { folder = statSync(target).isDirectory(); } catch { return { ok: false, sentence: `${target} cannot be read: it is gone, or its permissions do not allow it.` }; }
  if (folder && !hasWeights(target) && !readdirSync(target).slice(0, MAX_NAMES).some(isWeightName)) return { ok: false, sentence: `No checkpoint in ${path.basename(target) || target}: a model folder holds weight files of its own, e.g. *.safetensors, *.gguf, *.bin or *.onnx (folders below it are not searched).` };
  return { ok: true, path: target };
}
