/**
 * The page around a view: no inline script or style, everything from dist/, by nonce. The toolkit reads the `csp-nonce`
 * tag for the one empty style element it makes.
 */
import { randomBytes } from 'node:crypto';
import * as vscode from 'vscode';

/** The page of one view, with a nonce of its own. */
export function webviewHtml(webview: vscode.Webview, extensionUri: vscode.Uri, view: 'inspector' | 'sweep', title: string): string {
  const nonce = randomBytes(18).toString('base64');
  const file = (name: string): string => webview.asWebviewUri(vscode.Uri.joinPath(extensionUri, 'dist', 'webview', name)).toString();
  const policy = `default-src 'none'; script-src 'nonce-${nonce}'; style-src ${webview.cspSource} 'nonce-${nonce}'; font-src ${webview.cspSource}; img-src ${webview.cspSource} data:`;
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="UTF-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta property="csp-nonce" content="${nonce}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="${file(`${view}.css`)}">
<title>${escapeText(title)}</title>
</head>
<body>
<main id="app"></main>
<script nonce="${nonce}" src="${file(`${view}.js`)}"></script>
</body>
</html>`;
}

/** What a view may load, and nothing else. */
export const webviewOptions = (extensionUri: vscode.Uri): vscode.WebviewOptions => ({ enableScripts: true, enableCommandUris: false, enableForms: false, localResourceRoots: [vscode.Uri.joinPath(extensionUri, 'dist', 'webview')] });

const escapeText = (text: string): string => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
