import path from 'node:path';
import { Tokenizer as LibraryTokenizer } from '@huggingface/tokenizers';
import { readWholeText } from '../bytes/readWhole';
import { CheckpointError } from '../errors';
import { formatOf } from '../formats/registry';
import type { Checkpoint } from '../formats/contract';
import { MAX_CONFIG_BYTES } from '../formats/modelConfig';
import type { Tokenizer } from './contract';
import { makeExact } from './exactNormalisers';
import { loadPieceTokenizer } from './sentencePiece/pieceTokenizer';
import { cutRule, cutText } from './textPieces';
import type { Json, TokenizerFiles } from './tokenizerFiles';
import { isObject, readPieceFolder, readTokenizerFiles, tokenText } from './tokenizerFiles';
import { likeTransformers, namedTokens } from './tokenizerLikeTransformers';

/** Models of tokenizer.json that the library knows. */
const modelTypes: ReadonlySet<string> = new Set(['BPE', 'Unigram', 'WordPiece']);

/** Pieces of a long text. Long enough that the call costs nothing, short enough for models that recurse or build a lattice. */
const PIECE_UNITS = 16_384;

/** No published vocabulary comes near; an id above this is a broken file and would size an array. */
const MAX_TOKEN_ID = 16 * 1024 * 1024;

/**
 * Loads the tokenizer of a model folder: tokenizer.json, else a SentencePiece model, else GPT-2's vocab.json and
 * merges.txt, else BERT's vocab.txt, with what tokenizer_config.json adds; the same ids as transformers' `AutoTokenizer`
 * gives, and of a SentencePiece model alone those of SentencePiece.
 *
 * @param pieceUnits length of the pieces a long text is cut into, in UTF-16 units; the ids do not depend on it
 * @throws CheckpointError `no-tokenizer`, `tokenizer-broken`
 */
export function loadTokenizer(folder: string, pieceUnits = PIECE_UNITS): Tokenizer {
  const pieces = readPieceFolder(folder);
  if (pieces) return loadPieceTokenizer({ ...pieces, modelType: modelTypeOf(folder) });
  const files = readTokenizerFiles(folder);
  return makeTokenizer(files, likeTransformers(files.tokenizer, files.config, modelTypeOf(folder)), pieceUnits);
}

/**
 * The tokenizer of a checkpoint: its files' own where they hold one (GGUF), else its folder's.
 *
 * @throws CheckpointError `no-tokenizer`, `tokenizer-broken`
 */
export function tokenizerOf(checkpoint: Checkpoint): Tokenizer {
  const own = formatOf(checkpoint.format).readTokenizer?.(checkpoint);
  return own ? makeTokenizer(own, likeTransformers(own.tokenizer, own.config, null), PIECE_UNITS) : loadTokenizer(checkpoint.folder);
}

function makeTokenizer(files: TokenizerFiles, json: Json, pieceUnits: number): Tokenizer {
  const broken = (detail: string): CheckpointError => new CheckpointError('tokenizer-broken', { file: files.file }, detail);
  const { model } = files.tokenizer;
  if (!isObject(model)) throw broken('no "model" in it');
  checkIds(json, broken);
  let library: LibraryTokenizer, continued: LibraryTokenizer;
  try {
    library = makeLibrary(json, files.config);
    const plain = withoutPrepend(json.normalizer);
    continued = plain === json.normalizer ? library : makeLibrary({ ...json, normalizer: plain }, files.config);
  } catch (error) {
    throw broken(error instanceof Error ? error.message : String(error));
  }
  const added = (json.added_tokens as Json[]).map((token) => String(token.content)).filter((content) => content !== '');
  const rule = addedTokensAllowCuts(json.added_tokens as Json[]) ? cutRule(json) : null;
  const vocabulary = library.get_vocab();
  let highest = -1;
  for (const id of vocabulary.values()) if (id > highest) highest = id;
  const around = aroundText(library, json, files.config, broken);

  return {
    size: highest + 1,
    name: `${path.basename(files.file)} ${typeof model.type === 'string' ? model.type : 'BPE'} ${highest + 1}, ${around.prefix.length === 0 ? 'no begin token' : `begin ${around.prefix.map((id) => library.id_to_token(id)).join(' ')}`}`,
    ...around,
    encode: (text) => {
      const wholeOnly = continued !== library && added.some((content) => text.includes(content));
      const pieces = rule === null || wholeOnly ? [text] : cutText(text, rule, pieceUnits);
      return encodePieces(pieces, library, continued, broken);
    },
    idOf: (token) => library.token_to_id(token) ?? null,
    mask: maskOf(library, files.config),
    begin: namedId(library, files.config.bos_token), end: namedId(library, files.config.eos_token),
    specialIds: specialIdsOf(library, json, files.config),
    tokenOf: (id) => library.id_to_token(id) ?? `#${id}`,
  };
}

function makeLibrary(json: Json, config: Json): LibraryTokenizer {
  // The library insists on all five keys; a file that leaves one out means null.
  const library = new LibraryTokenizer({ normalizer: null, post_processor: null, decoder: null, ...json, pre_tokenizer: withAllDigits(json.pre_tokenizer) ?? null }, config);
  makeExact(library.normalizer);
  return library;
}

