import { CheckpointError } from '../../errors';
import { seededRandom } from '../../random';
import type { Protocol, Window } from '../contract';
import { checkWindow, tooFew } from '../windows';
import { checkDisjoint, needed } from './prefixLm';

const DEFAULT_CONTEXT = 512;
const NOISE_DENSITY = 0.15;
const MEAN_SPAN = 3;
const SEED = 0;

/** What T5 was trained on, as a measure: spans of the text are taken out and have to be told. */
export const spanDenoising: Protocol = {
  id: 'span-denoising',
  title: 'T5 span corruption',
  kind: 'encoder-decoder',
  metric: 'perplexity',
  summary: 'Disjoint windows of `context` tokens (512), the tail dropped. 15 % of each, in spans of 3 on average (seed 0), is replaced by sentinels for the encoder; the decoder '
    + 'scores each sentinel, the tokens it stands for, and the end token, as the loss of T5\'s pre-training does. Not comparable with prefix-lm: the text on both sides is known.',
  joinsRows: true,
  defaults: (maxContext) => ({ context: Math.min(DEFAULT_CONTEXT, maxContext), stride: Math.min(DEFAULT_CONTEXT, maxContext) }),
  strideOf: (context) => context,

  windows(tokenizer, text, options, special) {
    const { context } = checkDisjoint('span-denoising', checkWindow(options));
    const start = needed(special?.start, 'decoder_start_token_id'), end = special?.end ?? null, sentinels = special?.sentinels ?? [];
    if (sentinels.length === 0) throw new CheckpointError('metric-makes-no-sense', {}, 'span-denoising needs sentinel tokens, and the tokenizer has no <extra_id_0>');
    const { spans } = noiseSizes(context);
    if (spans > sentinels.length) throw new CheckpointError('bad-window', { key: 'context' }, `${context} tokens have ${spans} spans, the tokenizer ${sentinels.length} sentinels`);
    const ids = tokenizer.encode(text);
    if (ids.length < context) throw tooFew(ids.length, `span-denoising needs one whole window of ${context}`);
    const random = seededRandom(SEED), ending = end === null ? [] : [end];
    const windows = Array.from({ length: Math.floor(ids.length / context) }, (_, i): Window => {
      const source: number[] = [], target: number[] = [start];
      let at = i * context;
      spanLengths(context, random).forEach((length, span) => {
        const isNoise = span % 2 === 1, sentinel = sentinels[span >> 1];
        // Of each pair of spans, the kept one is a sentinel to the decoder, the other one to the encoder.
        (isNoise ? target : source).push(...ids.subarray(at, at + length));
        (isNoise ? source : target).push(sentinel);
        at += length;
      });
      const decoder = Uint32Array.of(...target, ...ending);
      return { encoder: Uint32Array.of(...source, ...ending), ids: decoder, scoreFrom: 1, scoreTo: decoder.length };
    });
    return { tokens: ids.length, windows };
  },
};

/** Half to even, as numpy and Python round. */
const round = (x: number): number => (Math.abs(x % 1) === 0.5 ? 2 * Math.round(x / 2) : Math.round(x));

function noiseSizes(length: number): { readonly noise: number; readonly kept: number; readonly spans: number } {
  const noise = Math.min(Math.max(round(length * NOISE_DENSITY), 1), length - 1);
  return { noise, kept: length - noise, spans: Math.max(round(Math.min(noise, length - noise) / MEAN_SPAN), 1) };
}

/** Lengths of kept and noise spans in turn, a kept one first. Cuts are drawn for the noise first, then for what is kept. */
function spanLengths(length: number, random: () => number): number[] {
  const { noise, kept, spans } = noiseSizes(length);
  const noiseSpans = segments(noise, spans, random), keptSpans = segments(kept, spans, random);
  return keptSpans.flatMap((span, i) => [span, noiseSpans[i]]);
}

/** `items` cut into `count` parts, every way as likely: which of the gaps are cuts is shuffled (Fisher-Yates, from the end). */
function segments(items: number, count: number, random: () => number): number[] {
  const isCut = Array.from({ length: items - 1 }, (_, i) => i < count - 1);
  for (let i = isCut.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [isCut[i], isCut[j]] = [isCut[j], isCut[i]];
  }
  const lengths = [1];
  for (const cut of isCut) if (cut) lengths.push(1); else lengths[lengths.length - 1]++;
  return lengths;
}
