import { closeSync, copyFileSync, existsSync, ftruncateSync, linkSync, mkdirSync, openSync, readdirSync, rmdirSync, rmSync, statfsSync, statSync, writeFileSync, constants } from 'node:fs';
import path from 'node:path';
import { makeFolder } from '../bytes/makeFolder';
import { readWhole, readWholeText } from '../bytes/readWhole';
import { CheckpointError, throwIfCancelled } from '../errors';
import type { Checkpoint, GeneratedFile } from '../formats/contract';
import { isRewritten, writtenExtensions, writtenFileNames, writtenFolderName, writtenIndexName, type WrittenAs } from '../formats/written';
import { MAX_INDEX_BYTES } from '../formats/shardIndex';
import { encodeShardIndex } from '../formats/writeSafetensors';
import type { FileLayout } from '../formats/writeSafetensors';
import type { Job } from '../job';
import { MANIFEST_NAME, manifestBeside } from './manifest';
import { isSidecarName, MAX_SIDECAR_BYTES, isWeightName, sidecarsOf } from './sidecars';
import type { Sidecar } from './sidecars';
import { removeTemporaries } from '../temporaries';
import { publishStaged, removeLeftovers, stagedPath, syncFile, syncFolder } from './staging';
import { requireOurs } from './target';
import type { Target } from './target';

/** What a writer gets: its weight files exist already, at full size, under temporary names. */
export interface Stage {
  /** One a file of the source, same order. */
  readonly files: readonly string[];
  /** To be called when a file is complete: its way to the disk starts while the next one is written. */
  complete(file: string): void;
}

/** A weight file that was written: its final name within the target, and its size. */
export interface PublishedFile { readonly name: string; readonly bytes: number }

export interface PublishOptions<Answer> {
  /** Missing: `own`. */
  readonly as?: WrittenAs;
  /** Changes a small file on its way, by giving it a `text`. */
  readonly edit?: (sidecar: Sidecar) => Sidecar;
  /** A small file that tells of the written ones: into the folder, or beside the single file, where it replaces an older one. */
  readonly account?: (answer: Answer, files: readonly PublishedFile[]) => Promise<GeneratedFile>;
}

export interface Published<Answer> {
  readonly answer: Answer;
  /** The weight files under their final names. */
  readonly files: readonly string[];
  /** Of the weight files. */
  readonly bytes: number;
}

/**
 * Writes a checkpoint beside its target and renames it: whoever looks sees the old or the new, never a part. Failure,
 * cancel and kill leave the source and an old target as they were (after a kill, the next run removes the leftovers).
 *
 * @param layouts of the weight files, one for each of `writtenParts`
 * @throws CheckpointError `disk-full`, `target-not-writable`, `target-exists`, `file-changed-while-reading`, `cancelled`,
 *   and what `write` throws
 */
