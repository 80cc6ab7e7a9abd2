import { createHash } from 'node:crypto';
import { CheckpointError } from '../../errors';
import type { TokenizerSource } from '../contract';
import { addedTokens, flag, numbers, templateAround } from './vocabulary';
import type { Vocabulary } from './vocabulary';

const BLANK = '\u2581';

/** SentencePiece's table `nmt_nfkc`, which T5 and nearly all others were trained with: the one that `Precompiled` is held against. */
const NMT_NFKC = '0942789e0111452f1cc446f70036e26d24458c3c7858c53cc12ca4d87531279b';

/** T5's sentinels come after its pieces, the last first: `<extra_id_99>` to `<extra_id_0>`. */
const SENTINELS = 100;

/**
 * A SentencePiece Unigram vocabulary (`tokenizer.ggml.model` t5) as T5's published tokenizer.json says it: the table of
 * characters, runs of blanks made one, blanks as U+2581, the best path by the scores.
 *
 * @throws CheckpointError `tokenizer-broken` without scores or an unknown token, or with a table that is not known
 */
export function unigramTokenizer(vocabulary: Vocabulary, config: Record<string, unknown>): Omit<TokenizerSource, 'file'> {
  const { file, types, values, wanted } = vocabulary, tokens = withSentinels(vocabulary);
  const broken = (detail: string): CheckpointError => new CheckpointError('tokenizer-broken', { file }, detail);
  const scores = numbers(wanted.get('tokenizer.ggml.scores'));
  if (scores?.length !== tokens.length) throw broken(`${tokens.length} tokens, ${scores?.length ?? 'no'} scores`);
  const unknown = types.indexOf(2);
  if (unknown === -1) throw broken('no token is of the type "unknown"');
  const prefix = flag(values['tokenizer.ggml.add_space_prefix']) !== false, merged = flag(values['tokenizer.ggml.remove_extra_whitespaces']) !== false;
  const normalizers = [...tableOf(vocabulary, broken), ...(merged ? [{ type: 'Replace', pattern: { Regex: ' {2,}' }, content: ' ' }] : [])];
  const blanks = { type: 'Metaspace', replacement: BLANK, prepend_scheme: prefix ? 'always' : 'never', split: true };
  const full = { add_bos_token: false, add_eos_token: true, ...config, unk_token: tokens[unknown] };
  // Control tokens, and the sentinels that had no name.
  const added = addedTokens({ ...vocabulary, tokens, types: types.map((type, id) => (tokens[id] === vocabulary.tokens[id] && type !== 2 ? type : 3)) });
  return {
    config: full,
    tokenizer: {
      version: '1.0', truncation: null, padding: null, added_tokens: added, normalizer: normalizers.length === 0 ? null : { type: 'Sequence', normalizers },
      pre_tokenizer: blanks, post_processor: templateAround(full, tokens), decoder: blanks,
      model: { type: 'Unigram', unk_id: unknown, byte_fallback: types.includes(6), vocab: tokens.map((token, id) => [token, scores[id]]) },
    },
  };
}

/** The normaliser that stands for `precompiled_charsmap`. */
function tableOf({ wanted }: Vocabulary, broken: (detail: string) => CheckpointError): readonly Record<string, unknown>[] {
  const bytes = numbers(wanted.get('tokenizer.ggml.precompiled_charsmap'));
  if (!bytes || bytes.length === 0) return [];
  const table = Uint8Array.from(bytes), digest = createHash('sha256').update(table).digest('hex');
  if (digest !== NMT_NFKC) throw broken(`its table of characters (precompiled_charsmap, ${table.length} bytes, sha256 ${digest.slice(0, 12)}) is not SentencePiece's nmt_nfkc, the one that is known`);
  return [{ type: 'Precompiled', precompiled_charsmap: Buffer.from(table).toString('base64') }];
}

/** llama.cpp's converter fills a vocabulary up with `[PAD1]`, `[PAD2]`...; of T5 the first hundred are the sentinels, which SentencePiece does not hold. */
function withSentinels({ tokens, types }: Vocabulary): readonly string[] {
  const from = tokens.indexOf('[PAD1]');
  const padded = from !== -1 && !tokens.includes('<extra_id_0>') && Array.from({ length: SENTINELS }, (_, i) => from + i).every((id, i) => tokens[id] === `[PAD${i + 1}]` && types[id] === 5);
  return padded ? tokens.map((token, id) => (id >= from && id < from + SENTINELS ? `<extra_id_${from + SENTINELS - 1 - id}>` : token)) : tokens;
}
