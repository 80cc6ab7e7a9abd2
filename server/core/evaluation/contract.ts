import type { Problem } from '../errors';
import type { HubFile } from '../hub/hubCache';
import type { Provider } from '../runtime/contract';
import type { TokenCost } from './forecast';

/**
 * One run of the model: `ids` go in; the tokens at [scoreFrom, scoreTo) of `ids` are scored, each predicted by the one before.
 * scoreFrom >= 1. With `masked` the scored tokens are those at `masked.at`, each predicted where it stands (scoreTo - scoreFrom
 * is how many they are).
 */
export interface Window {
  readonly ids: Uint32Array;
  readonly scoreFrom: number;
  readonly scoreTo: number;
  /** What the encoder of an encoder-decoder reads; `ids` are then the decoder's, its start token first. */
  readonly encoder?: Uint32Array;
  readonly masked?: Masked;
  /** How many of `ids` the model reads: all, or all but the last, which is then only predicted. */
  readonly fed?: number;
}

/** Tokens that a masked LM does not see. */
export interface Masked {
  /** Ascending positions in `Window.ids`. */
  readonly at: Uint32Array;
  /** What stands there instead, one id a position. */
  readonly by: Uint32Array;
  /** `together`: all at once, one run. `apart`: one at a time, the others as they are, so as many runs as positions. */
  readonly how: 'together' | 'apart';
}

/** Ids of special tokens that a protocol needs and that are not part of every tokenizer. */
export interface SpecialTokens {
  /** Stands before a text that has nothing before it: the begin token, else the end token, whether or not the tokenizer adds it. */
  readonly begin?: number | null;
  /** Begins the decoder's sequence. */
  readonly start: number | null;
  /** Ends a sequence. */
  readonly end: number | null;
  /** Stands for a token that is to be predicted. */
  readonly mask: number | null;
  /** T5's `<extra_id_0>`, `<extra_id_1>`, ...: as many as there are. */
  readonly sentinels: readonly number[];
  /** Every special token, for protocols that leave them alone. */
  readonly all: ReadonlySet<number>;
  /** Entries that can stand for a token: below this id. */
  readonly size: number;
}

export interface WindowOptions {
  readonly context: number;
  readonly stride: number;
}

/** How text becomes ids, from the checkpoint's own files. */
export interface Tokenizer {
  /** Entries, added tokens included. */
  readonly size: number;
  /** Short description for results: file, type, size. */
  readonly name: string;
  /** Ids of the begin and end tokens that the tokenizer's own post-processor adds around one text, if any. */
  readonly prefix: readonly number[];
  readonly suffix: readonly number[];
  /** Ids of the text, without prefix and suffix. Text in one piece; the implementation may cut it where ids cannot change. */
  encode(text: string): Uint32Array;
  /** The text of an id, for messages. */
  tokenOf(id: number): string;
  /** The id of an entry by its text, null when there is none. */
  idOf?(token: string): number | null;
  /** The token that stands for one to be predicted, and all that are marked special. */
  readonly mask?: number | null;
  /** Ids of `bos_token` and `eos_token`, added around a text or not. */
  readonly begin?: number | null;
  readonly end?: number | null;
  readonly specialIds?: ReadonlySet<number>;
}

/** What a value is. Two metrics are never put on one axis. */
export type Metric = 'perplexity' | 'pseudo-perplexity' | 'word-perplexity' | 'accuracy';

/** A question: the choices go after the context, and one of them is right. */
export interface Question {
  readonly context: string;
  readonly choices: readonly string[];
  /** Index of the right one. */
  readonly gold: number;
}

/** A text in parts that are scored each by itself; a JSON Lines file has them. */
export interface TextParts {
  readonly documents?: readonly string[];
  readonly questions?: readonly Question[];
}

/** A text laid out as windows. */
export interface LaidText {
  /** Ids of the whole text, begin and end tokens included where they are scored or read once. */
  readonly tokens: number;
  /** In text order. */
  readonly windows: readonly Window[];
  /** Missing where the text is one and the value is the mean over its tokens. */
  readonly items?: Items;
}

