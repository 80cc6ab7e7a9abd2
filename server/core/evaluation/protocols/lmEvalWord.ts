import type { Items, Outcome, Protocol, Window } from '../contract';
import { meanOf, standardError, standardErrorIid } from '../uncertainty';
import { countWords, detokenise, splitPages } from '../wikitextPages';
import { checkWindow, scoredAfter, tooFew } from '../windows';
import { checkDisjoint, needed } from './prefixLm';

interface Page { readonly words: number; readonly bytes: number }

/** Losses of whole pages, told by the words and bytes that the pages had before they were detokenised. */
function outcomeOf(pages: readonly Page[]): Items['outcome'] {
  return (count, losses, _hits, context): Outcome => {
    const run = pages.slice(0, count), words = run.reduce((sum, page) => sum + page.words, 0), bytes = run.reduce((sum, page) => sum + page.bytes, 0);
    const meanLoss = meanOf(losses), nats = meanLoss * losses.length, scale = losses.length / words;
    return {
      value: Math.exp(nats / words), meanLoss, losses, standardError: standardError(losses, { context, scale }), standardErrorIid: standardErrorIid(losses, scale),
      perWord: { words, bytes, bytePerplexity: Math.exp(nats / bytes), bitsPerByte: nats / bytes / Math.LN2 },
    };
  };
}

/** What the wikitext task of EleutherAI's lm-evaluation-harness prints as `word_perplexity`. */
export const lmEvalWord: Protocol = {
  id: 'lm-eval-word',
  title: 'lm-evaluation-harness, per word',
  kind: 'decoder',
  metric: 'word-perplexity',
  reads: 'pages',
  summary: 'Each page of WikiText by itself, detokenised, after one begin token (or end token, where there is none); rolling windows of `context` tokens with one token of '
    + 'context, the last one moved back to full length; every token is scored. The value is told by the words of the page as it was before: exp(loss / words).',
  joinsRows: false,
  defaults: (maxContext) => ({ context: maxContext, stride: maxContext }),
  strideOf: (context) => context,

  windows(tokenizer, text, options, special, parts) {
    const { context } = checkDisjoint('lm-eval-word', checkWindow(options));
    const begin = Uint32Array.of(needed(special?.begin ?? tokenizer.prefix[0] ?? tokenizer.suffix[0], 'bos_token'));
    const pages: Page[] = [], windows: Window[] = [], each: number[] = [];
    let tokens = 0;
    for (const page of parts?.documents ?? splitPages(text)) {
      const ids = tokenizer.encode(detokenise(page)), before = windows.length;
      for (let at = 0; at < ids.length; at += context) {
        const to = Math.min(at + context, ids.length);
        // The token before is the context of a whole window; a shorter one is moved back until it is full.
        windows.push(scoredAfter(at === 0 ? begin : ids.subarray(Math.max(0, to - context - 1), at), ids.subarray(at, to), context));
      }
      tokens += ids.length;
      each.push(windows.length - before);
      pages.push({ words: countWords(page), bytes: Buffer.byteLength(page) });
    }
    if (tokens === 0) throw tooFew(0, 'at least 1 is needed');
    return { tokens, windows, items: { windows: each, outcome: outcomeOf(pages) } };
  },
};
