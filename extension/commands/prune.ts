import { existsSync } from 'node:fs';
import path from 'node:path';
import * as vscode from 'vscode';
import { percent } from '../../server/language/percent';
import { previewSummary } from '../previewSummary';
import { planPreview, showPreview } from '../prunePreview';
import type { Host } from '../host';
import { checkpointOf } from '../pickCheckpoint';
import { pickMethod } from './pickMethod';
import { commonFlags, readLevels } from '../settings';
import { besideName, freeName, percentName } from '../targets';

const TITLE = 'Prune Checkpoint';
const DETAILS = 'Show Details';

/** Asks for what is not given, counts exactly what would change, confirms with that and the place of the result, and starts the job. */
export async function prune(host: Host, argument: unknown): Promise<{ started: boolean }> {
  const none = { started: false };
  const checkpoint = await checkpointOf(argument, TITLE);
  if (!checkpoint) return none;
  const given = (argument ?? {}) as { sparsity?: unknown; flags?: unknown; askMethod?: unknown };
  const asked = typeof given.sparsity === 'number' && given.sparsity >= 0 && given.sparsity <= 1 ? given.sparsity : null;
  // A recipe or a line above a config says how; the palette, the explorer and the inspector ask.
  const asks = !Array.isArray(given.flags) && (asked === null || given.askMethod === true), picked = asks ? await pickMethod(host, TITLE) : null;
  if (asks && !picked) return none;
  const sparsity = picked?.sparsity ?? asked ?? await askSparsity();
  if (sparsity === null) return none;
  const flags = picked?.flags ?? (Array.isArray(given.flags) ? given.flags.filter((flag): flag is string => typeof flag === 'string') : []);

  // Headers only: a file that cannot be pruned says so before anything starts.
  const facts = await host.client.call('inspect', { path: checkpoint });
  if (facts.prunableParameters === 0 && !flags.includes('--include')) { void vscode.window.showWarningMessage(`${facts.name} has no prunable weights: no attention or MLP matrix was recognised.`); return none; }
  const method = flagValue(flags, '--method') ?? 'magnitude', pattern = flagValue(flags, '--pattern');
  const wanted = besideName(checkpoint, `${method}-${percentName(sparsity)}`, vscode.workspace.workspaceFolders?.[0]?.uri.fsPath ?? path.dirname(checkpoint));
  const exists = existsSync(wanted), other = exists ? freeName(wanted) : wanted;
  const amount = pattern && pattern !== 'unstructured' ? [] : ['--sparsity', String(sparsity)];
  const preview = await planPreview(host, facts.name, checkpoint, ['prune', checkpoint, ...amount, ...flags, '--out', other, ...commonFlags()]);
  if (!preview) return none;
  const title = `Prune ${facts.name} to ${percent(sparsity)}`, detail = `${previewSummary(preview)}${exists ? `\n\n${wanted} exists already.` : ''}`;
  const choices = exists ? ['Prune', 'Replace Existing'] : ['Prune'];
  let choice = await vscode.window.showInformationMessage(`${title}?`, { modal: true, detail }, ...choices, DETAILS);
  if (choice === DETAILS) {
    await showPreview(preview, title);
    // Not modal: the numbers behind it can be read first.
    choice = await vscode.window.showInformationMessage(`${title}? Writes to ${other}.`, ...choices);
  }
  if (!choice) return none;
  const replace = choice === 'Replace Existing';
  const args = ['prune', checkpoint, ...amount, ...flags, '--out', replace ? wanted : other, ...(replace ? ['--force'] : []), ...commonFlags()];
  const job = await host.client.call('startJob', { kind: 'prune', checkpoint, args, title: `Prune ${facts.name} to ${percent(sparsity)}` });
  host.log.info(`job ${job.id}: winnow ${args.join(' ')}`);
  host.jobs.started(job);
  return { started: true };
}

async function askSparsity(): Promise<number | null> {
  interface Item extends vscode.QuickPickItem { value: number | null }
  const levels: Item[] = [...new Set([0.5, ...readLevels()])].map((value) => ({ label: percent(value), description: value === 0.5 ? 'half of the prunable weights' : undefined, value }));
  const picked = await vscode.window.showQuickPick<Item>([...levels, { label: '$(edit) Other…', value: null }], { title: TITLE, placeHolder: 'Sparsity: the fraction of prunable weights that becomes zero' });
  if (!picked) return null;
  if (picked.value !== null) return picked.value;
  const text = await vscode.window.showInputBox({ title: TITLE, prompt: 'Sparsity in percent, 0 to 100', value: '50', validateInput: (input) => (readPercent(input) === null ? 'A number from 0 to 100, such as 62.5' : null) });
  return text === undefined ? null : readPercent(text);
}

const readPercent = (text: string): number | null => {
  const value = Number(text.replace(/%\s*$/, '').trim() || NaN);
  return value >= 0 && value <= 100 ? Number((value / 100).toPrecision(12)) : null;
};

function flagValue(flags: readonly string[], name: string): string | null {
  const at = flags.indexOf(name);
  return at < 0 ? null : (flags[at + 1] ?? null);
}
