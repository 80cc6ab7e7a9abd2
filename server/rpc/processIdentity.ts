/** Whether a process is still the one that was started: pids are used again, start times are not. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** When `pid` started, in whatever unit the system speaks; null when it is gone or the system does not say. Compare for equality only. */
export function startStamp(pid: number): string | null {
  try {
    if (process.platform === 'linux') {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      // The name in parentheses may hold blanks: fields are counted after it. Field 3 is the state, 22 the start in ticks since boot.
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return fields[0] === 'Z' ? null : fields[19];
    }
    if (process.platform === 'win32') return null;
    return execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim() || null;
  } catch { return null; }
}

/** True while `pid` runs and is the process that had `stamp` (a null stamp is compared by pid alone). */
export function isAlive(pid: number, stamp: string | null): boolean {
  if (pid <= 0) return false;
  try { process.kill(pid, 0); } catch (error) { if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false; }
  if (stamp === null) return true;
  return startStamp(pid) === stamp;
}
