/** The last line: the scan in place, running jobs, and what the threshold means in weights. Also the banner. */
import { button, makeProgress } from '../controls';
import { h, setText } from '../dom';
import { formatBytes, formatCount, formatDuration, formatPercent, formatValue } from '../format';
import type { CutState, ScanState } from '../store';
import type { Facts, JobJson } from '../../server/protocol/editor';

export interface StatusSource { cancelScan(): void; startScan(): void; cancelJob(id: string): void; openJob(job: JobJson): void; dismissJob(id: string): void }
export interface StatusBar {
  element: HTMLElement;
  scan(scan: ScanState): void;
  cut(cut: CutState, facts: Facts | null): void;
  jobs(jobs: readonly JobJson[]): void;
}

export function makeStatus(source: StatusSource): StatusBar {
  const progress = makeProgress('Scan');
  const text = h('span', { class: 'scan-text' });
  const cancel = button('Cancel', 'secondary', () => source.cancelScan(), 'Stop scanning');
  const again = button('Scan', 'secondary', () => source.startScan(), 'Read every weight once');
  const jobs = h('span', { class: 'jobs' });
  const right = h('span', { class: 'status-right', 'aria-live': 'polite' });
  const element = h('footer', { class: 'status' }, progress.element, text, cancel, again, jobs, right);

  return {
    element,
    scan: (scan) => {
      const running = scan.state === 'running';
      progress.element.hidden = !running;
      cancel.hidden = !running;
      again.hidden = scan.state !== 'cancelled' && scan.state !== 'failed';
      progress.set(scan.total > 0 ? scan.done / scan.total : null);
      setText(text, scanText(scan));
    },
    cut: (cut, facts) => setText(right, cutText(cut, facts)),
    jobs: (list) => jobs.replaceChildren(...list.map((job) => {
      const action = job.state === 'running' ? link('Cancel', () => source.cancelJob(job.id))
        : job.state === 'done' && job.out !== null ? link('Open', () => source.openJob(job)) : null;
      return h('span', { class: `job job-${job.state}`, title: job.title }, h('span', { class: 'job-text' }, jobText(job)), action,
        job.state === 'running' ? null : link('Dismiss', () => source.dismissJob(job.id)));
    })),
  };
}

function link(label: string, act: () => void): HTMLElement {
  const element = h('button', { type: 'button', class: 'link' }, label);
  element.addEventListener('click', act);
  return element;
}

export function scanText(scan: ScanState): string {
  switch (scan.state) {
    case 'waiting': return '';
    case 'running': return scan.total > 0
      ? `scanning ${formatBytes(scan.done)} of ${formatBytes(scan.total)}${scan.bytesPerSecond > 0 ? `, ${formatBytes(scan.bytesPerSecond)}/s` : ''}` : 'scanning';
    case 'done': return scan.cached ? `${formatBytes(scan.total)} scanned before, exact` : `scanned ${formatBytes(scan.total)} in ${formatDuration(scan.seconds)}, exact`;
    case 'cancelled': return `scan cancelled at ${formatBytes(scan.done)} of ${formatBytes(scan.total)}`;
    case 'failed': return scan.message === '' ? 'scan failed' : `scan failed: ${scan.message}`;
  }
}

export function cutText(cut: CutState, facts: Facts | null): string {
  if (!facts || cut.threshold === null) return '';
  const of = cut.exact?.scopeParameters ?? facts.prunableParameters;
  const kept = cut.exact ? of - cut.exact.selected : Math.round(of * (1 - cut.sparsity));
  return `threshold ${formatValue(cut.threshold)} keeps ${cut.exact ? '' : '≈ '}${formatCount(kept)} of ${formatCount(of)} prunable weights`;
}

export function jobText(job: JobJson): string {
  switch (job.state) {
    case 'running': {
      const part = job.progress && job.progress.total ? ` ${formatPercent(job.progress.done / job.progress.total)}` : '';
      return `${job.title}: ${job.progress?.stage ?? 'starting'}${part}`;
    }
    case 'done': return `${job.title}: done`;
    case 'failed': return `${job.title}: ${job.message ?? 'failed'}`;
    case 'cancelled': return `${job.title}: cancelled`;
    case 'lost': return `${job.title}: its process is gone`;
  }
}