/** `Digits` as an equal `Split`: the Rust library takes every number character (\p{N}: also one half, Roman and Arabic-Indic digits), this one 0 to 9. */
function withAllDigits(pre: unknown): unknown {
  if (!isObject(pre)) return pre;
  if (pre.type === 'Sequence' && Array.isArray(pre.pretokenizers)) return { ...pre, pretokenizers: pre.pretokenizers.map(withAllDigits) };
  if (pre.type !== 'Digits') return pre;
  return { type: 'Split', pattern: { Regex: pre.individual_digits === true ? '\\p{N}' : '\\p{N}+' }, behavior: 'Isolated', invert: false };
}

function encodePieces(pieces: readonly string[], first: LibraryTokenizer, rest: LibraryTokenizer, broken: (detail: string) => CheckpointError): Uint32Array {
  const chunks = pieces.map((piece, i) => (i === 0 ? first : rest).encode(piece, { add_special_tokens: false }).ids);
  const ids = new Uint32Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    for (const id of chunk) {
      if (id === undefined) throw broken('a piece of the text has no id and there is no unknown token');
      ids[at++] = id;
    }
  }
  return ids;
}

/** The id of a token that the configuration names. */
function namedId(library: LibraryTokenizer, token: unknown): number | null {
  const content = tokenText(token);
  return content === null ? null : library.token_to_id(content) ?? null;
}

/** `mask_token` of the configuration, else the usual names. */
function maskOf(library: LibraryTokenizer, config: Json): number | null {
  const named = tokenText(config.mask_token);
  for (const content of named === null ? ['[MASK]', '<mask>'] : [named]) {
    const id = library.token_to_id(content);
    if (id !== undefined) return id;
  }
  return null;
}

/** What transformers calls special: the named tokens, and added tokens marked so. */
function specialIdsOf(library: LibraryTokenizer, json: Json, config: Json): ReadonlySet<number> {
  const marked = (json.added_tokens as Json[]).filter((token) => token.special === true).map((token) => token.id as number);
  const named = namedTokens.flatMap((name) => { const content = tokenText(config[name]); return content === null ? [] : library.token_to_id(content) ?? []; });
  return new Set([...marked, ...named]);
}

/** What the post-processor puts before and after one text. */
function aroundText(library: LibraryTokenizer, json: Json, config: Json, broken: (detail: string) => CheckpointError): { prefix: number[]; suffix: number[] } {
  const flagged = typeof config.add_bos_token === 'boolean' || typeof config.add_eos_token === 'boolean';
  if (flagged) {
    const one = (flag: unknown, token: unknown, fallback: string): number[] => {
      const content = tokenText(token) ?? (String(config.tokenizer_class).startsWith('LlamaTokenizer') ? fallback : null);
      const id = flag === true && content !== null ? library.token_to_id(content) : undefined;
      return id === undefined ? [] : [id];
    };
    return { prefix: one(config.add_bos_token, config.bos_token, '<s>'), suffix: one(config.add_eos_token, config.eos_token, '</s>') };
  }
  if (json.post_processor === null || json.post_processor === undefined) return { prefix: [], suffix: [] };
  // Encode a text that is one token and see what appears around it.
  const probe = 'a';
  const bare = library.encode(probe, { add_special_tokens: false }).ids;
  const full = library.encode(probe).ids;
  for (let at = 0; at + bare.length <= full.length; at++) {
    if (bare.every((id, i) => full[at + i] === id)) return { prefix: full.slice(0, at), suffix: full.slice(at + bare.length) };
  }
  throw broken('its post-processor does not keep the text');
}

/** The normaliser for a piece that is not the start of the text. */
function withoutPrepend(normalizer: unknown): unknown {
  if (!isObject(normalizer)) return normalizer;
  if (normalizer.type === 'Prepend') return null;
  if (normalizer.type !== 'Sequence' || !Array.isArray(normalizer.normalizers)) return normalizer;
  const kept = normalizer.normalizers.filter((n: unknown) => !(isObject(n) && n.type === 'Prepend'));
  return kept.length === normalizer.normalizers.length ? normalizer : { ...normalizer, normalizers: kept };
}

/** A cut must not fall into an added token, nor take away the blanks that one strips on its right. */
const addedTokensAllowCuts = (added: readonly Json[]): boolean =>
  added.every((token) => !/\p{L} /u.test(String(token.content)) && !(token.rstrip === true && /\p{L}$/u.test(String(token.content))));

function checkIds(json: Json, broken: (detail: string) => CheckpointError): void {
  const check = (name: unknown, id: unknown): void => {
    if (typeof id !== 'number' || !Number.isInteger(id) || id < 0 || id > MAX_TOKEN_ID) throw broken(`token ${JSON.stringify(name)} has the id ${JSON.stringify(id)}`);
  };
  const model = json.model as Json;
  if (model.type !== undefined && !modelTypes.has(String(model.type))) throw broken(`a model of type ${JSON.stringify(model.type)}, not one of ${[...modelTypes].join(', ')}`);
  const vocab = model.vocab;
  if (isObject(vocab)) for (const [name, id] of Object.entries(vocab)) check(name, id);
  else if (!Array.isArray(vocab)) throw broken('no "vocab" in its model');
  if ((model.type === 'BPE' || model.type === undefined) && isObject(vocab) && !Array.isArray(model.merges)) throw broken('no "merges" in its model');
  for (const token of json.added_tokens as Json[]) check(token.content, token.id);
}

/** `model_type` of the folder's config.json; null when there is none or it cannot be read (others complain about that). */
function modelTypeOf(folder: string): string | null {
  try {
    const config: unknown = JSON.parse(readWholeText(path.join(folder, 'config.json'), MAX_CONFIG_BYTES));
    return isObject(config) && typeof config.model_type === 'string' ? config.model_type : null;
  } catch {
    return null;
  }
}
