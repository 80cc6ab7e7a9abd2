/**
 * Every way the core can say no. A code is stable and machine-readable; the sentence a person reads is made at the
 * edge, in `rpc/sentences.ts`, which has one entry per code (the compiler checks it).
 */
export const errorCodes = [
  // reaching the file
  'not-found', 'not-readable', 'is-empty', 'no-model-in-folder', 'several-models-in-folder', 'file-changed-while-reading', 'short-read',
  // what the file really is
  'git-lfs-pointer', 'html-page', 'unknown-format', 'unsupported-format', 'wrong-content',
  // containers whose values are encoded or whose structure is a program
  'bad-encoding', 'zip-broken', 'pickle-broken', 'pickle-blocked', 'torchscript', 'no-tensors', 'storage-missing', 'storage-too-short', 'bad-view',
  'opaque-entries', 'mask-folded', 'prefix-removed', 'other-format-written',
  'file-damaged', 'data-file-outside', 'data-file-missing',
  // safetensors
  'header-too-short', 'header-cut-short', 'header-longer-than-file', 'header-too-large', 'header-not-json', 'header-not-object',
  'duplicate-tensor', 'bad-tensor-entry', 'bad-shape', 'unknown-dtype', 'offset-reversed', 'offset-out-of-range', 'size-mismatch', 'overlap', 'gap',
  'trailing-bytes', 'file-cut-short', 'metadata-not-text', 'metadata-broken', 'header-space-first',
  // shards
  'index-not-json', 'index-bad-map', 'shard-missing', 'shard-outside-folder', 'tensor-missing-in-shard', 'stray-copy', 'stray-file', 'index-total-wrong', 'too-many-shards',
  // models
  'no-config', 'config-not-json', 'unknown-architecture', 'unsupported-config', 'tensor-missing', 'head-missing', 'tensor-shape-differs', 'tied-differ', 'buffer-stored',
  // pruning and writing
  'bad-sparsity', 'unknown-method', 'unsupported-scope', 'unsupported-pattern', 'nothing-in-scope', 'already-sparser', 'ragged-groups', 'ragged-blocks', 'nan-in-scope', 'infinite-in-scope', 'target-exists',
  'target-is-source', 'target-inside-source', 'target-not-writable', 'disk-full', 'unsupported-dtype', 'no-match', 'became-infinite', 'calibration-needed', 'calibration-is-evaluated', 'calibration-impossible', 'inputs-unknown', 'hessian-damped', 'hessian-indefinite', 'unsupported-allocation', 'bad-allocation', 'bad-parameter', 'allocation-total', 'bad-manifest', 'source-differs', 'not-masks', 'unsupported-structure', 'own-config-key', 'not-two-four', 'stored-dense', 'packed-layout',
  // evaluation
  'no-tokenizer', 'tokenizer-broken', 'token-out-of-range', 'tokens-without-rows', 'text-not-utf8', 'byte-order-mark', 'json-lines-broken', 'too-few-tokens', 'unknown-benchmark', 'unknown-protocol', 'benchmark-not-found',
  'benchmark-text-differs', 'download-failed', 'checksum-differs', 'metric-makes-no-sense', 'context-too-long', 'bad-window', 'not-finite', 'out-of-memory', 'models-not-comparable', 'unknown-provider', 'provider-unavailable', 'provider-fallback', 'runtime-failed',
  // sweeps, recipes, jobs
  'recipe-invalid', 'sweep-differs', 'store-broken', 'bad-specification', 'not-a-sweep',
  // processes
  'child-died', 'server-stopped', 'cancelled', 'usage', 'internal',
] as const;

export type ErrorCode = (typeof errorCodes)[number];

/** Where a fault sits. Only what is known is given. */
export interface Place {
  readonly file?: string;
  readonly tensor?: string;
  readonly key?: string;
  readonly line?: number;
}

/** A fault or remark: a code, a place and a detail (numbers and names, never a whole sentence). */
export interface Problem {
  readonly code: ErrorCode;
  readonly where: Place;
  readonly detail: string;
}

/**
 * The one error the core throws on purpose.
 *
 *     throw new CheckpointError('offset-out-of-range', { file, tensor }, 'ends at 912, file has 900 bytes')
 */
export class CheckpointError extends Error implements Problem {
  constructor(readonly code: ErrorCode, readonly where: Place, readonly detail: string, options?: { cause?: unknown }) {
    super(`${code}: ${[where.file, where.tensor, where.key].filter(Boolean).join(' ')} ${detail}`.trim(), options);
    this.name = 'CheckpointError';
  }
}

/** True for the error that an aborted job throws. */
export const isCancelled = (error: unknown): boolean => error instanceof CheckpointError && error.code === 'cancelled';

/** Throws `cancelled` once the signal has fired. */
export function throwIfCancelled(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new CheckpointError('cancelled', {}, '');
}
