import path from 'node:path';
import { readWhole } from '../bytes/readWhole';
import { writeWhole } from '../bytes/writeWhole';
import { CheckpointError } from '../errors';
import { dtypes } from '../tensor/dtype';
import type { DType } from '../tensor/dtype';
import { scopes } from '../pruning/contract';
import { isAllocation, isCalibration, isParameters, isPattern, isProvider, isRecord, isText, isTexts, isWhole, orNull } from '../pruning/requestShape';
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
  parameters: (v) => v === undefined || isParameters(v),
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
