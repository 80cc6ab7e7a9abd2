import { CheckpointError } from '../../errors';
import type { Checkpoint, GeneratedFile, TokenizerSource } from '../contract';
import { withFile } from '../fileHead';
import { readMetadata, readPreamble } from './metadata';
import { byteLevelTokenizer } from './byteLevel';
import { sentencePieceTokenizer } from './sentencePiece';
import { unigramTokenizer } from './unigram';
import { HeaderReader } from './reader';
import { flag, numbers, texts } from './vocabulary';
import type { Vocabulary } from './vocabulary';

const key = (name: string): string => `tokenizer.ggml.${name}`;
const WANTED = new Set([...['tokens', 'token_type', 'merges', 'scores', 'precompiled_charsmap'].map(key), 'tokenizer.chat_template']);

/**
 * The tokenizer in the metadata of a GGUF file as tokenizer.json and tokenizer_config.json would say it: byte-level BPE
 * (`gpt2`), SentencePiece BPE with scores (`llama`), or SentencePiece Unigram (`t5`). Null where the file has no tokens.
 *
 * @throws CheckpointError `no-tokenizer` for other kinds, `tokenizer-broken`
 */
export function readGgufTokenizer(checkpoint: Checkpoint): TokenizerSource | null {
  // Of a split model the first part has the metadata.
  const { path: file } = checkpoint.files[0];
  const metadata = withFile(file, (fd, byteLength) => {
    const reader = new HeaderReader(fd, file, byteLength);
    return readMetadata(reader, file, readPreamble(reader, file).keys, WANTED);
  });
  const { values, wanted } = metadata, tokens = texts(wanted.get(key('tokens')));
  if (!tokens) return null;
  const types = numbers(wanted.get(key('token_type'))) ?? tokens.map(() => 1);
  if (types.length !== tokens.length) throw new CheckpointError('tokenizer-broken', { file }, `${tokens.length} tokens, ${types.length} token types`);
  const vocabulary: Vocabulary = { file, tokens, types, values, wanted };
  const kind = values[key('model')], config = configOf(vocabulary);
  if (kind === 'gpt2') return { file, ...byteLevelTokenizer(vocabulary, config) };
  if (kind === 'llama') return { file, ...sentencePieceTokenizer(vocabulary, config) };
  if (kind === 't5') return { file, ...unigramTokenizer(vocabulary, config) };
  throw new CheckpointError('no-tokenizer', { file }, `its metadata hold a tokenizer of kind ${JSON.stringify(kind ?? null).slice(0, 40)}; gpt2, llama and t5 are read`);
}

/** tokenizer_config.json, without `add_bos_token` and `add_eos_token` where the metadata do not say. */
function configOf({ values, tokens, wanted }: Vocabulary): Record<string, unknown> {
  const named = ([['bos', 'bos'], ['eos', 'eos'], ['unk', 'unknown'], ['pad', 'padding'], ['sep', 'seperator'], ['mask', 'mask']] as const)
    .map(([name, stored]): [string, string | undefined] => [`${name}_token`, tokens[Number(values[key(`${stored}_token_id`)])]]).filter(([, text]) => text !== undefined);
  const flags = (['add_bos_token', 'add_eos_token'] as const).map((name): [string, boolean | undefined] => [name, flag(values[key(name)])]).filter(([, value]) => value !== undefined);
  const template = wanted.get('tokenizer.chat_template')?.[0];
  const context = Number(values[`${values['general.architecture']}.context_length`]);
  return {
    tokenizer_class: 'PreTrainedTokenizerFast', clean_up_tokenization_spaces: false, ...Object.fromEntries(named), ...Object.fromEntries(flags),
    ...(Number.isInteger(context) && { model_max_length: context }), ...(typeof template === 'string' && { chat_template: template }),
  };
}

/** config.json, and the tokenizer's two files where the metadata hold one that can be said so. */
export function ggufSidecars(checkpoint: Checkpoint): readonly GeneratedFile[] {
  const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;
  const config = checkpoint.config ? [{ name: 'config.json', text: json({ ...checkpoint.config, dtype: 'float32' }) }] : [];
  let tokenizer: TokenizerSource | null = null;
  try {
    tokenizer = readGgufTokenizer(checkpoint);
  } catch (error) {
    // A kind that cannot be said in tokenizer.json: the weights are written all the same.
    if (!(error instanceof CheckpointError)) throw error;
  }
  if (!tokenizer) return config;
  return [...config, { name: 'tokenizer.json', text: JSON.stringify(tokenizer.tokenizer) }, { name: 'tokenizer_config.json', text: json(tokenizer.config) }];
}
