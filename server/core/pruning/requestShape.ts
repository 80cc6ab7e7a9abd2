/** Tests of what a pruning request holds when it comes from a file (SPEC.json, a manifest): the bounds are those of the flags. */
import path from 'node:path';
import { providers } from '../runtime/contract';
import type { Pattern } from './contract';
import { parsePattern } from './pattern';

/** Windows and tokens of a calibration, as many as `--calibration-samples` and `--calibration-length` take. */
export const MAX_SAMPLES = 2 ** 20, MAX_LENGTH = 2 ** 24;
/** More than any machine has; ONNX Runtime starts what it is told. */
const MAX_THREADS = 4096;

export const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);
export const isText = (value: unknown): value is string => typeof value === 'string' && value !== '';
export const isWhole = (low: number, high = Number.MAX_SAFE_INTEGER) => (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= low && (value as number) <= high;
export const isTexts = (value: unknown): boolean => Array.isArray(value) && value.length <= 1000 && value.every(isText);
export const orNull = (test: (value: unknown) => boolean) => (value: unknown): boolean => value === null || test(value);

const isFraction = (value: unknown): boolean => typeof value === 'number' && value >= 0 && value <= 1;

/** `unstructured`, or exactly the numbers of an N:M or block pattern that could be typed. */
export function isPattern(value: unknown): boolean {
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

export function isAllocation(value: unknown): boolean {
  if (!isRecord(value)) return false;
  switch (value.kind) {
    case 'uniform': return true;
    case 'owl': return typeof value.m === 'number' && value.m > 0 && isFraction(value.lambda) && typeof value.published === 'boolean';
    case 'table': return Array.isArray(value.entries) && value.entries.length <= 1000 && value.entries.every((entry) => isRecord(entry) && isText(entry.glob) && isFraction(entry.sparsity));
    default: return false;
  }
}

export function isCalibration(value: unknown): boolean {
  if (!isRecord(value)) return false;
  const { text, samples, length, seed, oneShot, provider, threads, dataFolder, ...rest } = value;
  const named = (isText(text) && path.isAbsolute(text)) || (isRecord(text) && isText(text.benchmark) && (text.split === 'train' || text.split === 'valid'));
  return named && isWhole(1, MAX_SAMPLES)(samples) && orNull(isWhole(2, MAX_LENGTH))(length) && isWhole(0)(seed) && typeof oneShot === 'boolean' && isProvider(provider) && isWhole(1, MAX_THREADS)(threads) && orNull(isText)(dataFolder)
    && Object.keys(rest).length === 0;
}

export const isProvider = (value: unknown): boolean => value === 'auto' || (providers as readonly unknown[]).includes(value);

export const isParameters = (value: unknown): boolean => isRecord(value) && Object.keys(value).length <= 100 && Object.values(value).every((one) => typeof one === 'number' && Number.isFinite(one));
