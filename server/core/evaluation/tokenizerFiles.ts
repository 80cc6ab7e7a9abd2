import { existsSync } from 'node:fs';
import path from 'node:path';
import { readWholeText } from '../bytes/readWhole';
import { CheckpointError } from '../errors';

/** Untrusted JSON, looked at key by key. */
export type Json = Record<string, unknown>;

/** The largest tokenizer files seen (256k entries) are under 40 MB; more is not a tokenizer. */
const MAX_TOKENIZER_BYTES = 256 * 1024 * 1024;

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

/**
 * Finds and reads the tokenizer of a model folder.
 *
 * @throws CheckpointError `no-tokenizer` with what was looked for; `tokenizer-broken` when a file is not what its name says
 */
export function readTokenizerFiles(folder: string): TokenizerFiles {
  const at = (name: string): string => path.join(folder, name);
  const configFile = at('tokenizer_config.json');
  const config = existsSync(configFile) ? readObject(configFile) : {};
  const specials = at('special_tokens_map.json');
  const merged: Json = existsSync(specials) ? { ...readObject(specials), ...config } : config;
  if (existsSync(at('tokenizer.json'))) return { file: at('tokenizer.json'), tokenizer: readObject(at('tokenizer.json')), config: merged };
  const vocab = at('vocab.json'), merges = at('merges.txt');
  if (existsSync(vocab) && existsSync(merges)) return { file: vocab, tokenizer: fromVocabAndMerges(vocab, merges, merged), config: merged };
  const alsoThere = ['spiece.model', 'tokenizer.model', 'vocab.txt', 'vocab.json', 'merges.txt'].filter((name) => existsSync(at(name)));
  const unread = alsoThere.length > 0 ? `; ${alsoThere.join(' and ')} alone cannot be read yet` : '';
  throw new CheckpointError('no-tokenizer', { file: folder }, `looked for tokenizer.json, and for vocab.json with merges.txt${unread}`);
}
