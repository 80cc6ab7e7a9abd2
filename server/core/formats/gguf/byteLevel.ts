import { CheckpointError } from '../../errors';
import type { TokenizerSource } from '../contract';
import { addedTokens, templateAround, texts } from './vocabulary';
import type { Vocabulary } from './vocabulary';

type Step = Readonly<Record<string, unknown>>;

const split = (pattern: string): Step => ({ type: 'Split', pattern: { Regex: pattern }, behavior: 'Isolated', invert: false });
const byteLevel = (regex: boolean): Step => ({ type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: regex });

/** Words with their contractions, then numbers of at most so many digits, then the rest: GPT-4's pattern and its descendants. */
const words = (digits: string): string =>
  `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;

/** Words that change from capitals to small letters once: GPT-4o's pattern and Mistral's Tekken. */
const casedWords = (contraction: string, digits: string): string => {
  const upper = '\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}', lower = '\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}', before = '[^\\r\\n\\p{L}\\p{N}]?';
  return `${before}[${upper}]*[${lower}]+${contraction}|${before}[${upper}]+[${lower}]*${contraction}|\\p{N}${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;
};

interface Kind {
  readonly steps: readonly Step[];
  /** A whole word that is a token is taken without merging. */
  readonly ignoreMerges?: boolean;
  readonly addsBegin?: boolean;
  readonly normalizer?: Step;
}

const eachDigit: Step = { type: 'Digits', individual_digits: true };
const gpt2: Kind = { steps: [byteLevel(true)] };
const digits: Kind = { steps: [eachDigit, byteLevel(true)] };
const llama3: Kind = { steps: [split(words('{1,3}')), byteLevel(false)], ignoreMerges: true, addsBegin: true };
const qwen2: Kind = { steps: [split(words('')), byteLevel(false)], normalizer: { type: 'NFC' } };

const tekken: Kind = { steps: [split(casedWords('', '')), byteLevel(false)], ignoreMerges: true, addsBegin: true };
const gpt4o: Kind = { steps: [split(casedWords("(?i:'s|'t|'re|'ve|'m|'ll|'d)?", '{1,3}')), byteLevel(false)] };
const threes = split('[0-9][0-9][0-9]');
const deepseekCoder: Kind = {
  steps: [split('[\\r\\n]'), split('\\s?\\p{L}+'), split('\\s?\\p{P}+'), split('[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+'), eachDigit, byteLevel(false)],
};
const falcon: Kind = { steps: [{ type: 'Punctuation', behavior: 'Contiguous' }, byteLevel(true), { type: 'Digits', individual_digits: false }, threes] };
/** What llama.cpp does with a file that names no kind, or that was converted before its kind had a name. No tokenizer.json has this rule. */
const unnamed: Kind = {
  steps: [split('[\\p{P}\\$\\+<=>\\^~\\|]+'), split("'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)"), split('\\p{N}+'), threes, byteLevel(false)],
};

/**
 * How a text is cut before merging, by `tokenizer.ggml.pre`: the names that llama.cpp gives, the rules that the published
 * tokenizer.json files have. A kind that is not here is refused: other cuts would be other tokens.
 */
const kinds: Readonly<Record<string, Kind>> = {
  'gpt-2': gpt2, 'phi-2': gpt2, mpt: gpt2, olmo: gpt2, jais: gpt2, 'jina-es': gpt2, 'jina-de': gpt2, 'jina-v1-en': gpt2, 'jina-v2-es': gpt2, 'jina-v2-de': gpt2, 'roberta-bpe': gpt2,
  smollm: digits, starcoder: digits, refact: digits, 'command-r': digits, codeshell: digits, exaone: digits,
  llama3: llama3, 'llama-v3': llama3, 'llama-bpe': llama3, dbrx: { steps: llama3.steps }, 'smaug-bpe': { steps: llama3.steps },
  tekken, 'gpt-4o': gpt4o, 'deepseek-coder': deepseekCoder, falcon, default: unnamed,
  qwen2: qwen2, stablelm2: qwen2, 'deepseek-r1-qwen': qwen2, megrez: qwen2,
};

/** @throws CheckpointError `tokenizer-broken` without merges, or cut in a way that is not known */
export function byteLevelTokenizer(vocabulary: Vocabulary, config: Record<string, unknown>): Omit<TokenizerSource, 'file'> {
  const { file, tokens, values, wanted } = vocabulary;
  const broken = (detail: string): CheckpointError => new CheckpointError('tokenizer-broken', { file }, detail);
  const merges = texts(wanted.get('tokenizer.ggml.merges'));
  if (!merges) throw broken('a byte-level tokenizer without tokenizer.ggml.merges');
  const pre = values['tokenizer.ggml.pre'];
  // Files of before the key existed are GPT-2's where the architecture is.
  const name = pre ?? (values['general.architecture'] === 'gpt2' ? 'gpt-2' : 'default');
  if (!Object.hasOwn(kinds, name)) throw broken(`it cuts texts as "${name.slice(0, 40)}", which is not known; ${Object.keys(kinds).join(', ')} are`);
  const { steps, ignoreMerges = false, addsBegin = false, normalizer = null } = kinds[name];
  const pairs = merges.map((merge, i): [string, string] => {
    // The first half may begin with a blank in files that did not encode it.
    const at = merge.indexOf(' ', 1);
    if (at === -1) throw broken(`merge ${i} is not two pieces`);
    return [merge.slice(0, at), merge.slice(at + 1)];
  });
  const full = { add_bos_token: addsBegin, add_eos_token: false, ...config };
  return {
    config: full,
    tokenizer: {
      version: '1.0', truncation: null, padding: null, added_tokens: addedTokens(vocabulary), normalizer,
      pre_tokenizer: steps.length === 1 ? steps[0] : { type: 'Sequence', pretokenizers: steps },
      post_processor: templateAround(full, tokens), decoder: byteLevel(true),
      model: {
        type: 'BPE', dropout: null, unk_token: null, continuing_subword_prefix: null, end_of_word_suffix: null, fuse_unk: false, byte_fallback: false, ignore_merges: ignoreMerges,
        vocab: Object.fromEntries(tokens.map((token, id) => [token, id])), merges: pairs,
      },
    },
  };
}
