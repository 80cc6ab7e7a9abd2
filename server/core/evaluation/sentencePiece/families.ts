import type { Json } from '../tokenizerFiles';

/** What the models of one family do with a SentencePiece file, beyond what the file says. */
export interface PieceFamily {
  /** Where each piece goes and what is put before and after them: texts by id, from the pieces of the file. */
  readonly layout: 'as stored' | 'fairseq' | 'with sentinels';
  /** Texts of the tokens around a text. */
  readonly before: readonly string[];
  readonly after: readonly string[];
  /** Names of special tokens where tokenizer_config.json gives none. */
  readonly named: Readonly<Record<string, string>>;
  /** The blank before a text: before each part between special tokens, or before the first and not before a blank that is there. */
  readonly prefix: 'always' | 'first';
  /** What is done to a text before the file's own normaliser. */
  readonly clean?: (text: string, config: Json) => string;
}

const cls = { before: ['[CLS]'], after: ['[SEP]'] };
const bert = { pad_token: '[PAD]', unk_token: '[UNK]', cls_token: '[CLS]', sep_token: '[SEP]', mask_token: '[MASK]' };
const angles = { bos_token: '<s>', eos_token: '</s>', unk_token: '<unk>' };

const stored: PieceFamily = { layout: 'as stored', before: [], after: [], named: {}, prefix: 'always' };
const llama: PieceFamily = { ...stored, before: ['<s>'], named: angles, prefix: 'first' };
const t5: PieceFamily = { ...stored, layout: 'with sentinels', after: ['</s>'], named: { eos_token: '</s>', unk_token: '<unk>', pad_token: '<pad>' } };
const fairseq: PieceFamily = { layout: 'fairseq', before: ['<s>'], after: ['</s>'], named: { ...angles, pad_token: '<pad>', cls_token: '<s>', sep_token: '</s>', mask_token: '<mask>' }, prefix: 'always' };
const debertaV2: PieceFamily = {
  ...stored, ...cls, named: bert,
  // tokenization_deberta_v2.py of transformers, the class over SentencePiece itself.
  clean: (text, config) => (config.do_lower_case === true ? text.toLowerCase() : text),
};
const albert: PieceFamily = {
  ...stored, ...cls, named: { ...bert, unk_token: '<unk>', pad_token: '<pad>' },
  // run_classifier's preprocess_text of ALBERT: blanks, quotes, accents, case.
  clean: (text, config) => {
    const spaced = config.remove_space === false ? text : text.trim().split(/\s+/u).join(' ');
    const quoted = spaced.replaceAll('``', '"').replaceAll('\'\'', '"');
    const plain = config.keep_accents === true ? quoted : quoted.normalize('NFKD').replace(/\p{M}/gu, '');
    return config.do_lower_case === false ? plain : plain.toLowerCase();
  },
};
const gemma: PieceFamily = { ...stored, before: ['<bos>'], named: { bos_token: '<bos>', eos_token: '<eos>', unk_token: '<unk>', pad_token: '<pad>' } };

/** By `model_type` of config.json. */
const byModelType: Readonly<Record<string, PieceFamily>> = {
  t5, mt5: t5, umt5: t5, albert, 'deberta-v2': debertaV2, 'xlm-roberta': fairseq, camembert: fairseq, llama, mistral: llama, mixtral: llama, gemma, gemma2: gemma, gemma3: gemma, gemma3_text: gemma,
};
/** By `tokenizer_class` of tokenizer_config.json, which knows better where there is one. */
const byClass: Readonly<Record<string, PieceFamily>> = {
  T5Tokenizer: t5, MT5Tokenizer: t5, AlbertTokenizer: albert, DebertaV2Tokenizer: debertaV2, XLMRobertaTokenizer: fairseq, LlamaTokenizer: llama, CodeLlamaTokenizer: llama, GemmaTokenizer: gemma,
};

/** The family of a folder; one that is not known takes the file as it is, and adds nothing around a text. */
export function pieceFamily(modelType: string | null, config: Json): PieceFamily {
  const declared = typeof config.tokenizer_class === 'string' ? config.tokenizer_class.replace(/Fast$/, '') : '';
  if (Object.hasOwn(byClass, declared)) return byClass[declared];
  return modelType !== null && Object.hasOwn(byModelType, modelType) ? byModelType[modelType] : stored;
}
