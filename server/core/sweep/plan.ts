import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import path from 'node:path';
import type { CalibrationRequest } from '../calibration/contract';
import { CheckpointError } from '../errors';
import { benchmarkName } from '../evaluation/contract';
import type { Checkpoint } from '../formats/contract';
import type { Allocation, Pattern, Scope } from '../pruning/contract';
import { checkPatternScope, patternKind, patternSparsity } from '../pruning/pattern';
import { checkAllocation } from '../pruning/allocation';
import { statisticsNeeded } from '../pruning/inputNorms';
import { parametersOf } from '../pruning/options';
import { findMethod } from '../pruning/registry';
import type { Provider } from '../runtime/contract';
import type { CellSpecification } from './contract';

/** What the field looks at: the levels of the published work. */
export const DEFAULT_LEVELS: readonly number[] = [0.1, 0.5, 0.9, 0.95, 0.99];

/** The method that level 0 carries: nothing is pruned, whatever the methods of the sweep are. */
export const BASELINE_METHOD = 'dense';

/** Bounds what a command line or a recipe may ask for. */
const MAX_CELLS = 10_000;

/** A sweep as it is asked for, with every default filled in. */
export interface SweepRequest {
  /** Absolute path. */
  readonly checkpoint: string;
  readonly methods: readonly string[];
  readonly levels: readonly number[];
  /** Null: each method's own. */
  readonly scope: Scope | null;
  readonly pattern: Pattern;
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  readonly seed: number;
  /** Missing: uniform. */
  readonly allocation?: Allocation;
  /** Numbers of methods, by name: each method takes its own. */
  readonly parameters?: Readonly<Record<string, number>>;
  /** What methods are calibrated on; missing or null where none needs it. */
  readonly calibration?: CalibrationRequest | null;
  /** Benchmark ids, or `text:<absolute path>`. */
  readonly benchmarks: readonly string[];
  readonly protocol: string;
  readonly context: number;
  readonly stride: number;
  readonly limit: number | null;
  readonly provider: Provider;
  readonly threads: number;
  readonly dataFolder: string | null;
  readonly field?: string;
  /** Compare predictions with the dense model's; missing: not. */
  readonly divergence?: boolean;
  readonly runtime: boolean;
}

/**
 * The cells of a sweep, baselines first, then method by method and level by level, so that an executor that shares work
 * finds the same pruned weights twice in a row. Levels are sorted and counted once; level 0 is always there.
 *
 * @throws CheckpointError `bad-sparsity`, `unknown-method`, `unsupported-scope`, `unsupported-pattern`, `unsupported-allocation`, `bad-parameter`, `usage`
 */
export function planCells(request: SweepRequest): CellSpecification[] {
  for (const level of request.levels) if (!(level >= 0 && level <= 1)) throw new CheckpointError('bad-sparsity', { key: 'levels' }, `${level} is not from 0 to 1`);
  if (request.methods.length === 0 || request.benchmarks.length === 0) throw new CheckpointError('usage', {}, 'a sweep needs a method and a benchmark');
  const implied = patternSparsity(request.pattern);
  const asked = implied === null ? request.levels : [implied];
  const levels = [...new Set(asked)].filter((level) => level > 0).sort((a, b) => a - b);
  const benchmarks = [...new Set(request.benchmarks)];
  const base = {
    version: 1, checkpoint: request.checkpoint, include: request.include, exclude: request.exclude, seed: request.seed, protocol: request.protocol, context: request.context,
    stride: request.stride, limit: request.limit, provider: request.provider, threads: request.threads, dataFolder: request.dataFolder, ...(request.field !== undefined && { field: request.field }), ...(request.divergence && { divergence: true }), runtime: request.runtime,
  } as const;
  const cells: CellSpecification[] = benchmarks.map((benchmark) => ({ ...base, method: BASELINE_METHOD, scope: 'global', pattern: 'unstructured', level: 0, benchmark }));
  for (const id of new Set(request.methods)) {
    const method = findMethod(id);
    const scope = request.scope ?? method.defaultScope;
    if (!method.scopes.includes(scope)) throw new CheckpointError('unsupported-scope', { key: scope }, `${id} takes ${method.scopes.join(', ')}`);
    if (!method.patterns.includes(patternKind(request.pattern))) throw new CheckpointError('unsupported-pattern', { key: 'pattern' }, `${id} takes ${method.patterns.join(', ')}`);
    checkPatternScope(request.pattern, scope);
    checkAllocation(method, { ...request, scope });
    // Left out where they say nothing: cells of earlier versions keep their address.
    const parameters = parametersOf(method, request.parameters ?? {});
    const options = { ...(request.allocation ? { allocation: request.allocation } : {}), ...(parameters ? { parameters } : {}), ...(request.calibration && (method.takes ?? statisticsNeeded(method, request)) !== null ? { calibration: request.calibration } : {}) };
    for (const level of levels) for (const benchmark of benchmarks) cells.push({ ...base, method: id, scope, pattern: request.pattern, level, benchmark, ...options });
  }
  if (cells.length > MAX_CELLS) throw new CheckpointError('usage', {}, `${cells.length} cells are more than ${MAX_CELLS}`);
  return cells;
}

