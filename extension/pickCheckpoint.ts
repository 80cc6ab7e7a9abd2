/** Which checkpoint is meant: what was pointed at, else a bounded look at the workspace, else an open dialog. */
import path from 'node:path';
import * as vscode from 'vscode';
import { folderNames, ownSuffixes, weightSuffixes } from '../server/language/weightNames';
import { modelsOf } from './targets';
import { checkpointAt, hasWeights, isWeightName } from '../server/language/siblings';

/** Files looked for; a workspace with more is browsed by dialog. */
const MAX_FOUND = 500;
const SKIPPED = '{**/node_modules/**,**/.git/**,**/.venv/**,**/venv/**}';

/**
 * The checkpoint of a command's argument: an explorer's Uri, a path, or `{ path }` of a lens. Asks when there is none.
 * A folder without a model is answered with one sentence, here.
 */
export async function checkpointOf(argument: unknown, title: string): Promise<string | null> {
  const given = argument instanceof vscode.Uri ? argument.fsPath : typeof argument === 'string' ? argument : (argument as { path?: unknown } | undefined)?.path;
  const target = typeof given === 'string' && given !== '' ? given : await pick(title);
  if (!target) return null;
  const found = checkpointAt(target);
  if (found.ok) return found.path;
  void vscode.window.showWarningMessage(found.sentence);
  return null;
}

async function pick(title: string): Promise<string | null> {
  const found = await vscode.workspace.findFiles(`**/{*.{${ownSuffixes.map((suffix) => suffix.slice(1)).join(',')}},${folderNames.join(',')}}`, SKIPPED, MAX_FOUND);
  const current = currentCheckpoint();
  const models = modelsOf(found.map((uri) => uri.fsPath)).filter((target) => target !== current);
  interface Item extends vscode.QuickPickItem { target: string | null; dialog: 'file' | 'folder' | null }
  const items: Item[] = [...(current ? [current] : []), ...models].map((target) => ({ label: path.basename(target), description: vscode.workspace.asRelativePath(path.dirname(target)), detail: target, target, dialog: null, iconPath: new vscode.ThemeIcon(isWeightName(target) ? 'file-binary' : 'folder') }));
  if (items.length > 0) items.push({ label: '', kind: vscode.QuickPickItemKind.Separator, target: null, dialog: null });
  items.push({ label: '$(folder-opened) Browse for a model folder…', target: null, dialog: 'folder' }, { label: '$(file-binary) Browse for a weight file…', target: null, dialog: 'file' });
  const choice = await vscode.window.showQuickPick(items, { title, placeHolder: 'Checkpoint', matchOnDescription: true, matchOnDetail: true });
  if (!choice?.dialog) return choice?.target ?? null;
  const folder = choice.dialog === 'folder';
  const picked = await vscode.window.showOpenDialog({ title, canSelectFiles: !folder, canSelectFolders: folder, canSelectMany: false, openLabel: 'Choose', ...(folder ? {} : { filters: { Checkpoints: [...weightSuffixes.map((suffix) => suffix.slice(1)).filter((suffix) => !suffix.includes('.')), 'json'], 'All files': ['*'] } }) });
  return picked?.[0]?.fsPath ?? null;
}

/** The checkpoint of the tab in front: an inspector, or a config.json with weights beside it. */
function currentCheckpoint(): string | null {
  const input = vscode.window.tabGroups.activeTabGroup.activeTab?.input;
  if (input instanceof vscode.TabInputCustom && input.viewType.startsWith('winnow.')) return input.uri.fsPath;
  if (input instanceof vscode.TabInputText && path.basename(input.uri.fsPath) === 'config.json' && hasWeights(path.dirname(input.uri.fsPath))) return path.dirname(input.uri.fsPath);
  return null;
}
