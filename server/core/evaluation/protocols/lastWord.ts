import type { Items, Outcome, Protocol, Window } from '../contract';
import { meanOf, standardError, standardErrorIid } from '../uncertainty';
import { checkWindow, tooFew } from '../windows';
import { accuracyOf, continuationWindow, windowSums } from './continuation';
import { checkDisjoint } from './prefixLm';

function outcomeOf(windows: readonly Window[]): Items['outcome'] {
  return (count, losses, hits, context): Outcome => {
    const run = windows.slice(0, count), words = windowSums(run, losses);
    let at = 0;
    // Right is what greedy decoding would have written: every token of the word the most likely one.
    const right = run.map(({ scoreFrom, scoreTo }) => {
      const from = at;
      at += scoreTo - scoreFrom;
      return hits?.subarray(from, at).every((hit) => hit === 1) ?? false;
    });
    const meanLoss = meanOf(words);
    return {
      value: Math.exp(meanLoss), meanLoss, losses: words, standardError: standardError(words, { context, independent: true }), standardErrorIid: standardErrorIid(words),
      items: count, ...(hits !== null && { accuracy: accuracyOf(right) }),
    };
  };
}

/** LAMBADA as OpenAI and lm-evaluation-harness score it. */
export const lastWord: Protocol = {
  id: 'last-word',
  title: 'Last word (LAMBADA)',
  kind: 'decoder',
  metric: 'perplexity',
  reads: 'documents',
  wantsHits: true,
  summary: 'Only the last word of each document is scored, all its tokens, after everything before it; words end at blanks. Right where each token was the most likely one; '
    + 'the perplexity is per word. What lm-evaluation-harness prints for lambada_openai.',
  joinsRows: false,
  defaults: (maxContext) => ({ context: maxContext, stride: maxContext }),
  strideOf: (context) => context,

  windows(tokenizer, _text, options, special, parts) {
    const { context } = checkDisjoint('last-word', checkWindow(options));
    const windows = (parts?.documents ?? []).map((document) => {
      const cut = document.lastIndexOf(' ');
      return continuationWindow(tokenizer, document.slice(0, Math.max(0, cut)), ` ${document.slice(cut + 1)}`, special, context);
    });
    if (windows.length === 0) throw tooFew(0, 'there is no document');
    return { tokens: windows.reduce((sum, { ids }) => sum + ids.length, 0), windows, items: { windows: windows.map(() => 1), outcome: outcomeOf(windows) } };
  },
};
