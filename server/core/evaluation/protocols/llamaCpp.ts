import { CheckpointError } from '../../errors';
import type { Protocol } from '../contract';
import { checkWindow, disjointWindows, joinIds, tooFew } from '../windows';

const DEFAULT_CONTEXT = 512;

/** What `llama-perplexity` of llama.cpp prints: the second half of each chunk. */
export const llamaCpp: Protocol = {
  id: 'llama-cpp',
  title: 'llama.cpp perplexity',
  kind: 'decoder',
  metric: 'perplexity',
  summary: 'The file as it is, chunks of 512 tokens, the targets after the middle of each (257 to 511); a begin token, where the vocabulary adds one, replaces the first id of '
    + 'each chunk; at least two chunks; the tail dropped.',
  joinsRows: false,
  defaults: (maxContext) => ({ context: Math.min(DEFAULT_CONTEXT, maxContext), stride: Math.min(DEFAULT_CONTEXT, maxContext) }),
  strideOf: (context) => context,

  windows(tokenizer, text, options) {
    const { context, stride } = checkWindow(options);
    if (stride !== context) throw new CheckpointError('bad-window', { key: 'stride' }, `llama-cpp chunks are disjoint: the stride is the context (${context}), not ${stride}`);
    const first = Math.floor(context / 2) + 1;
    if (first >= context) throw new CheckpointError('bad-window', { key: 'context' }, `${context}: nothing lies after the middle of a chunk, at least 3 is needed`);
    const ids = joinIds(tokenizer, text, false);
    if (ids.length < 2 * context) throw tooFew(ids.length, `llama-cpp needs two chunks of ${context}`);
    const windows = disjointWindows(ids, context, first);
    if (tokenizer.prefix.length === 0) return { tokens: ids.length, windows };
    const begin = tokenizer.prefix[0];
    return { tokens: ids.length, windows: windows.map((window) => ({ ...window, ids: Uint32Array.of(begin, ...window.ids.subarray(1)) })) };
  },
};
