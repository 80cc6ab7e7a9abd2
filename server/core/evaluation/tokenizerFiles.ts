import { existsSync } from 'node:fs';
import path from 'node:path';
import { readWholeText } from '../bytes/readWhole';
import { CheckpointError } from '../errors';

/** Untrusted JSON, looked at key by key. */
export type Json = Record<string, unknown>;

/** The largest tokenizer files seen (256k entries) are under 40 MB; more is not a tokenizer. */
const MAX_TOKENIZER_BYTES = 256 * 1024 * 1024;
/** No published vocabulary comes near. */
const MAX_VOCABULARY = 16 * 1024 * 1024;

/** What a folder says about its tokenizer: the pieces of tokenizer.json, and tokenizer_config.json beside it. */
export interface TokenizerFiles {
  /** The file the entries came from, for messages and results. */
  readonly file: string;
  /** A tokenizer.json object, read or assembled from vocab.json and merges.txt. */
  readonly tokenizer: Json;
  readonly config: Json;
}

/** A JSON object: neither null nor an array. */
export const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value);

/** One text of a special token, given as it is or as an object with `content`. */
export const tokenText = (value: unknown): string | null => (typeof value === 'string' ? value : isObject(value) && typeof value.content === 'string' ? value.content : null);

const readText = (file: string): string => readWholeText(file, MAX_TOKENIZER_BYTES);

