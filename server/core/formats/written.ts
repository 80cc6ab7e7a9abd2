import path from 'node:path';
import type { Checkpoint } from './contract';
import { formatOf } from './registry';
import { safetensors } from './safetensors';

/**
 * What a checkpoint is written as: `own` is its own format where that can be written, else safetensors; `safetensors` is
 * that in any case. Rewritten files get the names that loaders look for.
 */
export type WrittenAs = 'own' | 'safetensors';

export const isRewritten = (source: Pick<Checkpoint, 'format' | 'packing'>, as: WrittenAs = 'own'): boolean => source.packing !== undefined || !formatOf(source.format).writable || (as === 'safetensors' && source.format !== safetensors.id);

/** With the dot, lower case: what a written file may end in. */
export const writtenExtensions = (source: Pick<Checkpoint, 'format' | 'packing'>, as: WrittenAs = 'own'): readonly string[] => (isRewritten(source, as) ? safetensors : formatOf(source.format)).extensions;

/** The file name that loaders look for in a model folder. */
export const writtenFolderName = (source: Pick<Checkpoint, 'format' | 'packing'>, as: WrittenAs = 'own'): string => (isRewritten(source, as) ? safetensors : formatOf(source.format)).folderNames[0];

/** The source files whose tensors go into each written file: one each, or all into one where the parts are no shards. */
export const writtenParts = (source: Checkpoint, as: WrittenAs = 'own'): readonly (readonly number[])[] =>
  (isRewritten(source, as) && formatOf(source.format).inPlace ? [source.files.map((_, number) => number)] : source.files.map((_, number) => [number]));

/**
 * Names of the weight files when written, relative to their folder, one for each of `writtenParts`:
 * `pytorch_model-00001-of-00002.bin` -> `model-00001-of-00002.safetensors`.
 */
export function writtenFileNames(source: Checkpoint, as: WrittenAs = 'own'): readonly string[] {
  // A graph names its data files: they keep their places.
  if (!isRewritten(source, as)) return source.files.map((file) => (formatOf(source.format).inPlace ? path.relative(path.dirname(source.files[0].path), file.path) : path.basename(file.path)));
  return writtenParts(source, as).map(([number]) => `${withoutExtension(path.basename(source.files[number].path)).replace(/^pytorch_model(?=$|-)/, 'model')}.safetensors`);
}

/** Name of the index of a written set. */
export function writtenIndexName(source: Checkpoint, as: WrittenAs = 'own'): string {
  const name = path.basename(source.index ?? '');
  if (!isRewritten(source, as)) return name;
  return `${withoutExtension(name.replace(/\.index\.json$/, '')).replace(/^pytorch_model(?=$|-)/, 'model')}.safetensors.index.json`;
}

const withoutExtension = (name: string): string => name.replace(/(\.pth)?\.[^.]+$/, '') || 'model';
