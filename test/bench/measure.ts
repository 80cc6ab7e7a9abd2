import { spawn } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';

export const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b), middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};

/** `1.23 (1.20..1.31)`: median and range. */
export const spread = (values: readonly number[], digits = 2): string =>
  `${median(values).toFixed(digits)} (${Math.min(...values).toFixed(digits)}..${Math.max(...values).toFixed(digits)})`;

/** Sums of RssAnon and VmRSS (bytes) over a process and everything below it, from /proc; a page that several map counts for each. Linux only. */
function memoryOfTree(rootPid: number): { readonly anon: number; readonly rss: number } {
  const parents = new Map<number, number>(), anon = new Map<number, number>(), rss = new Map<number, number>();
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const status = readFileSync(`/proc/${entry}/status`, 'utf8');
      parents.set(Number(entry), Number(/^PPid:\s+(\d+)/m.exec(status)?.[1]));
      anon.set(Number(entry), 1024 * Number(/^RssAnon:\s+(\d+) kB/m.exec(status)?.[1] ?? 0));
      rss.set(Number(entry), 1024 * Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0));
    } catch { /* gone meanwhile */ }
  }
  const total = { anon: 0, rss: 0 };
  for (const pid of anon.keys()) {
    let up: number | undefined = pid;
    while (up && up !== rootPid) up = parents.get(up);
    if (up !== rootPid) continue;
    total.anon += anon.get(pid) ?? 0;
    total.rss += rss.get(pid) ?? 0;
  }
  return total;
}

export interface Ran { seconds: number; peakAnon: number; peakRss: number; stdout: string }

/** Runs a command to its end; samples the memory of its process tree every 50 ms. */
export function runMeasured(command: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const started = process.hrtime.bigint();
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env });
    let stdout = '', stderr = '', peakAnon = 0, peakRss = 0;
    child.stdout.on('data', (data: Buffer) => { stdout += data.toString(); });
    child.stderr.on('data', (data: Buffer) => { stderr += data.toString(); });
    const sampler = setInterval(() => {
      if (!child.pid) return;
      const { anon, rss } = memoryOfTree(child.pid);
      peakAnon = Math.max(peakAnon, anon);
      peakRss = Math.max(peakRss, rss);
    }, 50);
    child.on('error', reject);
    child.on('close', (code) => {
      clearInterval(sampler);
      if (code !== 0) reject(new Error(`${command} ${args.join(' ')} exited with ${code}\n${stderr.slice(-2000)}`));
      else resolve({ seconds: Number(process.hrtime.bigint() - started) / 1e9, peakAnon, peakRss, stdout });
    });
  });
}

export const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(0)} MiB`;
export const gb = (bytes: number): string => `${(bytes / 1e9).toFixed(2)} GB`;
