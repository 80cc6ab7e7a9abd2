import path from 'node:path';
import type { Problem } from '../errors';
import { CheckpointError } from '../errors';
import type { Architecture, Model } from '../models/contract';
import { onnxFileArchitecture } from '../models/onnxFile';
import { dtypes } from '../tensor/dtype';
import { TEXT_PREFIX } from './contract';
import type { EvaluationRequest, PreparedText, SpecialTokens, Tokenizer, UnknownWords, Window } from './contract';
import type { TokenCost } from './forecast';
import { findProtocol } from './protocols';
import { protocolOfBenchmark, readSource } from './source';
import { tokenizerOf } from './tokenizer';
import { scoredTokens } from './windows';

/** An architecture that can be evaluated. */
export type Evaluable = Architecture & { readonly buildGraph: NonNullable<Architecture['buildGraph']> };

/**
 * The architecture, when it has an evaluation graph.
 *
 * @throws CheckpointError `metric-makes-no-sense`, `no-config`
 */
export function evaluable(model: Model): Evaluable {
  const { architecture, checkpoint } = model;
  const where = { file: checkpoint.path };
  if (checkpoint.format === 'onnx') return onnxFileArchitecture(model);
  if (architecture === null) {
    const type = checkpoint.config?.model_type;
    throw checkpoint.config === null ? new CheckpointError('no-config', where, 'the graph and the tokenizer need the model folder')
      : new CheckpointError('unknown-architecture', where, `model_type ${JSON.stringify(type ?? null)} has no evaluation graph`);
  }
  if (architecture.buildGraph === null) throw new CheckpointError('metric-makes-no-sense', where, `${architecture.title} models have no evaluation graph`);
  if (checkpoint.config === null) throw new CheckpointError('no-config', where, 'the graph needs the sizes of config.json');
  return architecture as Evaluable;
}

/**
 * Reads and tokenises the text and lays out the windows: everything of an evaluation that needs no session.
 *
 * @throws CheckpointError `no-tokenizer`, `tokenizer-broken`, `token-out-of-range`, `text-not-utf8`, `too-few-tokens`,
 *   `unknown-benchmark`, `benchmark-not-found`, `unknown-protocol`, `metric-makes-no-sense`, `bad-window`, `context-too-long`
 */
export function prepareText(model: Model, request: EvaluationRequest): PreparedText {
  const architecture = evaluable(model);
  const { checkpoint } = model;
  const protocol = findProtocol(request.protocol ?? protocolOfBenchmark(request.benchmark), architecture.kind);
  const longest = architecture.maxContext(checkpoint.config ?? {});
  const context = request.context ?? protocol.defaults(longest).context;
  if (context > longest) throw new CheckpointError('context-too-long', { file: checkpoint.path }, `${context} tokens asked, the model has ${longest} positions`);
  const decoder = architecture.maskedDecoder?.(checkpoint);
  const stride = request.stride ?? protocol.strideOf(context);
  const { text, parts, ...source } = readSource(request, protocol);
  const tokenizer = tokenizerOf(checkpoint);
  const { tokens, windows, items } = named(source.file, () => protocol.windows(tokenizer, text, { context, stride }, specialTokens(tokenizer, checkpoint.config ?? {}), parts));
  const count = Math.min(items?.windows.length ?? windows.length, request.limit ?? Infinity);
  const run = windows.slice(0, items ? items.windows.slice(0, count).reduce((sum, each) => sum + each, 0) : count);
  const problems = [...source.problems, ...checkRows(model, tokenizer, windows)];
  return {
    protocol, tokens, windows: run, scoredTokens: scoredTokens(run), unknownWords: unknownWordsOf(text, tokenizer), problems, cost: costOf(model), ...(items && { items: { count, outcome: items.outcome } }),
    setup: { benchmark: request.benchmark, protocol: protocol.id, context, stride, metric: protocol.metric, weightDtype: weightDtypeOf(model), textSha256: source.sha256, tokenizer: tokenizer.name, limit: request.limit, ...(request.field !== undefined && { field: request.field }), ...(decoder !== undefined && { decoder }) },
  };
}

