/** One report of a long piece of work. `done` and `total` share `unit`; total null while it is not known. */
export interface Progress {
  readonly stage: string;
  readonly done: number;
  readonly total: number | null;
  readonly unit: 'bytes' | 'tensors' | 'windows' | 'cells' | 'files' | 'tokens' | 'providers';
  /** A short running remark, e.g. the perplexity so far. */
  readonly note?: string;
}

/** Long work: yields progress, returns its answer, takes an AbortSignal, prints nothing. */
export type Job<Answer> = AsyncGenerator<Progress, Answer, void>;

/** Runs a job to its end and hands every progress to `report`. */
export async function runJob<Answer>(job: Job<Answer>, report: (progress: Progress) => void = () => {}): Promise<Answer> {
  for (;;) {
    const step = await job.next();
    if (step.done) return step.value;
    report(step.value);
  }
}
