import { CheckpointError } from '../../errors';
import type { Estimate, SpecialTokens, Tokenizer, Window } from '../contract';
import { meanOf } from '../uncertainty';
import { scoredAfter } from '../windows';
import { needed } from './prefixLm';

/** Python's `rstrip`, as far as it matters between words. */
const BLANKS_AT_END = /\s+$/u;

/**
 * The window that scores a continuation after its context, cut into tokens as lm-evaluation-harness does: both are encoded as one
 * text, after the tokenizer's begin tokens, and what the context alone does not account for is scored. Blanks at the end of the
 * context belong to the continuation; an empty context is the begin token, or the end token where there is none.
 *
 * @throws CheckpointError `too-few-tokens` when nothing is left to score
 */
export function continuationWindow(tokenizer: Tokenizer, context: string, continuation: string, special: SpecialTokens | undefined, maxContext: number): Window {
  const kept = context.replace(BLANKS_AT_END, '');
  let before: Uint32Array, scored: Uint32Array;
  if (context === '') {
    const begin = needed(special?.begin ?? tokenizer.prefix[0] ?? tokenizer.suffix[0], 'bos_token'), ids = tokenizer.encode(continuation);
    [before, scored] = ids[0] === begin ? [ids.subarray(0, 1), ids.subarray(1)] : [Uint32Array.of(begin), ids];
  } else {
    const whole = tokenizer.encode(context + continuation), first = tokenizer.encode(kept);
    before = Uint32Array.of(...tokenizer.prefix, ...whole.subarray(0, first.length));
    scored = whole.subarray(first.length);
  }
  if (scored.length === 0 || before.length === 0) throw new CheckpointError('too-few-tokens', {}, `${JSON.stringify(continuation.slice(0, 40))} has no token of its own after its context`);
  if (scored.length > maxContext) throw new CheckpointError('bad-window', { key: 'context' }, `${scored.length} tokens are to be scored at once, the context has ${maxContext}`);
  return scoredAfter(before, scored, maxContext);
}

/** Nats of each window as a whole. */
export function windowSums(windows: readonly Window[], losses: Float32Array): Float32Array {
  const sums = new Float32Array(windows.length);
  let at = 0;
  windows.forEach(({ scoreFrom, scoreTo }, i) => {
    const scored = scoreTo - scoreFrom;
    sums[i] = meanOf(losses.subarray(at, at + scored)) * scored;
    at += scored;
  });
  return sums;
}

/** The share of items that are right, and its standard error as lm-evaluation-harness prints it (the sample's deviation over the root of n). */
export function accuracyOf(right: readonly boolean[]): Estimate {
  const n = right.length, value = right.filter(Boolean).length / n;
  return { value, standardError: n < 2 ? null : Math.sqrt((value * (1 - value)) / (n - 1)) };
}
