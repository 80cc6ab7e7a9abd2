import { existsSync } from 'node:fs';
import path from 'node:path';
import * as vscode from 'vscode';
import { percent } from '../../server/language/percent';
import type { Host } from '../host';
import { checkpointOf } from '../pickCheckpoint';
import { pickMethods } from './pickMethod';
import { commonFlags, readLevels, readLimit } from '../settings';
import { besideName, freeName, stemOf } from '../targets';

const TITLE = 'Run Sweep';

/** A recipe is run as it is written; for a checkpoint, benchmark and levels are asked. */
export async function sweep(host: Host, argument: unknown): Promise<{ started: boolean }> {
  const none = { started: false };
  const recipe = (argument as { recipe?: unknown } | undefined)?.recipe;
  if (typeof recipe === 'string') return await sweepRecipe(host, recipe, (argument as { path: string }).path);
  const checkpoint = await checkpointOf(argument, TITLE);
  if (!checkpoint) return none;
  const text = await askText(host);
  if (!text) return none;
  const methods = await pickMethods(host, TITLE);
  if (!methods) return none;
  const levels = await askLevels();
  if (!levels || levels.length === 0) return none;
  const out = await askOut(besideName(checkpoint, 'sweep', vscode.workspace.workspaceFolders?.[0]?.uri.fsPath ?? path.dirname(checkpoint)));
  if (!out) return none;
  const limit = readLimit();
  return await start(host, checkpoint, ['sweep', checkpoint, ...text, ...methods, '--levels', levels.join(','), ...(limit > 0 ? ['--limit', String(limit)] : []), '--out', out], `Sweep ${path.basename(stemOf(checkpoint))}`);
}

async function sweepRecipe(host: Host, recipe: string, checkpoint: string): Promise<{ started: boolean }> {
  // What runs is what is on the screen.
  const open = vscode.workspace.textDocuments.find((document) => document.uri.fsPath === recipe);
  if (open?.isDirty && !(await open.save())) return { started: false };
  return await start(host, checkpoint, ['sweep', recipe], `Sweep ${path.basename(stemOf(checkpoint))}`);
}

async function start(host: Host, checkpoint: string, words: string[], title: string): Promise<{ started: boolean }> {
  const args = [...words, ...commonFlags()];
  const job = await host.client.call('startJob', { kind: 'sweep', checkpoint, args, title });
  host.log.info(`job ${job.id}: winnow ${args.join(' ')}`);
  host.jobs.started(job);
  return { started: true };
}

/** A benchmark of the catalog that is there, or a text file. */
async function askText(host: Host): Promise<string[] | null> {
  interface Item extends vscode.QuickPickItem { words: string[] | null }
  const { benchmarks } = await host.client.call('catalog', {});
  const available = benchmarks.filter((benchmark) => benchmark.available), missing = benchmarks.filter((benchmark) => !benchmark.available);
  const items: Item[] = available.map(({ id, title, summary, note }) => ({ label: title, description: id, detail: note ?? summary, words: ['--benchmarks', id] }));
  items.push({ label: '$(file-text) Text file…', description: 'any UTF-8 text, or JSON Lines, one document a line', words: [] });
  if (missing.length > 0) items.push({ label: 'Not on this machine', kind: vscode.QuickPickItemKind.Separator, words: null }, ...missing.map(({ id, title, note }): Item => ({ label: `$(circle-slash) ${title}`, description: id, detail: `${note === null ? '' : `${note}. `}\`winnow fetch ${id}\` downloads it into the folder of winnow.dataFolder.`, words: null })));
  const picked = await vscode.window.showQuickPick(items, { title: TITLE, placeHolder: 'Text to measure perplexity on' });
  if (!picked) return null;
  if (picked.words === null) {
    const choice = await vscode.window.showWarningMessage(`${picked.description} is not on this machine: set winnow.dataFolder to the folder that holds it, or run \`winnow fetch ${picked.description}\` in a terminal.`, 'Open Settings');
    if (choice) await vscode.commands.executeCommand('workbench.action.openSettings', 'winnow.dataFolder');
    return null;
  }
  if (picked.words.length > 0) return picked.words;
  const file = await vscode.window.showOpenDialog({ title: TITLE, canSelectFiles: true, canSelectMany: false, openLabel: 'Measure on this text', filters: { Text: ['txt', 'md', 'raw', 'tokens', 'jsonl'], 'All files': ['*'] } });
  return file?.[0] ? ['--text', file[0].fsPath] : null;
}

async function askLevels(): Promise<number[] | null> {
  const configured = readLevels(), offered = [...new Set([...configured, 0.1, 0.3, 0.5, 0.7, 0.9, 0.95, 0.99])].sort((a, b) => a - b);
  const items = offered.map((value) => ({ label: percent(value), picked: configured.includes(value), value }));
  const picked = await vscode.window.showQuickPick(items, { title: TITLE, placeHolder: 'Levels: fractions of the prunable weights that become zero. The unpruned baseline is always measured.', canPickMany: true });
  return picked ? picked.map(({ value }) => value) : null;
}

/** A sweep goes on in a folder that is there already, or starts in a new one. */
async function askOut(wanted: string): Promise<string | null> {
  if (!existsSync(wanted)) return wanted;
  const fresh = freeName(wanted);
  const picked = await vscode.window.showQuickPick([
    { label: '$(new-folder) Start anew', description: path.basename(fresh), detail: fresh, out: fresh },
    { label: '$(debug-continue) Go on with', description: path.basename(wanted), detail: `${wanted}: finished cells are not run again; the setup has to be the same`, out: wanted },
  ], { title: TITLE, placeHolder: `${path.basename(wanted)} exists already` });
  return picked?.out ?? null;
}