/** Pages, documents or questions that are scored each by itself. A limit counts them, not windows. */
export interface Items {
  /** Windows of each, in order. */
  readonly windows: readonly number[];
  /**
   * The value of the first `count` items.
   * @param losses nats, one a scored token
   * @param hits one a scored token: 1 where no other token was more likely; null unless the protocol `wantsHits`
   */
  outcome(count: number, losses: Float32Array, hits: Float32Array | null, context: number): Outcome;
}

/** A value with its error. */
export interface Estimate { readonly value: number; readonly standardError: number | null }

/** What the losses of a run come to. */
export type Outcome = Pick<Evaluation, 'value' | 'meanLoss' | 'standardError' | 'standardErrorIid' | 'losses' | 'items' | 'perWord' | 'accuracy' | 'accuracyNorm'>;

/** How a perplexity is computed. Adding one is one new file and one line in `protocols.ts`. */
export interface Protocol {
  readonly id: string;
  readonly title: string;
  readonly kind: 'decoder' | 'encoder' | 'encoder-decoder';
  readonly metric: Metric;
  /** What is scored: running text where this is missing; `pages` of a text or of its documents; documents or questions that only a JSON Lines file has. */
  readonly reads?: 'pages' | 'documents' | 'questions';
  /** The graph has to say which targets were the most likely token. */
  readonly wantsHits?: true;
  /** One paragraph: what is scored, what is skipped, who publishes with it. */
  readonly summary: string;
  /** Whether a benchmark's rows are joined the data-set loader's way (true) or the file is taken as it is. */
  readonly joinsRows: boolean;
  /** Defaults where the person gives none. */
  defaults(maxContext: number): WindowOptions;
  /** The stride that goes with a context when the person gives a context alone. */
  strideOf(context: number): number;
  /** All windows over the text, or over its parts where they are given and the protocol reads them. @throws `too-few-tokens`, `bad-window` */
  windows(tokenizer: Tokenizer, text: string, options: WindowOptions, special?: SpecialTokens, parts?: TextParts): LaidText;
  /**
   * The number that the published script prints where it averages otherwise; absent where it is the same.
   * @param windows the windows that were run
   * @param losses nats, one a scored token, in text order
   */
  asPublished?(windows: readonly Window[], losses: Float32Array): number;
}

/** A text with a name. Adding one is one line in `benchmarks.ts`. */
export interface Benchmark {
  readonly id: string;
  readonly title: string;
  /** Paths below the data folder, tried in order; `sample` comes from the build. */
  readonly files: readonly string[];
  /** Lines are the rows of a data set, which some protocols join; false for running text. */
  readonly rows: boolean;
  /** Where the Hub has it. */
  readonly hub?: HubFile;
  /** The protocol it is made for, where no other makes sense of it. */
  readonly protocol?: string;
  /** Known SHA-256 of the file as it is, or null. */
  readonly sha256: string | null;
  /** Said wherever it is offered, e.g. that WikiText-2 and -103 share their raw test text. */
  readonly note: string | null;
}

/** How `EvaluationRequest.benchmark` names a file. */
export const TEXT_PREFIX = 'text:';

/** The text as a person calls it: a benchmark's id, or the file's name on whatever system it was named. */
export const benchmarkName = (benchmark: string): string => benchmark.startsWith(TEXT_PREFIX) ? benchmark.slice(benchmark.search(/[^/\\]*$/)) : benchmark;

/** Everything that makes two perplexities comparable; the type makes it impossible to drop a part. */
export interface EvaluationSetup {
  readonly benchmark: string;
  readonly protocol: string;
  readonly context: number;
  readonly stride: number;
  readonly metric: Metric;
  readonly provider: Provider;
  readonly weightDtype: string;
  readonly computeDtype: string;
  readonly textSha256: string;
  readonly tokenizer: string;
  readonly limit: number | null;
  /** The field of a JSON Lines file that holds the documents, where it is not `text`. */
  readonly field?: string;
  /** How a masked LM decodes, where its family knows more than one way. */
  readonly decoder?: 'emd' | 'plain';
}

