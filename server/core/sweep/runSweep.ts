import { throwIfCancelled } from '../errors';
import { benchmarkName } from '../evaluation/contract';
import type { Job, Progress } from '../job';
import type { CellSpecification, Executor, FinishedCell } from './contract';
import { readFinished } from './store';
import type { SweepStore } from './store';

export interface SweepRun {
  readonly finished: readonly FinishedCell[];
  /** Cells that were there already and were not run again. */
  readonly reused: number;
}

/** Yields what `work` reports while it runs, the newest only, and answers with what it answers. */
async function* following<T>(work: (report: (progress: Progress) => void) => Promise<T>): Job<T> {
  let latest: Progress | null = null, wake = (): void => {}, ended = false;
  const answer = work((progress) => { latest = progress; wake(); }).finally(() => { ended = true; wake(); });
  // A failure is thrown by the await below; it must not count as unhandled before that.
  answer.catch(() => {});
  while (!ended) {
    if (latest === null) await new Promise<void>((resolve) => { wake = resolve; if (ended || latest !== null) resolve(); });
    const progress: Progress | null = latest;
    latest = null;
    if (progress !== null) yield progress;
  }
  return answer;
}

/** `magnitude 50 % on wikitext-2-raw` */
export const cellTitle = (cell: CellSpecification): string => {
  const benchmark = benchmarkName(cell.benchmark);
  return cell.level === 0 ? `dense on ${benchmark}` : `${cell.method} ${Number((100 * cell.level).toPrecision(6))} % on ${benchmark}`;
};

/**
 * Runs the cells that the store does not have, in order, through the executor. A finished cell is never run again; whatever
 * stops a sweep, what was finished stays.
 */
export async function* runSweep(cells: readonly CellSpecification[], store: SweepStore, executor: Executor, signal: AbortSignal): Job<SweepRun> {
  const finished: FinishedCell[] = [];
  let reused = 0;
  for (const [index, cell] of cells.entries()) {
    throwIfCancelled(signal);
    const stage = { stage: 'sweep', done: index, total: cells.length, unit: 'cells' } as const;
    yield { ...stage, note: cellTitle(cell) };
    const found = store.find(cell);
    if (found) {
      finished.push(found);
      reused++;
      continue;
    }
    store.writeSpecification(cell);
    const target = store.resultPath(cell);
    const work = following((report) => executor.run(cell, target, report, signal));
    for (;;) {
      const step = await work.next();
      if (step.done) break;
      const { stage: part, done, total, note } = step.value;
      yield { ...stage, note: `${cellTitle(cell)}: ${part}${total ? ` ${Math.floor(100 * done / total)} %` : done > 0 ? ` ${done}` : ''}${note ? `, ${note}` : ''}` };
    }
    finished.push(readFinished(target));
  }
  yield { stage: 'sweep', done: cells.length, total: cells.length, unit: 'cells' };
  return { finished, reused };
}
