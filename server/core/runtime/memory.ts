import { readFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { CheckpointError } from '../errors';
import type { ModelGraph } from '../graph/contract';

/** What a child with an open session takes before it sees a weight (measured: 45 to 60 MiB, rounded up). */
const RUNTIME_BYTES = 96 * 2 ** 20;

function text(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

/** The number after `key` in a file of `key value` lines, or NaN. */
const field = (content: string, key: string): number => Number(new RegExp(`^${key}:?\\s+(\\d+)`, 'm').exec(content)?.[1] ?? NaN);

/** Bytes left in one control group: its limit less what is used and cannot be given back. Infinity without a limit. */
function leftIn(folder: string, names: { readonly limit: string; readonly used: string; readonly stat: readonly string[] }): number {
  const limit = Number(text(path.join(folder, names.limit)).trim() || NaN);
  const used = Number(text(path.join(folder, names.used)).trim() || NaN);
  if (!Number.isFinite(limit) || !Number.isFinite(used)) return Infinity;
  const stat = text(path.join(folder, 'memory.stat'));
  const reclaimable = names.stat.reduce((sum, key) => sum + (field(stat, key) || 0), 0);
  return Math.max(0, limit - used + reclaimable);
}

const version1 = { limit: 'memory.limit_in_bytes', used: 'memory.usage_in_bytes', stat: ['total_inactive_file', 'total_active_file'] };
const version2 = { limit: 'memory.max', used: 'memory.current', stat: ['inactive_file', 'active_file'] };

/**
 * Bytes that a new process could use: Linux's MemAvailable, or what the control groups above this process leave, if that
 * is less; the free memory elsewhere. File pages that can be dropped count as available.
 *
 * @param root the folder that holds `proc` and `sys`; another one in tests
 */
export function availableMemory(root = '/', platform: NodeJS.Platform = process.platform): number {
  if (platform !== 'linux') return os.freemem();
  const meminfo = field(text(path.join(root, 'proc/meminfo')), 'MemAvailable') * 1024;
  let left = Number.isFinite(meminfo) ? meminfo : os.freemem();
  for (const line of text(path.join(root, 'proc/self/cgroup')).split('\n')) {
    const [, controllers, group] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (group === undefined) continue;
    const isVersion1 = controllers.split(',').includes('memory');
    if (!isVersion1 && controllers !== '') continue;
    const base = path.join(root, 'sys/fs/cgroup', isVersion1 ? 'memory' : '');
    // Every group above has a say too; inside a container the innermost may be mounted as the root itself.
    for (let at = path.join('/', group); ; at = path.dirname(at)) {
      left = Math.min(left, leftIn(path.join(base, at), isVersion1 ? version1 : version2));
      if (at === '/') break;
    }
  }
  return left;
}

/** The most memory that this process has held so far, bytes: its own pages and those of mapped files. */
export function peakMemory(root = '/'): number {
  // Not getrusage where /proc says it: a forked child begins with what its parent held.
  const kilobytes = field(text(path.join(root, 'proc/self/status')), 'VmHWM');
  return (Number.isFinite(kilobytes) ? kilobytes : process.resourceUsage().maxRSS) * 1024;
}

/** What one session of `graph` needs, in bytes. Mapped weights count: pages that do not fit are read again each window. */
export function memoryNeed(graph: ModelGraph, tokensAtOnce: number, prepacking = false): { readonly weights: number; readonly copies: number; readonly activations: number; readonly total: number } {
  const copies = graph.foldedBytes + (prepacking ? graph.weightBytes : 0);
  const activations = RUNTIME_BYTES + tokensAtOnce * graph.activationBytesPerToken;
  return { weights: graph.weightBytes, copies, activations, total: graph.weightBytes + copies + activations };
}

const mib = (bytes: number): string => `${Math.ceil(bytes / 2 ** 20)} MiB`;

/**
 * Refuses before anything starts when the model does not fit.
 *
 * @param tokensAtOnce batch * length of the largest request
 * @throws CheckpointError `out-of-memory` with the numbers
 */
export function checkMemory(graph: ModelGraph, tokensAtOnce: number, prepacking = false, available = availableMemory()): void {
  const need = memoryNeed(graph, tokensAtOnce, prepacking);
  if (need.total <= available) return;
  throw new CheckpointError('out-of-memory', {},
    `needs ${mib(need.total)} (weights ${mib(need.weights)}, copies ${mib(need.copies)}, activations of ${tokensAtOnce} tokens ${mib(need.activations)}), ${mib(available)} available`);
}
