import * as vscode from 'vscode';
import { INSPECTOR } from '../inspectorEditor';
import { checkpointOf } from '../pickCheckpoint';

/** Opens a checkpoint, a folder too, in the inspector. */
export async function inspect(argument: unknown): Promise<void> {
  const target = await checkpointOf(argument, 'Inspect Checkpoint');
  if (target) await openInspector(target);
}

/** Opens a path in the custom editor; a folder too. */
export const openInspector = async (target: string): Promise<void> => { await vscode.commands.executeCommand('vscode.openWith', vscode.Uri.file(target), INSPECTOR); };