/** JSON with sorted keys: equal things are equal text. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value === 'object' && value !== null) return `{${Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, item]) => `${JSON.stringify(key)}:${canonical(item)}`).join(',')}}`;
  return JSON.stringify(value);
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/**
 * Tells one state of a checkpoint from another without reading the weights: names, sizes and times of its files and the bytes of
 * their headers (at most 128 MiB each, as the formats bound them).
 */
export function checkpointFingerprint(checkpoint: Checkpoint): string {
  const parts = checkpoint.files.map((file) => {
    const hash = createHash('sha256'), chunk = Buffer.alloc(Math.min(1 << 20, Math.max(1, file.dataFrom)));
    const handle = openSync(file.realPath, 'r');
    try {
      for (let at = 0; at < file.dataFrom;) {
        const read = readSync(handle, chunk, 0, Math.min(chunk.length, file.dataFrom - at), at);
        if (read === 0) throw new CheckpointError('short-read', { file: file.path }, `at byte ${at}`);
        hash.update(chunk.subarray(0, read));
        at += read;
      }
    } finally {
      closeSync(handle);
    }
    return { name: path.basename(file.path), bytes: file.byteLength, mtimeMs: file.mtimeMs, header: hash.digest('hex') };
  });
  return sha256(canonical(parts)).slice(0, 32);
}

/** The address of a cell: the same specification of the same checkpoint is the same cell. */
export const cellId = (cell: CellSpecification, fingerprint: string): string => sha256(canonical({ cell, fingerprint })).slice(0, 20);

/** A name that a person recognises in a folder, in front of the address. */
export function cellFileName(cell: CellSpecification, fingerprint: string): string {
  return `${cell.method}-${Number((100 * cell.level).toPrecision(6))}-${benchmarkName(cell.benchmark)}`.replace(/[^\w.-]+/g, '_').slice(0, 80) + `-${cellId(cell, fingerprint)}`;
}

/** What all cells of one store share; anything else would put numbers side by side that must not be compared. */
export type SweepSetup = Omit<CellSpecification, 'version' | 'method' | 'scope' | 'pattern' | 'level' | 'allocation' | 'parameters' | 'calibration' | 'benchmark' | 'field' | 'dataFolder' | 'divergence' | 'runtime'> & { readonly fingerprint: string };

/** The part of a cell that it shares with all others of its store. */
export function setupOf(cell: CellSpecification, fingerprint: string): SweepSetup {
  const { checkpoint, include, exclude, seed, protocol, context, stride, limit, provider, threads } = cell;
  return { checkpoint, include, exclude, seed, protocol, context, stride, limit, provider, threads, fingerprint };
}

/** Names of the keys in which two setups differ. */
export const setupDifferences = (a: SweepSetup, b: SweepSetup): string[] =>
  (Object.keys(a) as (keyof SweepSetup)[]).filter((key) => canonical(a[key]) !== canonical(b[key]));
