import { CheckpointError } from '../errors';
import type { Metric, Protocol } from './contract';
import { gptq } from './protocols/gptq';
import { hfStride } from './protocols/hfStride';
import { lastWord } from './protocols/lastWord';
import { llamaCpp } from './protocols/llamaCpp';
import { lmEvalWord } from './protocols/lmEvalWord';
import { mlm15, mlmPll } from './protocols/maskedLm';
import { multipleChoice } from './protocols/multipleChoice';
import { prefixLm } from './protocols/prefixLm';
import { spanDenoising } from './protocols/spanDenoising';

/** Every protocol; the first of a kind is that family's default. */
export const protocols: readonly Protocol[] = [hfStride, gptq, llamaCpp, lmEvalWord, lastWord, multipleChoice, prefixLm, spanDenoising, mlmPll, mlm15];

/** What the values of a protocol are. */
export const metricOf = (id: string): Metric => protocols.find((protocol) => protocol.id === id)?.metric ?? 'perplexity';

/** Why the protocols of another kind say nothing of a model. */
const reasons: Readonly<Record<Protocol['kind'], string>> = {
  decoder: 'it predicts each token from those before it',
  encoder: 'a masked language model sees both sides of a token, so it has no causal perplexity, only a pseudo-perplexity (mlm-pll, mlm-15)',
  'encoder-decoder': 'part of the text goes to its encoder, and only the rest is predicted (prefix-lm, span-denoising)',
};

/**
 * The protocol asked for, or the kind's first.
 *
 * @throws CheckpointError `unknown-protocol` with the ids there are; `metric-makes-no-sense` for one of another kind of model
 */
export function findProtocol(id: string | null, kind: Protocol['kind']): Protocol {
  const found = id === null ? protocols.find((protocol) => protocol.kind === kind) : protocols.find((protocol) => protocol.id === id);
  if (found === undefined) {
    if (id === null) throw new CheckpointError('metric-makes-no-sense', {}, `no protocol for ${kind} models yet`);
    throw new CheckpointError('unknown-protocol', { key: id }, `there are ${protocols.map((protocol) => protocol.id).join(', ')}`);
  }
  if (found.kind !== kind) throw new CheckpointError('metric-makes-no-sense', { key: found.id }, `${found.metric} by ${found.id} is for ${found.kind} models, this is a ${kind} model: ${reasons[kind]}`);
  return found;
}
