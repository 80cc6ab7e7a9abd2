import { throwIfCancelled } from '../errors';
import type { Job } from '../job';
import type { Session, WindowBatch } from '../runtime/contract';
import type { CellRuntime } from './contract';
import { RUNTIME_MARGIN, median, medianInterval, runtimeVerdict, seededRandom, wantsMorePairs } from './runtimeStatistics';

/** Runs before timing starts: page faults, thread start, caches. */
const WARM_UP = 3;

/**
 * Times one window of the pruned weights against the same window of the baseline: the same plain graph, shape and threads,
 * dense weights in both; in pairs whose order is drawn by lot, so that drift and neighbours hit both alike.
 *
 * @param baseline session of the plain graph over the checkpoint
 * @param pruned session of the same graph over the pruned bytes
 */
export async function* measureRuntime(
  baseline: Session, pruned: Session, batch: WindowBatch, options: { seed: number; threads: number }, signal?: AbortSignal,
): Job<CellRuntime> {
  const random = seededRandom(options.seed);
  const times: [number[], number[]] = [[], []], ratios: number[] = [];
  const sessions = [baseline, pruned] as const;
  for (let i = 0; i < WARM_UP; i++) for (const session of sessions) await session.run(batch, null, signal);
  const started = performance.now();
  while (wantsMorePairs(ratios, (performance.now() - started) / 1000)) {
    throwIfCancelled(signal);
    const order = random() < 0.5 ? [0, 1] as const : [1, 0] as const;
    const pair = [0, 0];
    for (const which of order) {
      pair[which] = (await sessions[which].run(batch, null, signal)).ms;
      times[which].push(pair[which]);
    }
    ratios.push(pair[1] / pair[0]);
    yield { stage: 'timing, pair', done: ratios.length, total: null, unit: 'windows' };
  }
  const ratio = medianInterval(ratios);
  return {
    medianMs: median(times[1]), baselineMedianMs: median(times[0]), ratio, verdict: runtimeVerdict(ratio), pairs: ratios.length, margin: RUNTIME_MARGIN,
    context: batch.length, threads: options.threads, provider: baseline.provider,
  };
}

