import { CheckpointError, throwIfCancelled } from '../errors';
import type { Job } from '../job';
import type { Session, WindowBatch } from '../runtime/contract';
import type { Evaluation, PreparedText, Window } from './contract';
import { meanOf, standardError, standardErrorIid } from './uncertainty';

/**
 * Tokens that go into the runtime at once where windows are short. A fixed number, not one of this machine's memory: batches
 * change the last bits of a result, and two runs that are compared must be batched alike.
 */
export const BATCH_TOKENS = 1024;

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
  for (let from = 0; from < windows.length;) {
    throwIfCancelled(signal);
    const to = batchEnd(windows, from);
    const answer = await session.run(toBatch(windows.slice(from, to)), thresholds, signal);
    losses.set(answer.losses, at);
    for (let i = 0; i < answer.losses.length; i++) {
      if (Number.isNaN(answer.losses[i])) throw new CheckpointError('not-finite', {}, `the loss of scored token ${at + i} of ${losses.length} is NaN`);
      sum += answer.losses[i];
    }
    at += answer.losses.length;
    fed += (to - from) * windows[from].ids.length;
    from = to;
    const seconds = (performance.now() - started) / 1000;
    yield { stage: prepared.setup.metric, done: from, total: windows.length, unit: 'windows', note: `${prepared.setup.metric} ${shortNumber(Math.exp(sum / at))}, ${Math.round(fed / seconds)} tokens/s` };
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

/** One past the last window that fits into a batch with window `from`: the same length, as many scored tokens. */
function batchEnd(windows: readonly Window[], from: number): number {
  const first = windows[from], scored = first.scoreTo - first.scoreFrom;
  const most = Math.max(1, Math.floor(BATCH_TOKENS / first.ids.length));
  let to = from + 1;
  while (to < windows.length && to - from < most && windows[to].ids.length === first.ids.length && windows[to].scoreTo - windows[to].scoreFrom === scored) to++;
  return to;
}

/** Windows of equal length and equally many scored tokens, as the graph takes them. */
export function toBatch(windows: readonly Window[]): WindowBatch {
  const batch = windows.length, length = windows[0].ids.length, scored = windows[0].scoreTo - windows[0].scoreFrom;
  const inputIds = new BigInt64Array(batch * length), positions = new BigInt64Array(batch * scored), targets = new BigInt64Array(batch * scored);
  windows.forEach((window, row) => {
    for (let i = 0; i < length; i++) inputIds[row * length + i] = BigInt(window.ids[i]);
    for (let i = 0; i < scored; i++) {
      positions[row * scored + i] = BigInt(window.scoreFrom + i - 1);
      targets[row * scored + i] = BigInt(window.ids[window.scoreFrom + i]);
    }
  });
  return { inputIds, batch, length, positions, targets };
}

const shortNumber = (value: number): string => (Number.isFinite(value) ? value.toPrecision(5) : 'infinite');
