import { existsSync, lstatSync, readdirSync, realpathSync, statSync } from 'node:fs';
import path from 'node:path';
import { CheckpointError } from '../errors';
import { formatOf, formats } from '../formats/registry';
import { writtenExtensions, writtenParts, type WrittenAs } from '../formats/written';
import type { Checkpoint } from '../formats/contract';

/** Where a checkpoint is written: resolved, checked against the source, links followed. */
export interface Target {
  readonly kind: 'file' | 'folder';
  /** Absolute. */
  readonly path: string;
  /** Something is there already and is to be replaced. */
  readonly replaces: boolean;
}

export interface TargetOptions {
  /** What is written; by default the source's own format where that can be. */
  readonly as?: WrittenAs;
  /** As the person gave it, absolute or relative to the process; null for the default, a sibling of the source. */
  readonly out: string | null;
  readonly force: boolean;
  /** Appended to the source's name for the default, e.g. `magnitude-50`. */
  readonly suffix: string;
}

/**
 * Decides where to write. A file if `out` ends in the source format's extension (single-file sources only), else a folder.
 *
 * @throws CheckpointError `usage`, `target-is-source`, `target-inside-source`, `target-exists`
 */
export function resolveTarget(source: Checkpoint, options: TargetOptions): Target {
  const given = options.out === null ? defaultTarget(source, options.suffix) : path.resolve(options.out);
  const kind = kindOf(source, given, options.as ?? 'own');
  const real = realTarget(given);
  const sources = [...source.files.map((file) => file.realPath), ...(source.index === null ? [] : [realpathSync(source.index)])];
  const there = lstatSync(given, { throwIfNoEntry: false });
  const followed = statSync(given, { throwIfNoEntry: false });

  for (const file of sources) {
    const stat = statSync(file, { throwIfNoEntry: false });
    // A hard link is the same file under a name that no path comparison finds.
    const linked = stat !== undefined && followed !== undefined && stat.dev === followed.dev && stat.ino === followed.ino && stat.ino !== 0;
    if (linked || isInside(file, real)) throw new CheckpointError('target-is-source', { file: given }, file === real ? '' : `same as ${file}`);
  }
  for (const folder of sourceFolders(source)) {
    if (real === folder) throw new CheckpointError('target-is-source', { file: given }, '');
    if (isInside(real, folder)) throw new CheckpointError('target-inside-source', { file: given }, `the source is ${folder}`);
  }
  if (there !== undefined) {
    if (!options.force) throw new CheckpointError('target-exists', { file: given }, '');
    if (followed !== undefined && followed.isDirectory() !== (kind === 'folder')) {
      throw new CheckpointError('target-exists', { file: given }, `it is a ${followed.isDirectory() ? 'folder' : 'file'}, and a ${kind} would be written`);
    }
    if (kind === 'folder') requireOurs(given);
  }
  // A link to a file is replaced itself; a link to a folder leads to the folder that is replaced.
  return { kind, path: kind === 'folder' && there?.isSymbolicLink() ? real : given, replaces: there !== undefined };
}

/**
 * A folder with folders in it is not an output of ours: replacing it would lose them. (Its files are kept, see publish.)
 *
 * @throws CheckpointError `target-exists`
 */
export function requireOurs(folder: string): void {
  for (const entry of existsSync(folder) ? readdirSync(folder, { withFileTypes: true }) : []) {
    if (entry.isDirectory()) throw new CheckpointError('target-exists', { file: folder }, `it holds the folder ${entry.name}, which Winnow did not write`);
  }
}

/** True when `inner` is `outer` or lies below it. */
function isInside(inner: string, outer: string): boolean {
  const relative = path.relative(outer, inner);
  return relative === '' || (relative !== '..' && !relative.startsWith(`..${path.sep}`) && !path.isAbsolute(relative));
}

function kindOf(source: Checkpoint, given: string, as: WrittenAs): Target['kind'] {
  const extension = path.extname(given).toLowerCase();
  const own = writtenExtensions(source, as);
  if (statSync(given, { throwIfNoEntry: false })?.isDirectory()) return 'folder';
  if (!formats.some((format) => format.extensions.includes(extension))) return 'folder';
  if (!own.includes(extension)) throw new CheckpointError('usage', { file: given }, `--out ${path.basename(given)}: the written file ends in ${own.join(' or ')}`);
  const files = writtenParts(source, as).length;
  if (files > 1) throw new CheckpointError('usage', { file: given }, `--out must be a folder: the checkpoint has ${files} weight files`);
  return 'file';
}

/** Links resolved as far as the path exists. */
function realTarget(given: string): string {
  for (let folder = given, rest: string[] = []; ; rest = [path.basename(folder), ...rest], folder = path.dirname(folder)) {
    try {
      return path.join(realpathSync(folder), ...rest);
    } catch {
      if (path.dirname(folder) === folder) return given;
    }
  }
}

/** The folder `models--org--name` of a Hugging Face cache that holds this path, null elsewhere. */
function hubRepository(file: string): string | null {
  for (let folder = path.dirname(file); path.dirname(folder) !== folder; folder = path.dirname(folder)) {
    if (/^(models|datasets|spaces)--/.test(path.basename(folder))) return folder;
  }
  return null;
}

/** True when the person named the folder, its index or a shard: then everything in it is the source. */
function isFolderSource(source: Checkpoint): boolean {
  return source.files.length > 1 || source.index !== null || statSync(source.path, { throwIfNoEntry: false })?.isDirectory() === true;
}

/** Folders, links resolved, in which nothing is written. */
function sourceFolders(source: Checkpoint): string[] {
  const folders = isFolderSource(source) ? [realpathSync(source.folder)] : [];
  for (const { path: named, realPath } of source.files) {
    const repository = hubRepository(realPath) ?? hubRepository(path.resolve(named));
    if (repository !== null) folders.push(realpathSync(repository));
  }
  return [...new Set(folders)];
}

/**
 * `<name>-<suffix>` beside the source: beside the model folder where there is one (a config.json), else beside the file.
 * A model in the Hugging Face cache has the working folder as its neighbour; the cache is not ours to write in.
 */
function defaultTarget(source: Checkpoint, suffix: string): string {
  const first = path.resolve(source.files[0].path);
  const repository = hubRepository(first);
  if (repository !== null) return path.resolve(`${path.basename(repository).split('--').slice(2).join('--') || source.name}-${suffix}`);
  // A file that brings its own config (GGUF) need not be a model folder's.
  if (isFolderSource(source) || (source.config !== null && !formatOf(source.format).selfContained)) {
    const folder = path.resolve(source.folder);
    return path.join(path.dirname(folder), `${path.basename(folder) || source.name}-${suffix}`);
  }
  return path.join(path.dirname(first), `${path.basename(first, path.extname(first))}-${suffix}`);
}

/** A fraction as it goes into a name: 0.5 -> `50`, 0.995 -> `99.5`. */
export const percentName = (fraction: number): string => String(Number((fraction * 100).toPrecision(12)));
