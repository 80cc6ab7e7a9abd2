/** Words about jobs. Knows no vscode. */
import type { JobJson } from '../server/protocol/editor';

/** Percent of the stage, null while its size is not known. */
export const percentOf = ({ progress }: JobJson): number | null => (progress && progress.total ? Math.min(100, (progress.done / progress.total) * 100) : null);

/** `scan 42 %`, `evaluating 3 of 12 windows, 31.2`. */
export function progressText(job: JobJson): string {
  const { progress } = job;
  if (!progress) return 'starting';
  const percent = percentOf(job);
  const much = percent === null ? '' : progress.unit === 'bytes' ? ` ${Math.floor(percent)} %` : ` ${progress.done} of ${progress.total} ${progress.unit}`;
  return `${progress.stage}${much}${progress.note ? `, ${progress.note}` : ''}`;
}

/** The folder a job was told to write, null when it chooses itself. */
export function outArgument({ args }: JobJson): string | null {
  const at = args.indexOf('--out');
  return at < 0 ? null : (args[at + 1] ?? null);
}
