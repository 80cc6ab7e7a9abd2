import type { Problem } from '../errors';
import type { Provider } from '../runtime/contract';

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
  readonly specialIds?: ReadonlySet<number>;
}

/** How a perplexity is computed. Adding one is one new file and one line in `protocols.ts`. */
export interface Protocol {
  readonly id: string;
  readonly title: string;
  readonly kind: 'decoder' | 'encoder' | 'encoder-decoder';
  readonly metric: 'perplexity' | 'pseudo-perplexity';
  /** One paragraph: what is scored, what is skipped, who publishes with it. */
  readonly summary: string;
  /** Whether a benchmark's rows are joined the data-set loader's way (true) or the file is taken as it is. */
  readonly joinsRows: boolean;
  /** Defaults where the person gives none. */
  defaults(maxContext: number): WindowOptions;
  /** The stride that goes with a context when the person gives a context alone. */
  strideOf(context: number): number;
  /** All windows over the text, in text order. `tokens`: ids of the whole text, begin and end tokens included. @throws `too-few-tokens`, `bad-window` */
  windows(tokenizer: Tokenizer, text: string, options: WindowOptions, special?: SpecialTokens): { readonly tokens: number; readonly windows: readonly Window[] };
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
  readonly metric: 'perplexity' | 'pseudo-perplexity';
  readonly provider: Provider;
  readonly weightDtype: string;
  readonly computeDtype: string;
  readonly textSha256: string;
  readonly tokenizer: string;
  readonly limit: number | null;
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
  /** At most so many windows, from the start. */
  readonly limit: number | null;
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
  /** Null where the text has no `<unk>`. */
  readonly unknownWords: UnknownWords | null;
  /** Remarks: a checksum that differs, a byte order mark, tokens without an embedding row. */
  readonly problems: readonly Problem[];
}

export interface Evaluation extends EvaluationSetup {
  /** exp(mean loss). Infinity when it overflows; never NaN (that is the error `not-finite`). */
  readonly value: number;
  /** Mean negative log-likelihood in nats over scored tokens. */
  readonly meanLoss: number;
  /** The guide's own average where a script weights windows otherwise; null where it is the same. */
  readonly asPublished: number | null;
  /** value x SE(mean loss), moving-block bootstrap; null under 20 blocks. */
  readonly standardError: number | null;
  readonly standardErrorIid: number | null;
  readonly tokens: number;
  readonly scoredTokens: number;
  readonly windows: number;
  readonly seconds: number;
  readonly tokensPerSecond: number;
  readonly unknownWords: UnknownWords | null;
  /** Remarks of the text and the tokenizer, see `PreparedText`. */
  readonly problems: readonly Problem[];
  /** Losses in text order, one a scored token: what paired comparisons are made of. Not part of any printed output. */
  readonly losses: Float32Array;
}