export async function* publish<Answer>(
  source: Checkpoint, target: Target, layouts: readonly FileLayout[], write: (stage: Stage) => Job<Answer>, signal?: AbortSignal, options: PublishOptions<Answer> = {},
): Job<Published<Answer>> {
  const { as = 'own', edit = (sidecar) => sidecar, account } = options;
  throwIfCancelled(signal);
  checkSources(source);
  const names = weightNames(source, target, as);
  const sidecars = target.kind === 'folder' ? sidecarsOf(source).map(edit) : [];
  const weightBytes = layouts.reduce((sum, layout) => sum + layout.byteLength, 0);
  const bytes = weightBytes + sidecars.reduce((sum, { bytes: size }) => sum + size, 0);
  const parent = path.dirname(target.path);
  removeLeftovers(parent);
  removeTemporaries(parent);
  requireSpace(target, bytes);

  const staged = stagedPath(target.path);
  const made = guarded(target, () => makeFolder(parent));
  const syncing: Promise<void>[] = [];
  let done = false;
  try {
    const files = names.map((name) => (target.kind === 'file' ? staged : path.join(staged, name)));
    guarded(target, () => {
      if (target.kind === 'folder') mkdirSync(staged);
      files.forEach((file, i) => {
        if (target.kind === 'folder') makeFolder(path.dirname(file));
        createSized(file, layouts[i].byteLength);
      });
    });
    const answer = yield* write({
      files,
      complete: (file) => {
        const synced = syncFile(file);
        synced.catch(() => {}); // reported below, when it is waited for
        syncing.push(synced);
      },
    });
    yield { stage: 'sync', done: 0, total: null, unit: 'bytes' };
    const told = account ? await account(answer, names.map((name, i) => ({ name, bytes: layouts[i].byteLength }))) : null;
    await Promise.all(syncing);
    if (told && target.kind === 'folder') guarded(target, () => writeFileSync(path.join(staged, told.name), told.text, { flag: 'wx' }));
    if (target.kind === 'folder') guarded(target, () => fillFolder(source, sidecars, target, staged, names, layouts, as));
    for (const { name, isFile } of target.kind === 'folder' ? entriesOf(staged) : []) if (isFile && !names.includes(name)) await syncFile(path.join(staged, name));
    if (target.kind === 'folder') syncFolder(staged);
    throwIfCancelled(signal);
    checkSources(source);
    guarded(target, () => publishStaged(staged, target.path, target.kind, target.replaces));
    done = true;
    if (target.kind === 'file') guarded(target, () => placeBeside(target, told));
    return { answer, files: names.map((name) => (target.kind === 'file' ? target.path : path.join(target.path, name))), bytes: weightBytes };
  } catch (error) {
    throw asTargetError(error, target);
  } finally {
    if (!done) {
      await Promise.allSettled(syncing);
      rmSync(staged, { recursive: true, force: true });
      if (made !== undefined) removeEmpty(parent, made);
    }
  }
}

/** The account of a single file beside it, in one step; that of an older file of the name goes in any case. */
function placeBeside(target: Target, told: GeneratedFile | null): void {
  if (told === null) { rmSync(manifestBeside(target.path), { force: true }); return; }
  const beside = path.join(path.dirname(target.path), told.name), staged = stagedPath(beside);
  writeFileSync(staged, told.text, { flag: 'wx' });
  publishStaged(staged, beside, 'file', true);
}

/** File names of the weights. One file that goes into a model folder gets the name that loaders look for. */
function weightNames(source: Checkpoint, target: Target, as: WrittenAs): string[] {
  if (target.kind === 'file') return [path.basename(target.path)];
  const names = writtenFileNames(source, as), folderName = writtenFolderName(source, as);
  const loadable = names.length > 1 || names[0] === folderName || (source.config === null && writtenExtensions(source, as).includes(path.extname(names[0]).toLowerCase()));
  return loadable ? [...names] : [folderName];
}

/** Small files, then what a person had put into the folder that is replaced, then the index. */
function fillFolder(source: Checkpoint, sidecars: readonly Sidecar[], target: Target, staged: string, names: readonly string[], layouts: readonly FileLayout[], as: WrittenAs): void {
  for (const sidecar of sidecars) {
    const copy = path.join(staged, sidecar.name);
    writeFileSync(copy, sidecar.text ?? readWhole(sidecar.path, MAX_SIDECAR_BYTES), { flag: 'wx' });
  }
  if (target.replaces && existsSync(target.path)) keepForeign(target.path, staged);
  if (source.index === null) {
    // Parts of a split GGUF and numbered .bin files name themselves; safetensors shards are found by an index.
    if (names.length > 1 && isRewritten(source, as)) writeFileSync(path.join(staged, 'model.safetensors.index.json'), encodeShardIndex(names.map((name, i) => ({ name, layout: layouts[i] }))), { flag: 'wx' });
    return;
  }
  writeFileSync(path.join(staged, writtenIndexName(source, as)), indexText(source, names, layouts), { flag: 'wx' });
}

/** Names of a folder, and which are files. */
const entriesOf = (folder: string): { name: string; isFile: boolean }[] => readdirSync(folder, { withFileTypes: true }).map((entry) => ({ name: entry.name, isFile: entry.isFile() }));

