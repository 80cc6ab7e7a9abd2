/** What a pruning would change, shown before anything is written: numbers in the question, all tensors in a read-only document. */
import * as vscode from 'vscode';
import type { PruneJson } from '../server/protocol/verbs';
import { pruneText } from '../server/rpc/pruneText';
import type { Host } from './host';

const SCHEME = 'winnow-preview';

/** Documents by their address; kept while their editor may still show them. */
const documents = new Map<string, string>();

export const registerPreviews = (): vscode.Disposable[] => [
  vscode.workspace.registerTextDocumentContentProvider(SCHEME, { provideTextDocumentContent: (uri) => documents.get(uri.toString()) ?? 'This preview is over; prune again to see one.' }),
  vscode.workspace.onDidCloseTextDocument(({ uri }) => { documents.delete(uri.toString()); }),
];

/** Plans the pruning, exactly, with a notification that can cancel it. Null when it was cancelled. @throws CallFailure */
export async function planPreview(host: Host, name: string, checkpoint: string, args: readonly string[]): Promise<PruneJson | null> {
  return vscode.window.withProgress({ location: vscode.ProgressLocation.Notification, title: `Counting what pruning ${name} would change`, cancellable: true }, async (_progress, token) => {
    const controller = new AbortController();
    token.onCancellationRequested(() => controller.abort());
    try {
      return await host.client.previewPrune({ checkpoint, args }, controller.signal);
    } catch (error) {
      if (controller.signal.aborted) return null;
      throw error;
    }
  });
}

/** Every layer and every tensor, as the command line prints them. */
export async function showPreview(preview: PruneJson, title: string): Promise<void> {
  const uri = vscode.Uri.from({ scheme: SCHEME, path: `/${title}.txt`, query: String(Date.now()) });
  documents.set(uri.toString(), `${title}: nothing is written yet\n\n${pruneText(preview, true)}\n`);
  await vscode.window.showTextDocument(await vscode.workspace.openTextDocument(uri), { preview: true });
}
