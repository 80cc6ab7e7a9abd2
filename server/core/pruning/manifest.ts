import path from 'node:path';
import { readWholeText } from '../bytes/readWhole';
import type { IoMode } from '../bytes/byteSource';
import type { CalibrationSummary } from '../calibration/contract';
import { CheckpointError } from '../errors';
import type { Checkpoint, GeneratedFile } from '../formats/contract';
import type { WorkerPool } from '../workers/contract';
import { scopes } from './contract';
import type { PruneRequest } from './contract';
import type { PublishedFile } from './publish';
import { isAllocation, isCalibration, isParameters, isPattern, isRecord, isTexts, isWhole, orNull } from './requestShape';

/** Name of the manifest in a written folder. */
export const MANIFEST_NAME = 'winnow-manifest.json';
/** The manifest of 3,000 tensors takes some 500 KB. */
const MAX_MANIFEST_BYTES = 64 * 2 ** 20;
const VERSION = 1;

/** A weight file as it was: `sha256` is what `sha256sum` prints of it. */
export interface HashedFile { readonly name: string; readonly bytes: number; readonly sha256: string }

/** What lies beside a pruned checkpoint: all that it takes to write the same bytes again, and to know that they are the same. */
export interface PruneManifest {
  readonly manifest: typeof VERSION;
  /** Version of the tool. */
  readonly winnow: string;
  readonly source: { readonly path: string; readonly format: string; readonly files: readonly HashedFile[] };
  readonly method: string;
  /** Everything that was asked, as it was resolved: scope, pattern, allocation, parameters, globs, seed, calibration. */
  readonly request: PruneRequest;
  /** What the calibration read; null where there was none. */
  readonly calibration: CalibrationSummary | null;
  readonly scopeParameters: number;
  readonly selected: number;
  readonly threshold: number | null;
  readonly tensors: readonly { readonly name: string; readonly elements: number; readonly zerosBefore: number; readonly zerosAfter: number; readonly changed: number }[];
  readonly output: { readonly format: string; readonly files: readonly PublishedFile[] };
}

/** Where the manifest of a single written file lies: `model.safetensors` -> `model.winnow.json`. */
export const manifestBeside = (file: string): string => path.join(path.dirname(file), `${path.basename(file, path.extname(file))}.winnow.json`);

/**
 * SHA-256 of every weight file of a checkpoint, one after another in one thread: beside the pruning, which waits for the disk most of the time.
 *
 * @throws CheckpointError `file-changed-while-reading`, `cancelled`
 */
export async function hashFiles(checkpoint: Checkpoint, pool: WorkerPool, io: IoMode, signal?: AbortSignal): Promise<readonly HashedFile[]> {
  const hashed: HashedFile[] = [];
  for (const { path: file, realPath, byteLength, mtimeMs } of checkpoint.files) {
    const source = { file: { path: file, realPath, byteLength, mtimeMs }, io, dtype: 'U8', shape: [byteLength], from: 0, to: byteLength } as const;
    hashed.push({ name: path.basename(file), bytes: byteLength, ...await pool.run({ kind: 'hash', source }, signal) });
  }
  return hashed;
}

/** The manifest of a written checkpoint, as a file beside it. */
export function manifestFile(manifest: Omit<PruneManifest, 'manifest'>, target: { readonly kind: 'file' | 'folder'; readonly path: string }): GeneratedFile {
  return { name: target.kind === 'folder' ? MANIFEST_NAME : path.basename(manifestBeside(target.path)), text: `${JSON.stringify({ manifest: VERSION, ...manifest }, jsonNumber, 2)}\n` };
}

/** JSON has no infinity; a threshold may be one. */
const jsonNumber = (_key: string, value: unknown): unknown => (typeof value === 'number' && !Number.isFinite(value) ? String(value) : value);

/**
 * Reads what `manifestFile` wrote. What decides about bytes is checked again where it is used, as if it came from flags.
 *
 * @throws CheckpointError `bad-manifest`, and what opening a file throws
 */
export function readManifest(file: string): PruneManifest {
  const refuse = (detail: string): never => { throw new CheckpointError('bad-manifest', { file }, detail); };
  let value: unknown;
  try {
    value = JSON.parse(readWholeText(file, MAX_MANIFEST_BYTES));
  } catch (error) {
    if (error instanceof CheckpointError) throw error;
    return refuse(error instanceof Error ? error.message.slice(0, 120) : 'not JSON');
  }
  if (!isRecord(value) || value.manifest === undefined) return refuse('it is no manifest of a pruning');
  if (value.manifest !== VERSION) return refuse(`version ${String(value.manifest).slice(0, 20)}, this Winnow reads ${VERSION}`);
  const { source, request, output } = value;
  if (!isRecord(source) || typeof source.path !== 'string' || !isHashedList(source.files)) return refuse('source is not {path, format, files}');
  if (typeof value.method !== 'string') return refuse('method is not text');
  if (!isRecord(request)) return refuse('request is no object');
  const wrong = Object.entries(requestFields).find(([key, test]) => !test(request[key]));
  if (wrong) return refuse(`request.${wrong[0]} ${request[wrong[0]] === undefined ? 'is missing' : 'has a value it cannot have'}`);
  const unknown = Object.keys(request).find((key) => !Object.hasOwn(requestFields, key));
  if (unknown !== undefined) return refuse(`request.${unknown.slice(0, 40)} is not known`);
  if (!isRecord(output) || typeof output.format !== 'string' || !Array.isArray(output.files)) return refuse('output is not {format, files}');
  return value as unknown as PruneManifest;
}

const orMissing = (test: (value: unknown) => boolean) => (value: unknown): boolean => value === undefined || test(value);

/** What each key of a request has to be: what flags could have said. */
const requestFields: Readonly<Record<keyof PruneRequest, (value: unknown) => boolean>> = {
  sparsity: (value) => typeof value === 'number' && value >= 0 && value <= 1,
  scope: (value) => (scopes as readonly unknown[]).includes(value),
  pattern: isPattern, include: isTexts, exclude: isTexts, seed: isWhole(0),
  allocation: orMissing(isAllocation), parameters: orMissing(isParameters), calibration: orMissing(orNull(isCalibration)),
};
const isHashedList = (value: unknown): boolean => Array.isArray(value) && value.length > 0 && value.every((file) => isRecord(file) && typeof file.name === 'string' && Number.isSafeInteger(file.bytes) && /^[0-9a-f]{64}$/.test(String(file.sha256)));

/**
 * That a checkpoint is the one that a manifest was written of: the same files by number, size and hash, whatever they are called.
 *
 * @throws CheckpointError `source-differs` with what differs
 */
export function requireSameSource(manifest: PruneManifest, checkpoint: Checkpoint, hashed: readonly HashedFile[]): void {
  const { files } = manifest.source, place = { file: checkpoint.path };
  if (files.length !== hashed.length) throw new CheckpointError('source-differs', place, `the manifest names ${files.length} weight files, here are ${hashed.length}`);
  files.forEach((expected, i) => {
    const found = hashed[i];
    if (expected.bytes !== found.bytes) throw new CheckpointError('source-differs', { file: checkpoint.files[i].path }, `${expected.bytes} bytes then, ${found.bytes} now`);
    if (expected.sha256 !== found.sha256) throw new CheckpointError('source-differs', { file: checkpoint.files[i].path }, `SHA-256 ${expected.sha256.slice(0, 12)}… then, ${found.sha256.slice(0, 12)}… now`);
  });
}
