import type { ComparedTokens, Session } from '../runtime/contract';
import { meanOf, pairedRatio, standardErrorOfMean } from './uncertainty';
import type { BlockOptions, RatioInterval } from './uncertainty';

/** How far the predictions of a model lie from those of a reference, over the scored tokens: what llama.cpp's `--kl-divergence` prints. */
export interface Divergence {
  /** Kullback-Leibler divergence of the model from the reference, nats a token, p the reference's: sum p (log p - log q). */
  readonly klDivergence: {
    readonly mean: number;
    /** By the block bootstrap of `standardErrorOfMean`; null under 20 blocks. */
    readonly standardError: number | null;
    /** As if tokens were independent, as llama.cpp prints it; null for fewer than two tokens. */
    readonly standardErrorIid: number | null;
    readonly median: number;
    readonly p99: number;
    readonly max: number;
  };
  /** Fraction of tokens to which both give the same most probable one. */
  readonly sameTop1: { readonly value: number; readonly standardError: number | null; readonly standardErrorIid: number | null };
  /** By how much the probability of the token that stands there changed, model less reference. */
  readonly probabilityChange: { readonly mean: number; readonly rms: number };
}

/** A session over two models, and what its answers said of each token, in the order they came. */
export interface ComparedRun {
  readonly session: Session;
  readonly losses: Float32Array;
  readonly referenceLosses: Float32Array;
  readonly divergence: Float32Array;
  readonly sameTop: Float32Array;
}

/**
 * Passes every request on and keeps what the answers say beside their losses.
 *
 * @param session over a graph of `besideReference`
 * @param scoredTokens of the whole run
 */
export function recordComparison(session: Session, scoredTokens: number): ComparedRun {
  const arrays = { losses: new Float32Array(scoredTokens), referenceLosses: new Float32Array(scoredTokens), divergence: new Float32Array(scoredTokens), sameTop: new Float32Array(scoredTokens) };
  let at = 0;
  const keep = (losses: Float32Array, { referenceLosses, divergence, sameTop }: ComparedTokens): void => {
    for (const [name, values] of Object.entries({ losses, referenceLosses, divergence, sameTop })) arrays[name as keyof typeof arrays].set(values, at);
    at += losses.length;
  };
  return {
    ...arrays,
    session: {
      provider: session.provider,
      close: () => session.close(),
      async run(batch, thresholds, signal) {
        const answer = await session.run(batch, thresholds, signal);
        if (answer.compared) keep(answer.losses, answer.compared);
        return answer;
      },
    },
  };
}

/** The figures of a finished run. */
export function divergenceOf({ losses, referenceLosses, divergence, sameTop }: ComparedRun, options: BlockOptions): Divergence {
  const sorted = Float32Array.from(divergence).sort(), n = losses.length;
  const changes = Float64Array.from(losses, (loss, i) => Math.exp(-loss) - Math.exp(-referenceLosses[i]));
  return {
    klDivergence: {
      mean: meanOf(divergence), standardError: standardErrorOfMean(divergence, options), standardErrorIid: independentError(divergence),
      median: quantile(sorted, 0.5), p99: quantile(sorted, 0.99), max: sorted[n - 1],
    },
    sameTop1: { value: meanOf(sameTop), standardError: standardErrorOfMean(sameTop, options), standardErrorIid: independentError(sameTop) },
    probabilityChange: { mean: meanOf(changes), rms: Math.sqrt(meanOf(changes.map((change) => change * change))) },
  };
}

/** Perplexity of the model over the reference's on the same tokens. */
export const ratioToReference = (run: ComparedRun, options: BlockOptions): RatioInterval => pairedRatio(run.losses, run.referenceLosses, options);

/** Standard error of the mean of independent values (of zeros and ones: sqrt(p (1 - p) / (n - 1))). */
function independentError(values: Float32Array): number | null {
  const n = values.length;
  if (n < 2) return null;
  const mean = meanOf(values);
  let squares = 0;
  for (const value of values) squares += (value - mean) ** 2;
  return Math.sqrt(squares / n / (n - 1));
}

/** Between the two nearest of ascending values, in proportion (numpy's default, and llama.cpp's). */
function quantile(sorted: Float32Array, fraction: number): number {
  const at = fraction * (sorted.length - 1), below = Math.floor(at), part = at - below;
  return part === 0 ? sorted[below] : (1 - part) * sorted[below] + part * sorted[below + 1];
}
