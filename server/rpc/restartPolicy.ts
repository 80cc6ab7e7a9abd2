/** How long to wait before each restart: at once, then after 1, 4 and 15 s; then a person decides. */
export const RESTART_DELAYS_MS: readonly number[] = [0, 1_000, 4_000, 15_000];
/** A process that lived this long was well: the next death starts the list again. */
export const SETTLED_MS = 60_000;

/** Counts deaths. Knows no processes and no clock of its own. */
export class RestartPolicy {
  private deaths = 0;

  constructor(private readonly delays: readonly number[] = RESTART_DELAYS_MS, private readonly settledMs = SETTLED_MS) {}

  /** Milliseconds to wait before the restart after a life of `livedMs`, or null when it should stay stopped. */
  next(livedMs: number): number | null {
    if (livedMs >= this.settledMs) this.deaths = 0;
    return this.delays[this.deaths++] ?? null;
  }

  reset(): void { this.deaths = 0; }
}

/** `was ended by SIGKILL (out of memory, or ended by hand)`: what a person is told about a child that is gone. */
export function describeExit(code: number | null, signal: string | null): string {
  if (signal === 'SIGKILL') return 'was ended by SIGKILL (out of memory, or ended from outside)';
  if (signal === 'SIGBUS') return 'was ended by SIGBUS (a file changed while it was mapped)';
  if (signal) return `was ended by ${signal}`;
  return `exited with code ${code ?? 'unknown'}`;
}
