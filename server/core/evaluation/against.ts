import { CheckpointError } from '../errors';
import type { Evaluation, PreparedText, Window } from './contract';
import { divergenceOf } from './divergence';
import type { ComparedRun, Divergence } from './divergence';
import { blockOptions, meanOf, pairedRatio } from './uncertainty';
import type { RatioInterval } from './uncertainty';

/** A model beside the reference that it is compared with, over the same windows. */
export interface Against extends Divergence {
  /** Path of the reference. */
  readonly checkpoint: string;
  /** The reference's own value; null where the metric is not one of losses. */
  readonly value: number | null;
  readonly meanLoss: number;
  /** Perplexity over the reference's, paired by token. */
  readonly ratio: RatioInterval;
}

/** The figures of a run over two models. */
export function againstReference(run: ComparedRun, evaluation: Evaluation, prepared: PreparedText, checkpoint: string): Against {
  const { items, setup, protocol } = prepared, tokens = run.referenceLosses;
  // Hits of the reference are not known: of an outcome that counts them only the losses are taken.
  const outcome = items?.outcome(items.count, tokens, protocol.wantsHits ? new Float32Array(tokens.length) : null, setup.context) ?? { losses: tokens, value: Math.exp(meanOf(tokens)) };
  return {
    checkpoint, value: setup.metric === 'accuracy' ? null : outcome.value, meanLoss: meanOf(tokens),
    ratio: pairedRatio(evaluation.losses, outcome.losses, blockOptions(evaluation)), ...divergenceOf(run, { context: setup.context }),
  };
}

const same = (a: Uint32Array | undefined, b: Uint32Array | undefined): boolean => a?.length === b?.length && (a?.every((id, i) => id === b?.[i]) ?? true);

/** @throws CheckpointError `models-not-comparable` when the two tokenizers make other windows of the text */
export function checkSameWindows(a: PreparedText, b: PreparedText, reference: string): void {
  const equal = (one: Window, other: Window | undefined): boolean => other !== undefined && one.scoreFrom === other.scoreFrom && one.scoreTo === other.scoreTo
    && same(one.ids, other.ids) && same(one.encoder, other.encoder) && same(one.masked?.at, other.masked?.at) && same(one.masked?.by, other.masked?.by);
  if (a.windows.length === b.windows.length && a.windows.every((window, i) => equal(window, b.windows[i]))) return;
  throw new CheckpointError('models-not-comparable', { file: reference }, `their tokenizers make other tokens of this text, ${a.tokens} and ${b.tokens}: ${a.setup.tokenizer}; ${b.setup.tokenizer}`);
}
