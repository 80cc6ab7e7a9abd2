import path from 'node:path';
import type { Checkpoint } from './contract';
import { formatOf } from './registry';
import { safetensors } from './safetensors';

// A format that is only read is written as safetensors, with the names that loaders look for.

const isRewritten = (source: Pick<Checkpoint, 'format'>): boolean => !formatOf(source.format).writable;

/** With the dot, lower case: what a written file may end in. */
export const writtenExtensions = (source: Pick<Checkpoint, 'format'>): readonly string[] => (isRewritten(source) ? safetensors : formatOf(source.format)).extensions;

/** The file name that loaders look for in a model folder. */
export const writtenFolderName = (source: Pick<Checkpoint, 'format'>): string => (isRewritten(source) ? safetensors : formatOf(source.format)).folderNames[0];

/** Names of the weight files when written, in the source's order: `pytorch_model-00001-of-00002.bin` -> `model-00001-of-00002.safetensors`. */
export function writtenFileNames(source: Checkpoint): readonly string[] {
  const names = source.files.map((file) => path.basename(file.path));
  if (!isRewritten(source)) return names;
  return names.map((name) => `${withoutExtension(name).replace(/^pytorch_model(?=$|-)/, 'model')}.safetensors`);
}

/** Name of the index of a written set. */
export function writtenIndexName(source: Checkpoint): string {
  const name = path.basename(source.index ?? '');
  if (!isRewritten(source)) return name;
  return `${withoutExtension(name.replace(/\.index\.json$/, '')).replace(/^pytorch_model(?=$|-)/, 'model')}.safetensors.index.json`;
}

const withoutExtension = (name: string): string => name.replace(/(\.pth)?\.[^.]+$/, '') || 'model';
