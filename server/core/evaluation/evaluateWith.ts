import { CheckpointError, throwIfCancelled } from '../errors';
import type { Job } from '../job';
import type { Session } from '../runtime/contract';
import type { Evaluation, Outcome, PreparedText } from './contract';
import { makeForecast } from './forecast';
import { makeRunningNote } from './runningNote';
import { meanOf, standardError, standardErrorIid } from './uncertainty';
import { BATCH_TOKENS, windowRuns } from './windowRuns';

export { BATCH_TOKENS, toBatch } from './windowRuns';

/** Tokens of the largest batch: what the memory check has to allow for. */
export const tokensAtOnce = (prepared: PreparedText): number => Math.max(prepared.setup.context, BATCH_TOKENS);

/**
 * Runs the prepared windows through a session, in text order. Cancels between batches.
 *
 * @param memoryBytes what the run is thought to need, for the result
 * @param thresholds one a maskable tensor of the session's graph; null masks nothing
 * @throws CheckpointError `not-finite` with the first scored token whose loss is NaN; `cancelled`; what the session throws
 */
export async function* evaluateWith(session: Session, prepared: PreparedText, thresholds: Float32Array | null, signal?: AbortSignal, memoryBytes?: number): Job<Evaluation> {
  const { windows } = prepared;
  const losses = new Float32Array(prepared.scoredTokens), hits = prepared.protocol.wantsHits ? new Float32Array(prepared.scoredTokens) : null;
  const started = performance.now(), forecast = makeForecast(windows, prepared.cost), noteOf = makeRunningNote(prepared, losses);
  let at = 0, sum = 0, fed = 0, peakBytes = 0;
  for (const run of windowRuns(windows)) {
    throwIfCancelled(signal);
    const answer = await session.run(run.batch, thresholds, signal);
    losses.set(answer.losses, at);
    if (answer.hits) hits?.set(answer.hits, at);
    for (let i = 0; i < answer.losses.length; i++) {
      if (Number.isNaN(answer.losses[i])) throw new CheckpointError('not-finite', {}, `the loss of scored token ${at + i} of ${losses.length} is NaN`);
      sum += answer.losses[i];
    }
    at += answer.losses.length;
    fed += run.fed;
    peakBytes = Math.max(peakBytes, answer.peakBytes ?? 0);
    const seconds = (performance.now() - started) / 1000;
    forecast.after(run.done, seconds);
    yield { stage: prepared.setup.metric, done: run.done, total: windows.length, unit: 'windows', note: noteOf({ scored: at, sum, fed, seconds, predicted: forecast.seconds }) };
  }
  const seconds = (performance.now() - started) / 1000;
  const outcome = prepared.items ? prepared.items.outcome(prepared.items.count, losses, hits, prepared.setup.context) : overTokens(losses, prepared.setup.context);
  const { value } = outcome, published = prepared.protocol.asPublished?.(windows, losses) ?? null;
  return {
    ...prepared.setup, provider: session.provider, computeDtype: 'F32',
    ...outcome,
    asPublished: published !== null && Math.abs(published - value) > 1e-9 * value ? published : null,
    tokens: prepared.tokens, scoredTokens: losses.length, windows: windows.length,
    seconds, tokensPerSecond: fed / seconds, unknownWords: prepared.unknownWords, problems: prepared.problems,
    predicted: { seconds: forecast.seconds, memoryBytes: memoryBytes ?? null }, peakMemoryBytes: peakBytes === 0 ? null : peakBytes,
  };
}

/** The value of most protocols: exp(mean loss over scored tokens). */
function overTokens(losses: Float32Array, context: number): Outcome {
  const meanLoss = meanOf(losses);
  return { value: Math.exp(meanLoss), meanLoss, losses, standardError: standardError(losses, { context }), standardErrorIid: standardErrorIid(losses) };
}