function readObject(file: string): Json {
  const text = readText(file);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new CheckpointError('tokenizer-broken', { file }, `not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (!isObject(value)) throw new CheckpointError('tokenizer-broken', { file }, 'not a JSON object');
  return value;
}

/** merges.txt: one pair a line, an optional `#version` line first. */
function readMerges(file: string): [string, string][] {
  const lines = readText(file).split('\n').map((line) => line.replace(/\r$/, ''));
  return lines.flatMap((line, i): [string, string][] => {
    if (line.trim() === '' || (i === 0 && line.startsWith('#version'))) return [];
    const space = line.indexOf(' ');
    if (space <= 0 || line.indexOf(' ', space + 1) !== -1) throw new CheckpointError('tokenizer-broken', { file, line: i + 1 }, 'a merge is two pieces with one blank between');
    return [[line.slice(0, space), line.slice(space + 1)]];
  });
}

/** The tokenizer.json that GPT-2's two files stand for: byte-level BPE, no normaliser, nothing added around a text. */
function fromVocabAndMerges(vocabFile: string, mergesFile: string, config: Json): Json {
  const byteLevel = { type: 'ByteLevel', add_prefix_space: config.add_prefix_space === true, trim_offsets: true, use_regex: true };
  return {
    version: '1.0', truncation: null, padding: null, added_tokens: [], normalizer: null, pre_tokenizer: byteLevel, post_processor: byteLevel, decoder: byteLevel,
    model: { type: 'BPE', dropout: null, unk_token: null, continuing_subword_prefix: '', end_of_word_suffix: '', fuse_unk: false, byte_fallback: false, ignore_merges: false,
      vocab: readObject(vocabFile), merges: readMerges(mergesFile) },
  };
}

/** vocab.txt: one token a line, its number the id. */
function readVocabulary(file: string): Record<string, number> {
  const lines = readText(file).split('\n').map((line) => line.replace(/\r$/, ''));
  if (lines.at(-1) === '') lines.pop();
  if (lines.length > MAX_VOCABULARY) throw new CheckpointError('tokenizer-broken', { file }, `more than ${MAX_VOCABULARY} lines`);
  const vocab: Record<string, number> = Object.create(null) as Record<string, number>;
  lines.forEach((line, id) => { vocab[line] = id; });
  return vocab;
}

/** The tokenizer.json that BERT's vocab.txt stands for: WordPiece over words and marks, lower case without accents unless the configuration says otherwise. */
function fromVocabulary(file: string, config: Json): Json {
  const vocab = readVocabulary(file), text = (key: string, usual: string): string => tokenText(config[key]) ?? usual;
  const unknown = text('unk_token', '[UNK]'), begin = text('cls_token', '[CLS]'), end = text('sep_token', '[SEP]');
  for (const token of [unknown, begin, end]) if (!Object.hasOwn(vocab, token)) throw new CheckpointError('tokenizer-broken', { file }, `no ${token} among its ${Object.keys(vocab).length} tokens`);
  const special = (token: string): Json => ({ SpecialToken: { id: token, type_id: 0 } }), body: Json = { Sequence: { id: 'A', type_id: 0 } };
  const named = [unknown, begin, end, text('pad_token', '[PAD]'), text('mask_token', '[MASK]')].filter((token) => Object.hasOwn(vocab, token));
  return {
    version: '1.0', truncation: null, padding: null,
    added_tokens: [...new Set(named)].map((content) => ({ id: vocab[content], content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true })),
    normalizer: {
      type: 'BertNormalizer', clean_text: true, handle_chinese_chars: config.tokenize_chinese_chars !== false,
      strip_accents: typeof config.strip_accents === 'boolean' ? config.strip_accents : null, lowercase: config.do_lower_case !== false,
    },
    pre_tokenizer: { type: 'BertPreTokenizer' }, decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    post_processor: {
      type: 'TemplateProcessing', single: [special(begin), body, special(end)], pair: [special(begin), body, special(end), { Sequence: { id: 'B', type_id: 1 } }, special(end)],
      special_tokens: Object.fromEntries([begin, end].map((token) => [token, { id: token, ids: [vocab[token]], tokens: [token] }])),
    },
    model: { type: 'WordPiece', unk_token: unknown, continuing_subword_prefix: '##', max_input_chars_per_word: 100, vocab },
  };
}

/** Names under which SentencePiece models are published. */
const PIECE_FILES = ['spiece.model', 'spm.model', 'sentencepiece.bpe.model', 'tokenizer.model', 'sentencepiece.model'];

/** tokenizer_config.json over special_tokens_map.json, as far as they are there. */
function readConfig(folder: string): Json {
  const objects = ['special_tokens_map.json', 'tokenizer_config.json'].map((name) => path.join(folder, name)).filter((file) => existsSync(file)).map(readObject);
  return Object.assign({}, ...objects) as Json;
}

/** What a folder says whose tokenizer is a SentencePiece model; null where there is none, or something that goes before it. */
export function readPieceFolder(folder: string): { readonly file: string; readonly config: Json; readonly added: Readonly<Record<string, number>> } | null {
  if (existsSync(path.join(folder, 'tokenizer.json'))) return null;
  const file = PIECE_FILES.map((name) => path.join(folder, name)).find((each) => existsSync(each));
  if (file === undefined) return null;
  const addedFile = path.join(folder, 'added_tokens.json'), added = existsSync(addedFile) ? readObject(addedFile) : {};
  for (const [token, id] of Object.entries(added)) if (typeof id !== 'number' || !Number.isInteger(id) || id < 0 || id > MAX_VOCABULARY) throw new CheckpointError('tokenizer-broken', { file: addedFile }, `token ${JSON.stringify(token).slice(0, 80)} has the id ${JSON.stringify(id)}`);
  return { file, config: readConfig(folder), added: added as Record<string, number> };
}

/**
 * Finds and reads the tokenizer of a model folder: tokenizer.json, GPT-2's vocab.json and merges.txt, or BERT's vocab.txt.
 *
 * @throws CheckpointError `no-tokenizer` with what was looked for; `tokenizer-broken` when a file is not what its name says
 */
export function readTokenizerFiles(folder: string): TokenizerFiles {
  const at = (name: string): string => path.join(folder, name), config = readConfig(folder);
  if (existsSync(at('tokenizer.json'))) return { file: at('tokenizer.json'), tokenizer: readObject(at('tokenizer.json')), config };
  const vocab = at('vocab.json'), merges = at('merges.txt');
  if (existsSync(vocab) && existsSync(merges)) return { file: vocab, tokenizer: fromVocabAndMerges(vocab, merges, config), config };
  if (existsSync(at('vocab.txt'))) return { file: at('vocab.txt'), tokenizer: fromVocabulary(at('vocab.txt'), config), config: { unk_token: '[UNK]', cls_token: '[CLS]', sep_token: '[SEP]', pad_token: '[PAD]', mask_token: '[MASK]', ...config } };
  const alsoThere = ['vocab.json', 'merges.txt'].filter((name) => existsSync(at(name)));
  const unread = alsoThere.length > 0 ? `; ${alsoThere.join(' and ')} alone is half of one` : '';
  throw new CheckpointError('no-tokenizer', { file: folder }, `looked for tokenizer.json, ${PIECE_FILES.join(', ')}, vocab.txt, and for vocab.json with merges.txt${unread}`);
}
