import { execFile } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import * as vscode from 'vscode';
import { checkpointAt, isWeightName } from '../../server/language/siblings';
import type { Host } from '../host';
import { openInspector } from './inspect';

/** Opens what a job wrote: a checkpoint in the inspector, a file in its editor, another folder in the explorer. */
export async function openPath(target: string): Promise<void> {
  if (!existsSync(target)) { void vscode.window.showWarningMessage(`${target} is not there any more.`); return; }
  const uri = vscode.Uri.file(target), folder = statSync(target).isDirectory();
  if (folder ? checkpointAt(target).ok : isWeightName(target)) await openInspector(target);
  else await vscode.commands.executeCommand(folder ? 'revealInExplorer' : 'vscode.open', uri);
}

/** Writes the Markdown report beside the sweep and shows it. */
export async function openReport(host: Host, dir: string): Promise<void> {
  const cli = path.join(host.context.extensionPath, 'dist', 'cli.js'), report = path.join(dir, 'report.md');
  try {
    await promisify(execFile)(process.execPath, [cli, 'report', dir, '--out', report], { env: { ...process.env, ELECTRON_RUN_AS_NODE: '1' }, maxBuffer: 1 << 24 });
  } catch (error) {
    const said = String((error as { stderr?: string }).stderr ?? '').split('\n').find((line) => line.startsWith('winnow: '));
    throw new Error(said ?? 'The report could not be written.', { cause: error });
  }
  await vscode.commands.executeCommand('markdown.showPreview', vscode.Uri.file(report));
}

/** Saves the cells of a sweep as CSV where the person says. */
export async function exportCsv(host: Host, dir: string): Promise<void> {
  const { csv } = await host.client.call('sweepTable', { dir });
  const target = await vscode.window.showSaveDialog({ defaultUri: vscode.Uri.file(path.join(dir, `${path.basename(dir)}.csv`)), filters: { CSV: ['csv'] } });
  if (target) await vscode.workspace.fs.writeFile(target, Buffer.from(csv, 'utf8'));
}
