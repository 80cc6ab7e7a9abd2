import { CheckpointError } from '../../errors';
import type { Protocol } from '../contract';
import { checkWindow, disjointWindows, joinIds, tooFew } from '../windows';

const PAPER_CONTEXT = 2048;

/** What the GPTQ, SparseGPT and Wanda papers print: disjoint windows over one long encoding. */
export const gptq: Protocol = {
  id: 'gptq',
  title: 'GPTQ, SparseGPT, Wanda papers',
  kind: 'decoder',
  metric: 'perplexity',
  summary: 'One encoding of the whole text, disjoint windows of 2048 tokens (or the model\'s maximum), length - 1 targets in each, the tail dropped.',
  joinsRows: true,
  defaults: (maxContext) => ({ context: Math.min(PAPER_CONTEXT, maxContext), stride: Math.min(PAPER_CONTEXT, maxContext) }),
  strideOf: (context) => context,

  windows(tokenizer, text, options) {
    const { context, stride } = checkWindow(options);
    if (stride !== context) throw new CheckpointError('bad-window', { key: 'stride' }, `gptq windows are disjoint: the stride is the context (${context}), not ${stride}`);
    const ids = joinIds(tokenizer, text, true);
    if (ids.length < context) throw tooFew(ids.length, `gptq needs one whole window of ${context}`);
    return { tokens: ids.length, windows: disjointWindows(ids, context, 1) };
  },
};
