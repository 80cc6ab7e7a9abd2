import type { Masked, Window } from './contract';

/** Weights that one token goes through: those of the blocks when it is read, those of the head when it is scored. */
export interface TokenCost { readonly read: number; readonly scored: number }

/** How long a run will take, told from its first windows. */
export interface Forecast {
  /** Seconds of the whole run; null before there is anything to tell it from, or when nothing is left to predict. */
  readonly seconds: number | null;
  /** Told once after each request to the runtime: windows done so far, and seconds since the start. */
  after(done: number, seconds: number): void;
}

const runsApart = (masked: Masked | undefined): number => (masked?.how === 'apart' ? masked.at.length : 1);

/** Multiplications of a window, but for a factor and the attention's, which go along. */
const costOf = (window: Window, { read, scored }: TokenCost): number =>
  runsApart(window.masked) * read * ((window.fed ?? window.ids.length) + (window.encoder?.length ?? 0)) + scored * (window.scoreTo - window.scoreFrom);

/**
 * Predicts the time of all windows from that of the first two requests: the second one shows the speed, the first one also reads the
 * weights in. It is settled then; what comes later only shows how good it was.
 */
export function makeForecast(windows: readonly Window[], cost: TokenCost): Forecast {
  const upTo = new Float64Array(windows.length + 1);
  windows.forEach((window, i) => { upTo[i + 1] = upTo[i] + costOf(window, cost); });
  const total = upTo[windows.length];
  let settled = false, predicted: number | null = null, first: { done: number; seconds: number } | null = null;
  return {
    get seconds() { return predicted; },
    after(done, seconds) {
      if (settled || done === 0 || done === windows.length) return;
      if (first === null) {
        first = { done, seconds };
        predicted = seconds * total / upTo[done];
        return;
      }
      predicted = seconds + (seconds - first.seconds) * (total - upTo[done]) / Math.max(upTo[done] - upTo[first.done], Number.MIN_VALUE);
      settled = true;
    },
  };
}
