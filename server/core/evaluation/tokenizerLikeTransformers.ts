import type { Json } from './tokenizerFiles';
import { isObject, tokenText } from './tokenizerFiles';

/**
 * What `transformers` 5 makes of a tokenizer folder beyond tokenizer.json: read from the behaviour of its `AutoTokenizer`,
 * so that a perplexity here is over the same ids as there.
 *
 * - named special tokens (`bos_token`, ...) and `added_tokens_decoder` of tokenizer_config.json become added tokens;
 * - `add_bos_token` / `add_eos_token`, when given, replace the file's post-processor;
 * - `LlamaTokenizer` over a SentencePiece-style BPE prepends its blank to the start of the text only, and not before a blank;
 * - `GPT2Tokenizer` over GPT-2's own pre-tokeniser takes `add_prefix_space` from tokenizer_config.json.
 *
 * Not followed: version 5 gives every folder that declares `GPT2Tokenizer` (SmolLM, Granite) or `Qwen2Tokenizer` that class's own
 * pre-tokeniser, whatever tokenizer.json says. Version 4, which those models were trained with, reads the file; so do we.
 */
export function likeTransformers(tokenizer: Json, config: Json, modelType: string | null): Json {
  const declared = typeof config.tokenizer_class === 'string' ? config.tokenizer_class.replace(/Fast$/, '') : '';
  const result: Json = { ...tokenizer, added_tokens: withNamedTokens(tokenizer, config) };
  const model = isObject(tokenizer.model) ? tokenizer.model : {};
  if (declared === 'LlamaTokenizer' && (modelType === 'llama' || modelType === null) && model.byte_fallback === true && !usesByteLevel(tokenizer.pre_tokenizer)) {
    const scheme = config.add_prefix_space === false ? 'never' : config.legacy === true ? 'always' : 'first';
    result.normalizer = null;
    result.pre_tokenizer = { type: 'Metaspace', replacement: '\u2581', prepend_scheme: scheme, split: false };
  }
  const pre = tokenizer.pre_tokenizer;
  if (declared === 'GPT2Tokenizer' && isObject(pre) && pre.type === 'ByteLevel') result.pre_tokenizer = { ...pre, add_prefix_space: config.add_prefix_space === true };
  return result;
}

const usesByteLevel = (pre: unknown): boolean =>
  isObject(pre) && (pre.type === 'ByteLevel' || (pre.type === 'Sequence' && Array.isArray(pre.pretokenizers) && pre.pretokenizers.some(usesByteLevel)));

/** Keys of tokenizer_config.json that name a special token. */
export const namedTokens = ['bos_token', 'eos_token', 'unk_token', 'sep_token', 'pad_token', 'cls_token', 'mask_token'];

function withNamedTokens(tokenizer: Json, config: Json): Json[] {
  const added = (Array.isArray(tokenizer.added_tokens) ? tokenizer.added_tokens : []).filter(isObject);
  const model = isObject(tokenizer.model) ? tokenizer.model : {};
  const idOf = (text: string): number | undefined => {
    if (Array.isArray(model.vocab)) {
      const at = model.vocab.findIndex((entry: unknown) => Array.isArray(entry) && entry[0] === text);
      return at === -1 ? undefined : at;
    }
    const id = isObject(model.vocab) && Object.hasOwn(model.vocab, text) ? model.vocab[text] : undefined;
    return typeof id === 'number' ? id : undefined;
  };
  const known = new Set(added.map((token) => token.content));
  let next = nextId(model, added);
  const add = (content: string, options: Json): void => {
    if (known.has(content)) return;
    known.add(content);
    added.push({ single_word: false, lstrip: false, rstrip: false, ...options, content, id: idOf(content) ?? next++ });
  };
  const declared = isObject(config.added_tokens_decoder) ? Object.entries(config.added_tokens_decoder) : [];
  for (const [, token] of declared.sort(([a], [b]) => Number(a) - Number(b))) {
    const content = tokenText(token);
    if (content !== null && isObject(token)) add(content, { ...token, normalized: token.normalized ?? token.special !== true });
  }
  for (const name of namedTokens) {
    const content = tokenText(config[name]);
    if (content !== null && content !== '') add(content, { special: true, normalized: false });
  }
  return added;
}

function nextId(model: Json, added: readonly Json[]): number {
  let highest = -1;
  const see = (id: unknown): void => { if (typeof id === 'number' && id > highest) highest = id; };
  if (Array.isArray(model.vocab)) highest = model.vocab.length - 1;
  else if (isObject(model.vocab)) Object.values(model.vocab).forEach(see);
  for (const token of added) see(token.id);
  return highest + 1;
}
