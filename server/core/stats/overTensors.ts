import { setMaxListeners } from 'node:events';
import { throwIfCancelled } from '../errors';
import type { Job, Progress } from '../job';

/**
 * Works on items with at most `width` of them under way, and yields progress in bytes. When one fails, or the signal fires,
 * the others are stopped and waited for, so that nobody still reads afterwards; then the first failure is thrown. Leaving
 * the generator early (`return()`) stops them too.
 *
 * @param bytesOf what an item adds to the total
 * @param work reports bytes as it goes
 */
export async function* overTensors<Item>(
  stage: Progress['stage'], items: readonly Item[], bytesOf: (item: Item) => number, width: number,
  work: (item: Item, onBytes: (bytes: number) => void, stop: AbortSignal) => Promise<void>, signal?: AbortSignal,
): Job<void> {
  throwIfCancelled(signal);
  const total = items.reduce((sum, item) => sum + bytesOf(item), 0);
  const controller = new AbortController();
  setMaxListeners(0, controller.signal); // one listener a slice that waits: many are no leak
  const onAbort = (): void => controller.abort();
  signal?.addEventListener('abort', onAbort, { once: true });
  let done = 0, next = 0, failure: { error: unknown } | null = null;
  let wake = (): void => {};
  const running = new Set<Promise<void>>();
  const launch = (item: Item): void => {
    const one: Promise<void> = work(item, (bytes) => { done += bytes; wake(); }, controller.signal)
      .catch((error: unknown) => { failure ??= { error }; controller.abort(); })
      .finally(() => { running.delete(one); wake(); });
    running.add(one);
  };
  try {
    yield { stage, done, total, unit: 'bytes' };
    let told = 0;
    while (failure === null && (next < items.length || running.size > 0)) {
      while (next < items.length && running.size < width) launch(items[next++]);
      await new Promise<void>((resolve) => { wake = resolve; });
      if (done !== told) {
        told = done;
        yield { stage, done, total, unit: 'bytes' };
      }
    }
  } finally {
    signal?.removeEventListener('abort', onAbort);
    if (running.size > 0) controller.abort();
    await Promise.all(running);
  }
  throwIfCancelled(signal);
  if (failure !== null) throw (failure as { error: unknown }).error;
}
