import type { PreparedText } from './contract';
import { standardError, standardErrorIid } from './uncertainty';

/** The error is worked out again at most so often: it goes over all losses so far. */
const ERROR_GAP_MS = 500;

const shortNumber = (value: number): string => (Number.isFinite(value) ? value.toPrecision(5) : 'infinite');
const duration = (seconds: number): string => (seconds < 100 ? `${seconds.toPrecision(2)} s` : `${Math.round(seconds / 60)} min`);

/** Where a run stands: scored tokens so far, the sum of their losses, tokens read, seconds since the start, seconds predicted for all of it. */
export interface Standing { readonly scored: number; readonly sum: number; readonly fed: number; readonly seconds: number; readonly predicted: number | null }

/**
 * What progress says of a running evaluation: `perplexity 24.120 ± 0.35, 412 tokens/s, 41 s predicted`. The error is that of the
 * result; while there are too few tokens for it, the one of independent tokens.
 *
 * @param losses filled as the run goes on
 */
export function makeRunningNote({ setup: { metric, context }, items }: PreparedText, losses: Float32Array, now: () => number = () => performance.now()): (standing: Standing) => string {
  let told = -Infinity, error: number | null = null;
  return ({ scored, sum, fed, seconds, predicted }) => {
    if (items === undefined && now() - told >= ERROR_GAP_MS) {
      const sofar = losses.subarray(0, scored);
      error = standardError(sofar, { context }) ?? standardErrorIid(sofar);
      told = now();
    }
    const mean = sum / scored, value = items === undefined ? `${metric} ${shortNumber(Math.exp(mean))}` : `mean loss ${shortNumber(mean)}`;
    const known = error !== null && Number.isFinite(error) ? ` ± ${Number(error.toPrecision(2))}` : '';
    return `${value}${known}, ${Math.round(fed / seconds)} tokens/s${predicted === null ? '' : `, ${duration(predicted)} predicted`}`;
  };
}
