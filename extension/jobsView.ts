/** Jobs as a person sees them: a progress notification with cancel, an item in the status bar, and what to do with the result. */
import { existsSync } from 'node:fs';
import * as vscode from 'vscode';
import type { JobJson } from '../server/protocol/editor';
import type { WinnowClient } from './client';
import { outArgument, percentOf, progressText } from './jobText';

export interface JobActions { openSweep(dir: string): void; inspect(target: string): Promise<void> }

interface Shown { report(job: JobJson): void; end(): void }

/** The jobs of this machine as this window shows them. */
export class JobsView implements vscode.Disposable {
  private readonly shown = new Map<string, Shown>();
  private readonly running = new Map<string, JobJson>();
  private readonly told = new Set<string>();
  private readonly unopened = new Set<string>();
  private readonly item = vscode.window.createStatusBarItem('winnow.jobs', vscode.StatusBarAlignment.Left, 50);
  private readonly subscriptions: vscode.Disposable[];

  constructor(private readonly client: WinnowClient, private readonly actions: JobActions) {
    this.item.name = 'Winnow jobs';
    this.item.command = 'winnow.showJobs';
    this.subscriptions = [this.item, client.onEvent((pushed) => { if (pushed.event === 'jobChanged') this.changed(pushed.payload.job); })];
  }

  /** A job that was started in this window: its sweep opens as soon as there is something to see. */
  started(job: JobJson): void {
    if (job.kind === 'sweep') this.unopened.add(job.id);
    this.changed(job);
  }

  changed(job: JobJson): void {
    if (job.state === 'running') {
      const out = outArgument(job);
      if (job.progress && out && existsSync(out) && this.unopened.delete(job.id)) this.actions.openSweep(out);
      this.running.set(job.id, job);
      this.show(job).report(job);
    } else {
      this.running.delete(job.id);
      this.shown.get(job.id)?.end();
      this.shown.delete(job.id);
      if (!this.told.has(job.id)) { this.told.add(job.id); void this.tell(job); }
    }
    this.refreshItem();
  }

  /** Picks one of the jobs and what to do with it. */
  async pick(): Promise<void> {
    const { jobs } = await this.client.call('jobs', {});
    if (jobs.length === 0) { void vscode.window.showInformationMessage('There are no Winnow jobs.'); return; }
    const picked = await vscode.window.showQuickPick(jobs.map((job) => ({ label: `$(${ICONS[job.state]}) ${job.title}`, description: job.state === 'running' ? progressText(job) : job.state, detail: job.message ?? job.out ?? job.checkpoint, job })), { title: 'Winnow jobs', matchOnDetail: true });
    if (picked) await this.choose(picked.job);
  }

  dispose(): void {
    for (const shown of this.shown.values()) shown.end();
    for (const subscription of this.subscriptions) subscription.dispose();
  }

  private show(job: JobJson): Shown {
    const known = this.shown.get(job.id);
    if (known) return known;
    let report: (job: JobJson) => void = () => {}, end: () => void = () => {};
    const ended = new Promise<void>((resolve) => { end = resolve; });
    const shown: Shown = { report: (now) => report(now), end: () => end() };
    this.shown.set(job.id, shown);
    void vscode.window.withProgress({ location: vscode.ProgressLocation.Notification, title: job.title, cancellable: true }, async (progress, token) => {
      let last = 0;
      report = (now) => {
        const percent = percentOf(now);
        // A new stage starts from nothing; the bar only moves on.
        progress.report({ message: progressText(now), increment: percent === null ? undefined : Math.max(0, percent - last) });
        if (percent !== null) last = Math.max(last, percent);
      };
      report(this.running.get(job.id) ?? job);
      token.onCancellationRequested(() => { void this.client.call('cancelJob', { id: job.id }).catch((error: unknown) => vscode.window.showErrorMessage(String(error))); });
      await ended;
    });
    return shown;
  }

  private refreshItem(): void {
    const jobs = [...this.running.values()];
    if (jobs.length === 0) { this.item.hide(); return; }
    this.item.text = jobs.length === 1 ? `$(sync~spin) ${jobs[0].title}` : `$(sync~spin) ${jobs.length} Winnow jobs`;
    this.item.tooltip = jobs.map((job) => `${job.title}: ${progressText(job)}`).join('\n');
    this.item.show();
  }

  private async tell(job: JobJson): Promise<void> {
    if (job.state === 'done') {
      if (job.kind === 'sweep' && job.out) this.actions.openSweep(job.out);
      const seconds = Math.max(1, Math.round(((job.endedMs ?? job.startedMs) - job.startedMs) / 1000));
      const choice = await vscode.window.showInformationMessage(`${job.title}: done in ${seconds} s${job.out ? `. Written to ${job.out}` : ''}.`, ...this.choices(job));
      if (choice) await this.act(job, choice);
    } else if (job.state === 'cancelled') {
      void vscode.window.showInformationMessage(`${job.title}: cancelled. Nothing was left behind${job.kind === 'sweep' ? ' but finished cells: the same sweep goes on from there' : ''}.`);
    } else {
      const choice = await vscode.window.showErrorMessage(`${job.title}: ${job.message ?? 'it ended without a word'}`, ...this.choices(job));
      if (choice) await this.act(job, choice);
    }
  }

  private choices(job: JobJson): string[] {
    const out = job.state === 'done' && job.out ? (job.kind === 'sweep' ? ['Open', 'Reveal'] : ['Inspect', 'Reveal']) : [];
    return [...out, 'Show Log'];
  }

  private async choose(job: JobJson): Promise<void> {
    const choices = job.state === 'running' ? ['Cancel', 'Show Log'] : [...this.choices(job), 'Dismiss'];
    const choice = await vscode.window.showQuickPick(choices, { title: job.title });
    if (choice) await this.act(job, choice);
  }

  private async act(job: JobJson, choice: string): Promise<void> {
    switch (choice) {
      case 'Open': if (job.out) this.actions.openSweep(job.out); break;
      case 'Inspect': if (job.out) await this.actions.inspect(job.out); break;
      case 'Reveal': if (job.out) await vscode.commands.executeCommand('revealInExplorer', vscode.Uri.file(job.out)); break;
      case 'Show Log': await vscode.window.showTextDocument(vscode.Uri.file(await this.client.jobLog(job.id)), { preview: true }); break;
      case 'Cancel': await this.client.call('cancelJob', { id: job.id }); break;
      case 'Dismiss': await this.client.call('dismissJob', { id: job.id }); break;
    }
  }
}

const ICONS: Readonly<Record<JobJson['state'], string>> = { running: 'sync~spin', done: 'check', failed: 'error', cancelled: 'circle-slash', lost: 'question' };