/** Weights of the blocks, and those that make the scores of all tokens. */
function costOf({ checkpoint, roles }: Model): TokenCost {
  const sum = (pick: (role: Model['roles'][number]) => boolean): number => checkpoint.tensors.reduce((total, tensor, i) => total + (pick(roles[i]) ? tensor.elements : 0), 0);
  const head = sum(({ role }) => role === 'head');
  return { read: Math.max(1, sum(({ role, parameter }) => parameter && !['embedding', 'position', 'head'].includes(role))), scored: head > 0 ? head : sum(({ role }) => role === 'embedding') };
}

const UNKNOWN = '<unk>';

function unknownWordsOf(text: string, tokenizer: Tokenizer): UnknownWords | null {
  let count = 0;
  for (let at = text.indexOf(UNKNOWN); at !== -1; at = text.indexOf(UNKNOWN, at + UNKNOWN.length)) count++;
  return count === 0 ? null : { count, tokensEach: tokenizer.encode(UNKNOWN).length };
}

/** The dtype of the parameters, or `mixed`. */
export function weightDtypeOf(model: Model): string {
  const used = new Set(model.checkpoint.tensors.filter((tensor, i) => model.roles[i].parameter && dtypes[tensor.dtype].kind === 'float').map((tensor) => tensor.dtype));
  return used.size === 1 ? [...used][0] : 'mixed';
}

/** Embeddings of something else than tokens, and maps from a narrow embedding to the width of the blocks. */
const NOT_OF_TOKENS = /token_type|project_in|embed_proj|mapping_in/;

/** Rows of the token embedding: ids from here on cannot be looked up. */
export function embeddingRows(model: Model): number | null {
  const at = model.roles.findIndex((role, i) => role.role === 'embedding' && model.checkpoint.tensors[i].shape.length === 2 && !NOT_OF_TOKENS.test(model.checkpoint.tensors[i].name));
  if (at !== -1) return model.checkpoint.tensors[at].shape[0];
  const size = model.checkpoint.config?.vocab_size;
  return typeof size === 'number' ? size : null;
}

/** Compares tokenizer and embedding before anything runs. A token without a row that the text never uses is a remark; more rows than tokens is padding. */
function checkRows(model: Model, tokenizer: Tokenizer, windows: readonly Window[]): Problem[] {
  const rows = embeddingRows(model);
  if (rows === null || tokenizer.size <= rows) return [];
  const where = { file: model.checkpoint.path };
  for (const window of windows) {
    const bad = [window.ids, window.encoder, window.masked?.by].flatMap((ids) => ids?.find((id) => id >= rows) ?? [])[0];
    if (bad !== undefined) throw new CheckpointError('token-out-of-range', where, `token id ${bad} (${tokenizer.tokenOf(bad)}) has no embedding row: ${rows} rows, the tokenizer has ${tokenizer.size} entries`);
  }
  return [{ code: 'tokens-without-rows', where, detail: `${rows} embedding rows, the tokenizer has ${tokenizer.size} entries; this text uses none of the others` }];
}

/** The ids of the special tokens, from the configuration and the tokenizer. */
export function specialTokens(tokenizer: Tokenizer, config: Readonly<Record<string, unknown>>): SpecialTokens {
  const fromConfig = (key: string): number | null => { const id = config[key]; return typeof id === 'number' && Number.isSafeInteger(id) && id >= 0 ? id : null; };
  const sentinels: number[] = [];
  for (let id = tokenizer.idOf?.('<extra_id_0>') ?? null; id !== null; id = tokenizer.idOf?.(`<extra_id_${sentinels.length}>`) ?? null) sentinels.push(id);
  return {
    begin: tokenizer.begin ?? fromConfig('bos_token_id') ?? tokenizer.end ?? fromConfig('eos_token_id'),
    start: fromConfig('decoder_start_token_id') ?? fromConfig('pad_token_id'),
    end: tokenizer.suffix.at(-1) ?? fromConfig('eos_token_id'),
    mask: tokenizer.mask ?? null, sentinels, all: tokenizer.specialIds ?? new Set(), size: tokenizer.size,
  };
}

/** Names the text in an error that the windowing could not know it of. */
function named<T>(text: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof CheckpointError && error.code === 'too-few-tokens') throw new CheckpointError(error.code, { file: text }, error.detail);
    throw error;
  }
}

/** `text:` and the path: what a `--text` file is called in a request and in results. */
export const textBenchmark = (file: string): string => `${TEXT_PREFIX}${path.resolve(file)}`;