/** The source's index with counted totals; other keys of its metadata stay. */
function indexText(source: Checkpoint, names: readonly string[], layouts: readonly FileLayout[]): string {
  const old = JSON.parse(readWholeText(source.index!, MAX_INDEX_BYTES)) as { metadata?: unknown };
  const metadata = typeof old.metadata === 'object' && old.metadata !== null && !Array.isArray(old.metadata) ? old.metadata : {};
  const totalSize = layouts.reduce((sum, layout) => sum + layout.byteLength - layout.dataFrom, 0);
  // A copy that is a name only is left out of the files.
  const weightMap = Object.fromEntries(layouts.flatMap(({ places }, file) => [...places.keys()].map((tensor) => [tensor, names[file]])));
  // transformers writes this one beside it; a wrong one is not carried on.
  const counted = 'total_parameters' in metadata ? { total_parameters: source.tensors.reduce((sum, tensor) => sum + (weightMap[tensor.name] === undefined ? 0 : tensor.elements), 0) } : {};
  return `${JSON.stringify({ metadata: { ...metadata, ...counted, total_size: totalSize }, weight_map: weightMap }, null, 2)}\n`;
}

/**
 * Files in a replaced folder that are neither weights nor a model's small files are a person's own: they stay, under both
 * names until the old folder goes. @throws CheckpointError `target-exists` for subfolders, which no link can keep
 */
function keepForeign(old: string, staged: string): void {
  requireOurs(old);
  for (const entry of readdirSync(old, { withFileTypes: true })) {
    if (isWeightName(entry.name) || isSidecarName(entry.name) || entry.name === MANIFEST_NAME || existsSync(path.join(staged, entry.name))) continue;
    try {
      linkSync(path.join(old, entry.name), path.join(staged, entry.name));
    } catch {
      copyFileSync(path.join(old, entry.name), path.join(staged, entry.name), constants.COPYFILE_EXCL);
    }
  }
}

/** The source is what its headers said: same size and time. */
function checkSources(source: Checkpoint): void {
  for (const file of source.files) {
    const now = statSync(file.realPath, { throwIfNoEntry: false });
    if (now === undefined) throw new CheckpointError('file-changed-while-reading', { file: file.path }, 'it is gone');
    if (now.size !== file.byteLength || now.mtimeMs !== file.mtimeMs) {
      throw new CheckpointError('file-changed-while-reading', { file: file.path }, `${file.byteLength} bytes when opened, ${now.size} now`);
    }
  }
}

/** Free bytes where a target would lie, and the folder that was asked. */
export function freeSpaceAt(target: string): { readonly free: number; readonly folder: string } {
  let folder = path.dirname(target);
  while (!existsSync(folder) && path.dirname(folder) !== folder) folder = path.dirname(folder);
  const { bavail, bsize } = statfsSync(folder);
  return { free: bavail * bsize, folder };
}

/** Checks the free space where the target goes. @throws CheckpointError `disk-full` with the numbers, before a byte is written */
export function requireSpace(target: Target, bytes: number): void {
  const { free, folder } = freeSpaceAt(target.path);
  if (free < bytes) throw new CheckpointError('disk-full', { file: target.path }, `needs ${bytes} bytes, ${free} are free in ${folder}`);
}

function createSized(file: string, size: number): void {
  const fd = openSync(file, 'wx');
  try {
    ftruncateSync(fd, size);
  } finally {
    closeSync(fd);
  }
}

/** Removes the parents that were made for the target, innermost first, as far as they are empty. */
function removeEmpty(folder: string, outermost: string): void {
  for (let at = folder; at.startsWith(outermost); at = path.dirname(at)) {
    try {
      rmdirSync(at);
    } catch {
      return;
    }
  }
}

function guarded<Answer>(target: Target, work: () => Answer): Answer {
  try {
    return work();
  } catch (error) {
    throw asTargetError(error, target);
  }
}

/** System errors of writing as codes; everything else as it is. */
function asTargetError(error: unknown, target: Target): unknown {
  if (error instanceof CheckpointError) return error;
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG') return new CheckpointError('disk-full', { file: target.path }, `${code} while writing`, { cause: error });
  if (code !== undefined && ['EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'ENAMETOOLONG', 'EISDIR', 'EBUSY', 'ELOOP', 'EIO', 'EINVAL', 'ENOENT', 'EMFILE', 'ENFILE'].includes(code)) {
    return new CheckpointError('target-not-writable', { file: target.path }, code, { cause: error });
  }
  return error;
}
