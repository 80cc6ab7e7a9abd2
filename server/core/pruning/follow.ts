import type { Job, Progress } from '../job';

/** How often waiting work says how far it is. */
const PROGRESS_EVERY_MS = 100;

/**
 * Waits for work that counts what it has done, and yields progress meanwhile.
 *
 * @param work starts the work; calls `add` with what was done since its last call
 */
export async function* follow<Answer>(
  about: Pick<Progress, 'stage' | 'unit'> & { readonly total: number | null },
  work: (add: (amount: number) => void) => Promise<Answer>,
): Job<Answer> {
  let done = 0;
  yield { ...about, done };
  const answer = work((amount) => { done += amount; });
  const settled = answer.then(() => true, () => true);
  for (;;) {
    let timer: NodeJS.Timeout | undefined;
    const tick = new Promise<false>((resolve) => { timer = setTimeout(() => resolve(false), PROGRESS_EVERY_MS); });
    const ended = await Promise.race([settled, tick]);
    clearTimeout(timer);
    if (ended) return await answer;
    yield { ...about, done };
  }
}
