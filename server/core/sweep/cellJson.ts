import path from 'node:path';
import { readWhole } from '../bytes/readWhole';
import { writeWhole } from '../bytes/writeWhole';
import { CheckpointError } from '../errors';
import { dtypes } from '../tensor/dtype';
import type { DType } from '../tensor/dtype';
import { scopes } from '../pruning/contract';
import type { Pattern } from '../pruning/contract';
import { parsePattern } from '../pruning/pattern';
import { providers } from '../runtime/contract';
import type { CellResult, CellSpecification, FinishedCell } from './contract';

const NOT_FINITE: Readonly<Record<string, number>> = { NaN: Number.NaN, Infinity, '-Infinity': -Infinity };

/** JSON with non-finite numbers as text, as everywhere in Winnow. */
export const toJson = (value: unknown): string =>
  `${JSON.stringify(value, (_key, item: unknown) => typeof item === 'number' && !Number.isFinite(item) ? String(item) : item, 1)}\n`;

/** The inverse of `toJson`. Nothing we write is ever the text "NaN" or "Infinity" for another reason. */
export const fromJson = (text: string): unknown =>
  JSON.parse(text, (_key, item: unknown) => typeof item === 'string' && Object.hasOwn(NOT_FINITE, item) ? NOT_FINITE[item] : item);

/** Where the losses of a RESULT.json lie. */
export const lossesPath = (resultPath: string): string => resultPath.replace(/(\.result)?\.json$/, '') + '.losses.f32';

/** Writes a finished cell: the losses first, so that a result that can be read is whole. */
export function writeCell(resultPath: string, { result, losses }: FinishedCell): void {
  if (losses) writeWhole(lossesPath(resultPath), new Uint8Array(losses.buffer, losses.byteOffset, losses.byteLength));
  writeWhole(resultPath, toJson(result));
}

/** Two billion scored tokens. */
const MAX_LOSSES_BYTES = 2 ** 33;

/** The losses beside a RESULT.json, or null when the cell has none. @throws CheckpointError `store-broken` */
export function readLosses(resultPath: string, result: CellResult): Float32Array | null {
  if (result.evaluation === null) return null;
  const file = lossesPath(resultPath);
  const bytes = readWhole(file, MAX_LOSSES_BYTES), count = result.evaluation.items ?? result.evaluation.scoredTokens;
  if (bytes.byteLength !== 4 * count) throw new CheckpointError('store-broken', { file }, `${bytes.byteLength} bytes for ${count} losses`);
  return new Float32Array(Uint8Array.from(bytes).buffer);
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);
const isText = (value: unknown): value is string => typeof value === 'string' && value !== '';
const isWhole = (low: number) => (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= low;
const isTexts = (value: unknown): boolean => Array.isArray(value) && value.length <= 1000 && value.every(isText);
const orNull = (test: (value: unknown) => boolean) => (value: unknown): boolean => value === null || test(value);

const isFraction = (value: unknown): boolean => typeof value === 'number' && value >= 0 && value <= 1;

function isPattern(value: unknown): boolean {
  if (value === 'unstructured') return true;
  if (!isRecord(value)) return false;
  const text = 'rows' in value ? `${String(value.rows)}x${String(value.columns)}` : `${String(value.keep)}:${String(value.of)}`;
  try {
    return canonicalPattern(parsePattern(text), value);
  } catch {
    return false;
  }
}

/** Nothing more and nothing else than the pattern itself. */
const canonicalPattern = (pattern: Pattern, value: Record<string, unknown>): boolean =>
  pattern !== 'unstructured' && Object.entries(pattern).every(([key, one]) => value[key] === one) && Object.keys(value).length === Object.keys(pattern).length;

function isAllocation(value: unknown): boolean {
  if (!isRecord(value)) return false;
  switch (value.kind) {
    case 'uniform': return true;
    case 'owl': return typeof value.m === 'number' && value.m > 0 && isFraction(value.lambda) && typeof value.published === 'boolean';
    case 'table': return Array.isArray(value.entries) && value.entries.length <= 1000 && value.entries.every((entry) => isRecord(entry) && isText(entry.glob) && isFraction(entry.sparsity));
    default: return false;
  }
}

function isCalibration(value: unknown): boolean {
  if (!isRecord(value)) return false;
  const { text, samples, length, seed, oneShot, provider, threads, dataFolder, ...rest } = value;
  const named = (isText(text) && path.isAbsolute(text)) || (isRecord(text) && isText(text.benchmark) && (text.split === 'train' || text.split === 'valid'));
  return named && isWhole(1)(samples) && orNull(isWhole(2))(length) && isWhole(0)(seed) && typeof oneShot === 'boolean' && isProvider(provider) && isWhole(1)(threads) && orNull(isText)(dataFolder)
    && Object.keys(rest).length === 0;
}

const isProvider = (value: unknown): boolean => value === 'auto' || (providers as readonly unknown[]).includes(value);

/** What each key of SPEC.json has to be. */
const fields: Readonly<Record<keyof CellSpecification, (value: unknown) => boolean>> = {
  version: (v) => v === 1,
  checkpoint: (v) => isText(v) && path.isAbsolute(v),
  method: isText,
  scope: (v) => (scopes as readonly unknown[]).includes(v),
  pattern: isPattern,
  level: (v) => typeof v === 'number' && v >= 0 && v <= 1,
  include: isTexts,
  exclude: isTexts,
  seed: isWhole(0),
  allocation: (v) => v === undefined || isAllocation(v),
  parameters: (v) => v === undefined || (isRecord(v) && Object.keys(v).length <= 100 && Object.values(v).every((one) => typeof one === 'number' && Number.isFinite(one))),
  calibration: (v) => v === undefined || isCalibration(v),
  benchmark: isText,
  protocol: isText,
  context: isWhole(1),
  stride: isWhole(1),
  limit: orNull(isWhole(1)),
  provider: isProvider,
  threads: isWhole(1),
  dataFolder: orNull(isText),
  field: (v) => v === undefined || isText(v),
  divergence: (v) => v === undefined || typeof v === 'boolean',
  runtime: (v) => typeof v === 'boolean',
};

/**
 * Reads and checks a SPEC.json, which may come from anywhere.
 *
 * @throws CheckpointError `bad-specification` with the key that is wrong, missing or unknown
 */
export function parseSpecification(text: string, file: string): CellSpecification {
  let value: unknown;
  try {
    value = fromJson(text);
  } catch (error) {
    throw new CheckpointError('bad-specification', { file }, 'it is not JSON', { cause: error });
  }
  if (!isRecord(value)) throw new CheckpointError('bad-specification', { file }, 'it is not an object');
  for (const [key, test] of Object.entries(fields)) if (!test(value[key])) throw new CheckpointError('bad-specification', { file, key }, key in value ? 'has a value it cannot have' : 'is missing');
  for (const key of Object.keys(value)) if (!Object.hasOwn(fields, key)) throw new CheckpointError('bad-specification', { file, key }, 'is not known');
  return value as unknown as CellSpecification;
}

/** Bytes of one element; the dtypes that are pruned fill whole bytes. */
export const itemBytes = (dtype: DType): number => dtypes[dtype].bits / 8;