/** What to evaluate a model on, and how; null means the protocol's or the family's default. */
export interface EvaluationRequest {
  /** Benchmark id, or `text:<path>`: exactly one text. */
  readonly benchmark: string;
  readonly protocol: string | null;
  readonly context: number | null;
  readonly stride: number | null;
  /** At most so many windows, or items where they are scored each by itself, from the start. */
  readonly limit: number | null;
  /** The field of a JSON Lines file that holds the documents; `text` where it is missing. */
  readonly field?: string;
  readonly provider: Provider | 'auto';
  readonly threads: number;
  readonly dataFolder: string | null;
}

/**
 * `<unk>` in a text, as the tokenised WikiText files have it for rare words: one special token for some tokenizers, several pieces for
 * GPT-2, which makes it another text for each.
 */
export interface UnknownWords {
  /** How often it stands there. */
  readonly count: number;
  /** Tokens of one. */
  readonly tokensEach: number;
}

/** A text made ready for one model: everything of an evaluation but the running. */
export interface PreparedText {
  readonly protocol: Protocol;
  readonly setup: Omit<EvaluationSetup, 'provider' | 'computeDtype'>;
  /** Ids of the whole text. */
  readonly tokens: number;
  /** What runs: all windows, or the first `limit`. */
  readonly windows: readonly Window[];
  readonly scoredTokens: number;
  /** Where items are scored each by itself: how many run, and what their losses come to. */
  readonly items?: { readonly count: number; readonly outcome: Items['outcome'] };
  /** What a token costs, for the forecast. */
  readonly cost: TokenCost;
  /** Null where the text has no `<unk>`. */
  readonly unknownWords: UnknownWords | null;
  /** Remarks: a checksum that differs, a byte order mark, tokens without an embedding row. */
  readonly problems: readonly Problem[];
}

/** Losses told by words and bytes of the text as it was before it was prepared for the tokenizer. */
export interface PerWord {
  readonly words: number;
  readonly bytes: number;
  readonly bytePerplexity: number;
  readonly bitsPerByte: number;
}

export interface Evaluation extends EvaluationSetup {
  /** exp(mean loss), per word for `word-perplexity`; a fraction for `accuracy`. Infinity when it overflows; never NaN (that is the error `not-finite`). */
  readonly value: number;
  /** Mean negative log-likelihood in nats over scored tokens, or over items where there are `items`. */
  readonly meanLoss: number;
  /** The guide's own average where a script weights windows otherwise; null where it is the same. */
  readonly asPublished: number | null;
  /** value x SE(mean loss), moving-block bootstrap; null under 20 blocks. */
  readonly standardError: number | null;
  readonly standardErrorIid: number | null;
  /** Documents or questions that were scored each by itself, one loss each. */
  readonly items?: number;
  readonly perWord?: PerWord;
  /** Of items: how many were answered right; `Norm`: choices compared by loss over length. */
  readonly accuracy?: Estimate;
  readonly accuracyNorm?: Estimate;
  readonly tokens: number;
  readonly scoredTokens: number;
  readonly windows: number;
  readonly seconds: number;
  readonly tokensPerSecond: number;
  readonly unknownWords: UnknownWords | null;
  /** Remarks of the text and the tokenizer, see `PreparedText`. */
  readonly problems: readonly Problem[];
  /** Told before the run (memory) and from its first two requests (seconds); null where there was nothing to tell it from. */
  readonly predicted?: { readonly seconds: number | null; readonly memoryBytes: number | null };
  /** Most memory that the runtime's process held, mapped weights included; null where it is not known. */
  readonly peakMemoryBytes?: number | null;
  /** Losses in text order, one a scored token, or one an item where there are `items`: what paired comparisons are made of. Not part of any printed output. */
  readonly losses: Float32Array;
}
