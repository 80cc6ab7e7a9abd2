import { CheckpointError, throwIfCancelled } from '../errors';
import type { Job } from '../job';
import type { Session } from '../runtime/contract';
import type { Evaluation, PreparedText } from './contract';
import { meanOf, standardError, standardErrorIid } from './uncertainty';
import { BATCH_TOKENS, windowRuns } from './windowRuns';

export { BATCH_TOKENS, toBatch } from './windowRuns';

/** Tokens of the largest batch: what the memory check has to allow for. */
export const tokensAtOnce = (prepared: PreparedText): number => Math.max(prepared.setup.context, BATCH_TOKENS);

/**
 * Runs the prepared windows through a session, in text order. Cancels between batches.
 *
 * @param thresholds one a maskable tensor of the session's graph; null masks nothing
 * @throws CheckpointError `not-finite` with the first scored token whose loss is NaN; `cancelled`; what the session throws
 */
export async function* evaluateWith(session: Session, prepared: PreparedText, thresholds: Float32Array | null, signal?: AbortSignal): Job<Evaluation> {
  const { windows } = prepared;
  const losses = new Float32Array(prepared.scoredTokens);
  const started = performance.now();
  let at = 0, sum = 0, fed = 0;
  for (const run of windowRuns(windows)) {
    throwIfCancelled(signal);
    const answer = await session.run(run.batch, thresholds, signal);
    losses.set(answer.losses, at);
    for (let i = 0; i < answer.losses.length; i++) {
      if (Number.isNaN(answer.losses[i])) throw new CheckpointError('not-finite', {}, `the loss of scored token ${at + i} of ${losses.length} is NaN`);
      sum += answer.losses[i];
    }
    at += answer.losses.length;
    fed += run.fed;
    const seconds = (performance.now() - started) / 1000;
    yield { stage: prepared.setup.metric, done: run.done, total: windows.length, unit: 'windows', note: `${prepared.setup.metric} ${shortNumber(Math.exp(sum / at))}, ${Math.round(fed / seconds)} tokens/s` };
  }
  const seconds = (performance.now() - started) / 1000;
  const meanLoss = meanOf(losses), value = Math.exp(meanLoss);
  const published = prepared.protocol.asPublished?.(windows, losses) ?? null;
  return {
    ...prepared.setup, provider: session.provider, computeDtype: 'F32',
    value, meanLoss,
    asPublished: published !== null && Math.abs(published - value) > 1e-9 * value ? published : null,
    standardError: standardError(losses, prepared.setup), standardErrorIid: standardErrorIid(losses),
    tokens: prepared.tokens, scoredTokens: losses.length, windows: windows.length,
    seconds, tokensPerSecond: fed / seconds, unknownWords: prepared.unknownWords, problems: prepared.problems, losses,
  };
}

const shortNumber = (value: number): string => (Number.isFinite(value) ? value.toPrecision(5) : 'infinite');
