/** Starts the server for documents that it has something to say about, and for no others. */
import * as vscode from 'vscode';
import { documentKind, startsServer } from '../server/language/siblings';
import type { WinnowClient } from './client';

/** A recipe of llm-compressor has its name from no one, but a key that nobody else has. */
const MODIFIERS = /_modifiers\s*:/, MAX_LOOK = 65_536;

function matters(document: vscode.TextDocument): boolean {
  if (document.uri.scheme !== 'file') return false;
  const { fsPath } = document.uri;
  if (startsServer(fsPath)) return true;
  return documentKind(fsPath) === 'yaml' && document.offsetAt(document.lineAt(document.lineCount - 1).range.end) < MAX_LOOK && MODIFIERS.test(document.getText());
}

/** Looks at every document that is open or opens; a look at a name takes well under 5 ms. */
export function wakeOnDocuments(client: WinnowClient): vscode.Disposable {
  const look = (document: vscode.TextDocument): void => { if (!client.running && matters(document)) client.ensure().catch(() => { /* logged by the client */ }); };
  vscode.workspace.textDocuments.forEach(look);
  return vscode.workspace.onDidOpenTextDocument(look);
}
