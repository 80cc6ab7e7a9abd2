import type { Progress } from '../core/job';

/** What progress is written to: stderr, or a test's stand-in. */
export interface ProgressStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

const units = ['B', 'kB', 'MB', 'GB', 'TB'];

/** 6430000000 -> `6.43 GB` (decimal, three digits). */
export function formatBytes(bytes: number): string {
  let step = 0, value = bytes;
  while (value >= 999.5 && step < units.length - 1) {
    value /= 1000;
    step++;
  }
  return `${step === 0 ? value : Number(value.toPrecision(3))} ${units[step]}`;
}

/** Seconds as `0:42` or `1:02:03`. */
export function formatSeconds(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds)), pad = (n: number): string => String(n).padStart(2, '0');
  const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  return hours > 0 ? `${hours}:${pad(minutes)}:${pad(whole % 60)}` : `${minutes}:${pad(whole % 60)}`;
}

const quantity = (amount: number, unit: Progress['unit']): string => unit === 'bytes' ? formatBytes(amount) : amount.toLocaleString('en');

/** `scanning 3.1 GB of 6.43 GB, 4.2 GB/s, 0:01 left · note` */
export function describeProgress(progress: Progress, elapsedSeconds: number): string {
  const { stage, done, total, unit, note } = progress;
  const amount = total === null ? quantity(done, unit) : `${quantity(done, unit)} of ${quantity(total, unit)}`;
  const parts = [`${stage} ${amount}${unit === 'bytes' || stage.endsWith(unit) ? '' : ` ${(total ?? done) === 1 ? unit.replace(/s$/, '') : unit}`}`];
  if (elapsedSeconds > 1 && done > 0) {
    if (unit === 'bytes') parts.push(`${formatBytes(Math.round(done / elapsedSeconds))}/s`);
    if (total !== null && done < total) parts.push(`${formatSeconds(elapsedSeconds * (total - done) / done)} left`);
  }
  return parts.join(', ') + (note ? ` · ${note}` : '');
}

/** Control characters of names out of files must not reach a terminal. */
export const printable = (text: string): string => text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);

const BAR_CELLS = 24;
const TTY_GAP_MS = 80;
const LINE_GAP_MS = 1000;
/** Long jobs say less often: about this many lines for each time as long. */
const LINES_A_LIFETIME = 15;

/** Shows progress: one line that is redrawn on a terminal, plain lines elsewhere, at most one a second and fewer as time goes on. */
export class ProgressBar {
  private stage = '';
  private stageStartedMs = 0;
  private drawnMs = -Infinity;
  private startedMs: number | null = null;
  private drawn = false;

  constructor(private readonly stream: ProgressStream, private readonly now: () => number = () => performance.now()) {}

  report(progress: Progress): void {
    const now = this.now();
    if (progress.stage !== this.stage) {
      this.stage = progress.stage;
      this.stageStartedMs = now;
    }
    this.startedMs ??= now;
    const lineGapMs = Math.max(LINE_GAP_MS, (now - this.startedMs) / LINES_A_LIFETIME);
    if (now - this.drawnMs < (this.stream.isTTY ? TTY_GAP_MS : lineGapMs)) return;
    this.drawnMs = now;
    const text = printable(describeProgress(progress, (now - this.stageStartedMs) / 1000));
    if (!this.stream.isTTY) {
      this.stream.write(`${text}\n`);
      return;
    }
    const fraction = progress.total === null || progress.total === 0 ? null : Math.min(1, progress.done / progress.total);
    const filled = fraction === null ? 0 : Math.round(fraction * BAR_CELLS);
    const bar = fraction === null ? '' : `${'█'.repeat(filled)}${'░'.repeat(BAR_CELLS - filled)} ${String(Math.floor(fraction * 100)).padStart(3)} % `;
    this.stream.write(`\r\u001b[2K${(bar + text).slice(0, Math.max(20, (this.stream.columns ?? 80) - 1))}`);
    this.drawn = true;
  }

  /** Takes the redrawn line away, so that what follows starts on a clean line. */
  end(): void {
    if (this.drawn) this.stream.write('\r\u001b[2K');
    this.drawn = false;
  }
}
