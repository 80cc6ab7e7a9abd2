import type { WindowBatch } from '../runtime/contract';
import type { Window } from './contract';

/**
 * Tokens that go into the runtime at once where windows are short. A fixed number, not one of this machine's memory: batches
 * change the last bits of a result, and two runs that are compared must be batched alike.
 */
export const BATCH_TOKENS = 1024;

/** One call of the runtime: its batch, how many windows are done after it, and the tokens it reads. */
export interface WindowRun {
  readonly batch: WindowBatch;
  readonly done: number;
  readonly fed: number;
}

/** Ids that the model reads of a window; its encoder's come on top. */
export const fedIds = (window: Window): number => window.fed ?? window.ids.length;
const fedBy = (window: Window): number => fedIds(window) + (window.encoder?.length ?? 0);

/** What the runtime is asked, window after window, in text order. */
export function* windowRuns(windows: readonly Window[]): Generator<WindowRun> {
  for (let from = 0; from < windows.length;) {
    const first = windows[from];
    if (first.masked?.how === 'apart') {
      const { at, by } = first.masked, rows = Math.max(1, Math.floor(BATCH_TOKENS / first.ids.length));
      for (let row = 0; row < at.length; row += rows) {
        const end = Math.min(row + rows, at.length);
        const each = Array.from({ length: end - row }, (_, i): Window => ({ ...first, masked: { at: at.subarray(row + i, row + i + 1), by: by.subarray(row + i, row + i + 1), how: 'together' } }));
        yield { batch: toBatch(each), done: end === at.length ? from + 1 : from, fed: (end - row) * first.ids.length };
      }
      from++;
      continue;
    }
    const to = batchEnd(windows, from);
    yield { batch: toBatch(windows.slice(from, to)), done: to, fed: (to - from) * fedBy(first) };
    from = to;
  }
}

/** One past the last window that fits into a batch with window `from`: the same lengths, as many scored tokens. */
function batchEnd(windows: readonly Window[], from: number): number {
  const first = windows[from];
  const fits = (other: Window): boolean => other.ids.length === first.ids.length && fedIds(other) === fedIds(first) && other.encoder?.length === first.encoder?.length
    && other.scoreTo - other.scoreFrom === first.scoreTo - first.scoreFrom && other.masked?.how === first.masked?.how;
  const most = Math.max(1, Math.floor(BATCH_TOKENS / fedBy(first)));
  let to = from + 1;
  while (to < windows.length && to - from < most && fits(windows[to])) to++;
  return to;
}

/** Windows of equal lengths and equally many scored tokens, as the graph takes them. Of a window masked `apart`, its first run. */
export function toBatch(windows: readonly Window[]): WindowBatch {
  const [first] = windows, batch = windows.length, length = fedIds(first);
  const scored = first.masked?.how === 'apart' ? 1 : first.masked ? first.masked.at.length : first.scoreTo - first.scoreFrom;
  const inputIds = new BigInt64Array(batch * length), positions = new BigInt64Array(batch * scored), targets = new BigInt64Array(batch * scored);
  windows.forEach(({ ids, scoreFrom, masked }, row) => {
    for (let i = 0; i < length; i++) inputIds[row * length + i] = BigInt(ids[i]);
    for (let i = 0; i < scored; i++) {
      const at = masked ? masked.at[i] : scoreFrom + i;
      if (masked) inputIds[row * length + at] = BigInt(masked.by[i]);
      positions[row * scored + i] = BigInt(masked ? at : at - 1);
      targets[row * scored + i] = BigInt(ids[at]);
    }
  });
  const encoderLength = first.encoder?.length;
  if (encoderLength === undefined) return { inputIds, batch, length, positions, targets };
  const encoderIds = new BigInt64Array(batch * encoderLength);
  windows.forEach(({ encoder }, row) => encoder?.forEach((id, i) => { encoderIds[row * encoderLength + i] = BigInt(id); }));
  return { inputIds, batch, length, positions, targets, encoder: { ids: encoderIds, length: encoderLength } };
}
