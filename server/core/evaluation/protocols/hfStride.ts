import type { Protocol, Window } from '../contract';
import { checkWindow, joinIds, tooFew } from '../windows';

/**
 * The perplexity guide of Hugging Face's documentation: overlapping windows, every token scored once, with as much context as its
 * window gives.
 */
export const hfStride: Protocol = {
  id: 'hf-stride',
  title: 'Hugging Face sliding window',
  kind: 'decoder',
  metric: 'perplexity',
  summary: 'Windows of `context` tokens, `stride` apart, the last one shorter; only tokens that no window before has scored count. The first token is not scored '
    + 'where the tokenizer adds no begin token. The value is the mean over scored tokens; the guide\'s own script weights windows by length - 1 (`asPublished`).',
  joinsRows: true,
  defaults: (maxContext) => ({ context: maxContext, stride: half(maxContext) }),
  strideOf: half,

  windows(tokenizer, text, options) {
    const { context, stride } = checkWindow(options);
    const ids = joinIds(tokenizer, text, true);
    if (ids.length < 2) throw tooFew(ids.length, 'at least 2 are needed, one to predict from and one to score');
    const windows: Window[] = [];
    for (let from = 0, scored = 0; scored < ids.length; from += stride) {
      const to = Math.min(from + context, ids.length);
      // The first id of a window has nothing before it; with overlapping windows that only concerns the first one.
      const scoreFrom = Math.max(scored - from, 1);
      if (from + scoreFrom < to) windows.push({ ids: ids.subarray(from, to), scoreFrom, scoreTo: to - from });
      scored = to;
    }
    return { tokens: ids.length, windows };
  },

  asPublished(windows, losses) {
    let sum = 0, weights = 0, at = 0, previousEnd = 0;
    windows.forEach((window, i) => {
      const scored = window.scoreTo - window.scoreFrom;
      let total = 0;
      for (let j = 0; j < scored; j++) total += losses[at + j];
      at += scored;
      // The script takes one target off every window for the shift, though only a window that shares nothing with the one before loses one.
      const alone = i === 0 || window.ids.byteOffset === previousEnd;
      previousEnd = window.ids.byteOffset + window.ids.byteLength;
      const weight = alone ? scored : scored - 1;
      sum += (total / scored) * weight;
      weights += weight;
    });
    return Math.exp(sum / weights);
  },
};

function half(context: number): number {
  return Math.max(1, Math.floor(context / 2));
}
