import { CheckpointError } from '../../errors';
import type { TokenizerSource } from '../contract';
import { addedTokens, flag, numbers, templateAround } from './vocabulary';
import type { Vocabulary } from './vocabulary';

/** Pieces longer than this are never merged from two: no vocabulary has them, and their splits are what costs. */
const MAX_PIECE = 256;

const BLANK = '\u2581';

/**
 * A SentencePiece BPE as tokenizer.json: merges in the order of the scores of what they make, blanks as U+2581, bytes for
 * what has no piece.
 *
 * @throws CheckpointError `tokenizer-broken`
 */
export function sentencePieceTokenizer(vocabulary: Vocabulary, config: Record<string, unknown>): Omit<TokenizerSource, 'file'> {
  const { file, tokens, types, values, wanted } = vocabulary;
  const scores = numbers(wanted.get('tokenizer.ggml.scores'));
  if (scores?.length !== tokens.length) throw new CheckpointError('tokenizer-broken', { file }, `${tokens.length} tokens, ${scores?.length ?? 'no'} scores`);
  const full = { add_bos_token: true, add_eos_token: false, ...config };
  const unknown = types.indexOf(2), prefix = flag(values['tokenizer.ggml.add_space_prefix']) !== false;
  const blanks = { type: 'Replace', pattern: { String: ' ' }, content: BLANK };
  return {
    config: full,
    tokenizer: {
      version: '1.0', truncation: null, padding: null, added_tokens: addedTokens(vocabulary),
      normalizer: prefix ? { type: 'Sequence', normalizers: [{ type: 'Prepend', prepend: BLANK }, blanks] } : blanks,
      pre_tokenizer: null, post_processor: templateAround(full, tokens),
      decoder: {
        type: 'Sequence',
        decoders: [{ type: 'Replace', pattern: { String: BLANK }, content: ' ' }, { type: 'ByteFallback' }, { type: 'Fuse' }, ...(prefix ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : [])],
      },
      model: {
        type: 'BPE', dropout: null, unk_token: unknown === -1 ? null : tokens[unknown], continuing_subword_prefix: null, end_of_word_suffix: null, fuse_unk: true,
        byte_fallback: types.includes(6), ignore_merges: false, vocab: Object.fromEntries(tokens.map((token, id) => [token, id])), merges: mergesOf(tokens, types, scores),
      },
    },
  };
}

/** Every way to make a piece of two, best score first; of one piece's, the halves with the lowest ids first. */
function mergesOf(tokens: readonly string[], types: readonly number[], scores: readonly number[]): [string, string][] {
  const ids = new Map<string, number>();
  tokens.forEach((token, id) => { if (types[id] === 1 || types[id] === 4) ids.set(token, id); });
  const found: { readonly pair: [string, string]; readonly score: number; readonly left: number; readonly right: number }[] = [];
  for (const [piece, id] of ids) {
    if (types[id] !== 1 || piece.length > MAX_PIECE) continue;
    for (let at = 1; at < piece.length; at++) {
      const left = ids.get(piece.slice(0, at));
      if (left === undefined) continue;
      const right = ids.get(piece.slice(at));
      if (right !== undefined) found.push({ pair: [piece.slice(0, at), piece.slice(at)], score: scores[id], left, right });
    }
  }
  // Score, then position: pieces of one score are merged in the order of the vocabulary.
  return found.sort((a, b) => b.score - a.score || a.left - b.left || a.right - b.right).map(({ pair }) => pair);
}
