import { CheckpointError } from '../../errors';
import type { Protocol, SpecialTokens, Window } from '../contract';
import { checkWindow, tooFew } from '../windows';

/** What T5 was trained with; relative positions allow more. */
const DEFAULT_CONTEXT = 512;

/** Encoder-decoders as language models: the first half is read, the second half is scored. */
export const prefixLm: Protocol = {
  id: 'prefix-lm',
  title: 'Prefix language model',
  kind: 'encoder-decoder',
  metric: 'perplexity',
  summary: 'Disjoint windows of `context` tokens (512), the tail dropped. The first half and the end token go to the encoder; the decoder, begun with its start token, '
    + 'scores every token of the second half, and no end token. The prefix language model of the T5 paper (section 3.2.1).',
  joinsRows: true,
  defaults: (maxContext) => ({ context: Math.min(DEFAULT_CONTEXT, maxContext), stride: Math.min(DEFAULT_CONTEXT, maxContext) }),
  strideOf: (context) => context,

  windows(tokenizer, text, options, special) {
    const { context } = checkDisjoint('prefix-lm', checkWindow(options));
    const start = needed(special?.start, 'decoder_start_token_id'), end = special?.end ?? null;
    const ids = tokenizer.encode(text), half = Math.floor(context / 2);
    if (ids.length < context) throw tooFew(ids.length, `prefix-lm needs one whole window of ${context}`);
    const windows = Array.from({ length: Math.floor(ids.length / context) }, (_, i): Window => {
      const source = ids.subarray(i * context, i * context + half), target = ids.subarray(i * context + half, (i + 1) * context);
      return { encoder: end === null ? source : Uint32Array.of(...source, end), ids: Uint32Array.of(start, ...target), scoreFrom: 1, scoreTo: target.length + 1 };
    });
    return { tokens: ids.length, windows };
  },
};

/** @throws CheckpointError `bad-window` */
export function checkDisjoint(id: string, options: { readonly context: number; readonly stride: number }): { readonly context: number } {
  const { context, stride } = options;
  if (stride !== context) throw new CheckpointError('bad-window', { key: 'stride' }, `${id} windows are disjoint: the stride is the context (${context}), not ${stride}`);
  return { context };
}

/** A special token without which a protocol cannot begin. @throws CheckpointError `unsupported-config` */
export function needed(id: SpecialTokens['start'] | undefined, key: string): number {
  if (id === null || id === undefined) throw new CheckpointError('unsupported-config', { key }, `${key} is missing`);
  return id;
}
