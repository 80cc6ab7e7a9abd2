/** Binds recipes and configs to LSP: diagnostics on change, CodeLenses on request. */
import { fileURLToPath } from 'node:url';
import { DiagnosticSeverity, TextDocuments, type CodeLens, type Connection, type Diagnostic, type Range } from 'vscode-languageserver/node';
import { TextDocument } from 'vscode-languageserver-textdocument';
import type { CatalogJson } from '../protocol/verbs';
import { lensesOf } from './lenses';
import { isModifierRecipe, readModifierRecipe } from './modifierRecipe';
import { parseRecipe, type KnownIds } from './recipe';
import { documentKind, type DocumentKind } from './siblings';

/**
 * @param catalog asked once, when the first recipe is open; while it is not known (or cannot be), ids are not checked
 */
export function serveDocuments(connection: Connection, catalog: () => Promise<CatalogJson>): void {
  const documents = new TextDocuments(TextDocument);
  let known: KnownIds = {}, asked = false;
  const ask = (): void => {
    if (asked) return;
    asked = true;
    void catalog().then((list) => {
      const ids = (entries: readonly { id: string }[]): string[] => entries.map(({ id }) => id);
      known = { methods: ids(list.methods), benchmarks: ids(list.benchmarks), protocols: ids(list.protocols), providers: ids(list.providers), parameters: parametersIn(list) };
      for (const document of documents.all()) check(document);
      return connection.sendRequest('workspace/codeLens/refresh').catch(() => { /* the editor asks again by itself */ });
    }, () => { asked = false; });
  };
  const check = (document: TextDocument): void => {
    const place = placeOf(document);
    if (!place || place.kind === 'config') return;
    if (place.kind === 'recipe' || isModifierRecipe(document.getText())) ask();
    void connection.sendDiagnostics({ uri: document.uri, version: document.version, diagnostics: diagnosticsOf(document, place.kind, known) });
  };
  documents.onDidChangeContent(({ document }) => check(document));
  documents.onDidClose(({ document }) => void connection.sendDiagnostics({ uri: document.uri, diagnostics: [] }));
  connection.onCodeLens(({ textDocument }): CodeLens[] => {
    const document = documents.get(textDocument.uri), place = document && placeOf(document);
    if (!document || !place) return [];
    return lensesOf(place.file, place.kind, document.getText(), known).map(({ line, title, command, argument }) => ({
      range: { start: { line, character: 0 }, end: { line, character: 0 } }, command: { title, command, arguments: [argument] },
    }));
  });
  documents.listen(connection);
}

/** Every number that methods take, once, with the methods that take it. */
function parametersIn({ methods }: CatalogJson): NonNullable<KnownIds['parameters']> {
  const byName = new Map(methods.flatMap(({ parameters }) => parameters).map((parameter) => [parameter.name, parameter]));
  return [...byName.values()].map((parameter) => ({ ...parameter, methods: methods.filter(({ parameters }) => parameters.some(({ name }) => name === parameter.name)).map(({ id }) => id) }));
}

function placeOf({ uri }: TextDocument): { file: string; kind: DocumentKind } | null {
  if (!uri.startsWith('file:')) return null;
  const file = fileURLToPath(uri), kind = documentKind(file);
  return kind && { file, kind };
}

/** What is wrong with a recipe, on the exact key or value; what Winnow does not do in a recipe of llm-compressor, as information. */
export function diagnosticsOf(document: TextDocument, kind: DocumentKind, known: KnownIds): Diagnostic[] {
  const text = document.getText();
  const range = (from: number, to: number): Range => ({ start: document.positionAt(from), end: document.positionAt(to) });
  const modifiers = readModifierRecipe(text, known.methods);
  if (modifiers) return modifiers.remarks.map(({ from, to, message }) => ({ range: range(from, to), severity: DiagnosticSeverity.Information, source: 'winnow', message }));
  if (kind !== 'recipe') return [];
  return parseRecipe(text, known).diagnostics.map(({ from, to, severity, message }) => ({
    range: range(from, to), severity: severity === 'error' ? DiagnosticSeverity.Error : DiagnosticSeverity.Warning, source: 'winnow', code: 'recipe-invalid', message,
  }));
}
