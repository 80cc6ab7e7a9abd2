/**
 * The extension's entry: wires commands, editors, jobs and the server. Computes nothing.
 *
 * | command              | server down                                  | server up                     |
 * |----------------------|----------------------------------------------|-------------------------------|
 * | winnow.inspect       | opens the inspector; its view starts the server | opens the inspector        |
 * | winnow.prune         | starts the server, then asks and confirms    | asks, counts, confirms, starts a job |
 * | winnow.sweep         | starts the server, then asks                 | asks, starts a job            |
 * | winnow.showJobs      | starts the server (it reads the run files)   | lists jobs, running and ended |
 * | winnow.openSweep     | opens the panel; its view starts the server  | opens the panel               |
 * | winnow.showLog       | shows the log                                | shows the log                 |
 * | winnow.restartServer | starts it, forgetting earlier deaths         | stops it, ends its calls with `server-stopped`, starts it; jobs go on |
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import * as vscode from 'vscode';
import type { Facts } from '../server/protocol/editor';
import { CallFailure } from '../server/rpc/ipc';
import { readRuns } from '../server/rpc/jobFiles';
import { WinnowClient } from './client';
import { inspect, openInspector } from './commands/inspect';
import { prune } from './commands/prune';
import { exportCsv, openPath, openReport } from './commands/results';
import { sweep } from './commands/sweep';
import type { Host } from './host';
import { registerInspector } from './inspectorEditor';
import { JobsView } from './jobsView';
import { registerPreviews } from './prunePreview';
import { readLevels } from './settings';
import { SweepPanels } from './sweepPanel';
import { wakeOnDocuments } from './wakeOnDocuments';

/** What `activate` returns: for tests and for other extensions. */
export interface WinnowApi {
  inspect(target: string): Promise<Facts>;
  call: WinnowClient['call'];
  /** Resolves once the server runs. */
  whenReady(): Promise<void>;
  /** Faults that views reported: throws and violations of the content policy. */
  faults(): readonly string[];
  /** Process ids, for tests that end them. */
  pids(): Promise<{ server: number | null; engine: number | null }>;
}

/** Registers everything; starts the server only where a job of an earlier window still runs or a document asks for it. */
export function activate(context: vscode.ExtensionContext): WinnowApi {
  const log = vscode.window.createOutputChannel('Winnow', { log: true });
  const client = new WinnowClient(context, log);
  const panels = new SweepPanels(() => host);
  const jobs = new JobsView(client, { openSweep: (dir) => panels.open(dir), inspect: openInspector });
  const host: Host = {
    context, client, log, jobs, faults: [],
    handlers: {
      prune: ({ path: target, sparsity }) => prune(host, { path: target, sparsity, askMethod: true }),
      sweep: ({ path: target }) => sweep(host, { path: target }),
      openPath: async ({ path: target }) => { await openPath(target); return {}; },
      // The panel of a sweep asks for its report; anyone else for the panel.
      openReport: async ({ dir }, from) => { if (from.path === dir) await openReport(host, dir); else panels.open(dir); return {}; },
      exportCsv: async ({ dir }) => { await exportCsv(host, dir); return {}; },
      restartServer: async () => { await client.restart(); return {}; },
      settings: (_params, from) => Promise.resolve({ path: from.path, levels: readLevels() }),
    },
  };
  const command = (id: string, run: (argument: unknown) => Promise<unknown>): vscode.Disposable => vscode.commands.registerCommand(id, async (argument: unknown) => {
    try { return await run(argument); } catch (error) {
      if (error instanceof CallFailure && error.code === 'cancelled') return undefined;
      log.error(error instanceof Error ? error : String(error));
      const choice = await vscode.window.showErrorMessage(error instanceof CallFailure ? error.sentence : error instanceof Error ? error.message : String(error), 'Show Log');
      if (choice) log.show();
      return undefined;
    }
  });
  context.subscriptions.push(
    log, client, jobs, panels.register(), ...registerPreviews(), ...registerInspector(host), wakeOnDocuments(client),
    command('winnow.inspect', inspect),
    command('winnow.prune', (argument) => prune(host, argument)),
    command('winnow.sweep', (argument) => sweep(host, argument)),
    command('winnow.openSweep', (argument) => openSweep(panels, argument)),
    command('winnow.showJobs', () => jobs.pick()),
    command('winnow.showLog', () => { log.show(); return Promise.resolve(); }),
    command('winnow.restartServer', () => client.restart()),
    vscode.workspace.onDidChangeConfiguration((event) => { if (['winnow.io', 'winnow.threads', 'winnow.dataFolder'].some((key) => event.affectsConfiguration(key)) && client.running) void client.restart().catch(() => { /* its state says so */ }); }),
  );
  // Jobs outlive windows: one that still ran when this one closed is followed again.
  if (readRuns(path.join(context.globalStorageUri.fsPath, 'jobs')).some(({ job }) => job.state === 'running')) client.ensure().catch(() => { /* logged */ });
  return {
    inspect: (target) => client.call('inspect', { path: target }),
    call: (method, params, signal) => client.call(method, params, signal),
    whenReady: async () => { await client.ensure(); },
    faults: () => host.faults,
    pids: async () => ({ server: client.pid ?? null, engine: await client.enginePid() }),
  };
}

async function openSweep(panels: SweepPanels, argument: unknown): Promise<void> {
  const given = argument instanceof vscode.Uri ? argument.fsPath : typeof argument === 'string' ? argument : (await vscode.window.showOpenDialog({ title: 'Open Sweep', canSelectFiles: false, canSelectFolders: true, openLabel: 'Open Sweep' }))?.[0]?.fsPath;
  if (!given) return;
  if (!existsSync(given)) void vscode.window.showWarningMessage(`${given} is not there.`);
  else panels.open(given);
}
