/** The read-only custom editor for weights and model folders. Reads nothing itself: the view asks the server. */
import path from 'node:path';
import * as vscode from 'vscode';
import type { Host } from './host';
import { bindWebview } from './webviewBridge';
import { webviewHtml, webviewOptions } from './webviewHtml';

/** View type of the custom editor, as the manifest has it. */
export const INSPECTOR = 'winnow.inspector';
/** The same editor for index files, which stay text by default. */
const INDEX_INSPECTOR = 'winnow.indexInspector';

class InspectorEditor implements vscode.CustomReadonlyEditorProvider {
  constructor(private readonly host: Host) {}

  openCustomDocument(uri: vscode.Uri): vscode.CustomDocument { return { uri, dispose: () => {} }; }

  resolveCustomEditor({ uri }: vscode.CustomDocument, panel: vscode.WebviewPanel): void {
    const { context } = this.host;
    panel.webview.options = webviewOptions(context.extensionUri);
    // Bound before the page exists, so that its first word is heard; the server starts while the page loads.
    const bridge = bindWebview(this.host, panel.webview, 'inspector', uri.fsPath);
    panel.onDidDispose(() => bridge.dispose());
    panel.webview.html = webviewHtml(panel.webview, context.extensionUri, 'inspector', path.basename(uri.fsPath));
    this.host.client.ensure().catch(() => { /* the view's first call tells of it */ });
  }
}

/** Registers the editor under both of its view types. */
export function registerInspector(host: Host): vscode.Disposable[] {
  const provider = new InspectorEditor(host), options = { webviewOptions: { retainContextWhenHidden: true }, supportsMultipleEditorsPerDocument: true };
  return [INSPECTOR, INDEX_INSPECTOR].map((type) => vscode.window.registerCustomEditorProvider(type, provider, options));
}
