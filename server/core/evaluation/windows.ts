import { CheckpointError } from '../errors';
import type { Tokenizer, Window, WindowOptions } from './contract';

/** @throws CheckpointError `bad-window` */
export function checkWindow(options: WindowOptions): WindowOptions {
  const { context, stride } = options;
  if (!Number.isSafeInteger(context) || context < 2) throw new CheckpointError('bad-window', { key: 'context' }, `${context}: a window has at least 2 tokens, one to predict from and one to score`);
  if (!Number.isSafeInteger(stride) || stride < 1 || stride > context) throw new CheckpointError('bad-window', { key: 'stride' }, `${stride}: from 1 to the context, ${context}; a longer step would leave tokens out`);
  return options;
}

/** Ids of the text with the tokenizer's begin tokens, and its end tokens where asked, once around the whole. */
export function joinIds(tokenizer: Tokenizer, text: string, withEnd: boolean): Uint32Array {
  const body = tokenizer.encode(text);
  const suffix = withEnd ? tokenizer.suffix : [];
  const ids = new Uint32Array(tokenizer.prefix.length + body.length + suffix.length);
  ids.set(tokenizer.prefix, 0);
  ids.set(body, tokenizer.prefix.length);
  ids.set(suffix, tokenizer.prefix.length + body.length);
  return ids;
}

/** Whole windows one after the other, the targets [scoreFrom, context) of each; the tail is dropped. */
export function disjointWindows(ids: Uint32Array, context: number, scoreFrom: number): Window[] {
  return Array.from({ length: Math.floor(ids.length / context) }, (_, i) => ({ ids: ids.subarray(i * context, (i + 1) * context), scoreFrom, scoreTo: context }));
}

/**
 * One window of what is read and what is scored after it: the ids of both, the first of them cut off where they do not fit the
 * context. The last id is predicted and not read, as in lm-evaluation-harness.
 */
export function scoredAfter(before: Uint32Array, scored: Uint32Array, context: number): Window {
  const all = new Uint32Array(before.length + scored.length);
  all.set(before, 0);
  all.set(scored, before.length);
  const ids = all.subarray(Math.max(0, all.length - context - 1));
  return { ids, scoreFrom: Math.max(1, ids.length - scored.length), scoreTo: ids.length, fed: ids.length - 1 };
}

/** The error of a text that a protocol cannot make one window of. */
export const tooFew = (tokens: number, why: string): CheckpointError => new CheckpointError('too-few-tokens', {}, `${tokens} ${tokens === 1 ? 'token' : 'tokens'}; ${why}`);

/** Scored tokens of some windows. */
export const scoredTokens = (windows: readonly Window[]): number => windows.reduce((sum, window) => sum + window.scoreTo - window.scoreFrom, 0);
