let ask: () => void = () => {};

/**
 * Runs `work`, synchronous and long, so that reads inside of it which take long themselves hear of a cancel: they call
 * `checkInterrupted` between pieces. One at a time, as a worker's tasks are.
 *
 * @param check throws `cancelled` once that is so
 */
export function interruptible<T>(check: () => void, work: () => T): T {
  const before = ask;
  ask = check;
  try {
    return work();
  } finally {
    ask = before;
  }
}

/** @throws CheckpointError `cancelled` inside of `interruptible` */
export const checkInterrupted = (): void => ask();
