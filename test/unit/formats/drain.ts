import type { Job } from '../../../server/core/job';

/** Runs a job to its end; its progress is nobody's. */
export async function drain<T>(job: Job<T>): Promise<T> {
  for (;;) {
    const step = await job.next();
    if (step.done) return step.value;
  }
}
