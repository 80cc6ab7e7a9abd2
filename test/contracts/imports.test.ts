import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import ts from 'typescript';

const root = path.resolve(__dirname, '../..');

/** TypeScript sources of the product, relative to the root, with `/` between folders. */
function sources(): string[] {
  return ['extension', 'webview', 'server'].filter((room) => existsSync(path.join(root, room))).flatMap((room) =>
    readdirSync(path.join(root, room), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts'))
      .map((file) => `${room}/${file.split(path.sep).join('/')}`));
}

/** Module specifiers of every import, export-from, dynamic import and require: read from the syntax tree, not from text. */
function specifiers(file: string, which: 'all' | 'values only' = 'all'): string[] {
  const tree = ts.createSourceFile(file, readFileSync(path.join(root, file), 'utf8'), ts.ScriptTarget.ES2022, true);
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    const typeOnly = (ts.isImportDeclaration(node) && Boolean(node.importClause?.isTypeOnly)) || (ts.isExportDeclaration(node) && node.isTypeOnly);
    if (which === 'values only' && (typeOnly || ts.isImportTypeNode(node))) return;
    if ((ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) && node.moduleSpecifier && ts.isStringLiteral(node.moduleSpecifier)) found.push(node.moduleSpecifier.text);
    if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument) && ts.isStringLiteral(node.argument.literal)) found.push(node.argument.literal.text);
    if (ts.isImportEqualsDeclaration(node) && ts.isExternalModuleReference(node.moduleReference) && ts.isStringLiteral(node.moduleReference.expression)) found.push(node.moduleReference.expression.text);
    if (ts.isCallExpression(node) && node.arguments.length > 0 && ts.isStringLiteral(node.arguments[0])
      // Also what createRequire made, and require.resolve.
      && (node.expression.kind === ts.SyntaxKind.ImportKeyword || /^require\b|createRequire/.test(node.expression.getText(tree)))) found.push((node.arguments[0] as ts.StringLiteral).text);
    ts.forEachChild(node, visit);
  };
  visit(tree);
  return found;
}

/** What a relative specifier names, as a path from the root; a package name otherwise. */
const resolved = (file: string, specifier: string): string =>
  specifier.startsWith('.') ? path.posix.normalize(path.posix.join(path.posix.dirname(file), specifier)) : specifier;

const imports = sources().map((file) => ({ file, targets: specifiers(file).map((specifier) => resolved(file, specifier)) }));
const isPackage = (target: string, name: string): boolean => target === name || target.startsWith(`${name}/`);

/** Each rule: what may not be imported, and the rooms that may. */
const rules: { title: string; matches: (target: string) => boolean; allowed: RegExp }[] = [
  { title: 'vscode is imported only in extension/', matches: (t) => t === 'vscode' || isPackage(t, 'vscode-languageclient'), allowed: /^extension\// },
  { title: 'vscode-languageserver is imported only in server/rpc and server/language', matches: (t) => isPackage(t, 'vscode-languageserver') || isPackage(t, 'vscode-languageserver-textdocument'), allowed: /^server\/(rpc|language)\// },
  { title: 'onnxruntime-node is imported only in server/core/runtime', matches: (t) => isPackage(t, 'onnxruntime-node') || isPackage(t, 'onnxruntime-common'), allowed: /^server\/core\/runtime\// },
  { title: 'koffi is imported only in server/core/bytes', matches: (t) => isPackage(t, 'koffi'), allowed: /^server\/core\/bytes\// },
  { title: 'the network is reached only from server/core/hub', matches: (t) => isPackage(t, '@huggingface/hub') || isPackage(t, 'undici') || /^(node:)?(https?|net|tls|http2)$/.test(t), allowed: /^server\/core\/hub\// },
  { title: 'd3 and the toolkit are imported only in webview/', matches: (t) => isPackage(t, 'd3') || isPackage(t, '@vscode/webview-ui-toolkit'), allowed: /^webview\// },
  { title: 'the webview is imported by nobody else', matches: (t) => t.startsWith('webview/'), allowed: /^webview\// },
  { title: 'the extension is imported by nobody else', matches: (t) => t.startsWith('extension/'), allowed: /^extension\// },
];

for (const rule of rules) {
  test(rule.title, () => {
    assert.ok(imports.length > 20, 'the sources were found');
    const broken = imports.filter(({ file }) => !rule.allowed.test(file)).flatMap(({ file, targets }) => targets.filter(rule.matches).map((target) => `${file} imports ${target}`));
    assert.deepEqual(broken, []);
  });
}

test('what createRequire loads is seen too', () => {
  assert.ok(imports.find(({ file }) => file === 'server/core/bytes/koffi.ts')?.targets.includes('koffi'));
});

test('the core knows neither the protocol nor rpc nor language nor any entry point', () => {
  const broken = imports.filter(({ file }) => file.startsWith('server/core/'))
    .flatMap(({ file, targets }) => targets.filter((target) => target.startsWith('server/') && !target.startsWith('server/core/')).map((target) => `${file} imports ${target}`));
  assert.deepEqual(broken, []);
});

test('the protocol imports nothing but itself', () => {
  const broken = imports.filter(({ file }) => file.startsWith('server/protocol/'))
    .flatMap(({ file, targets }) => targets.filter((target) => !target.startsWith('server/protocol/')).map((target) => `${file} imports ${target}`));
  assert.deepEqual(broken, []);
});

test('the webview reaches the server only through the protocol', () => {
  const broken = imports.filter(({ file }) => file.startsWith('webview/'))
    .flatMap(({ file, targets }) => targets.filter((target) => target.startsWith('server/') && !target.startsWith('server/protocol/')).map((target) => `${file} imports ${target}`));
  assert.deepEqual(broken, []);
});

test('the extension host never reaches the core, not even through a neighbour', () => {
  const targetsOf = new Map(imports.map(({ file, targets }) => [file, targets]));
  const fileOf = (target: string): string | undefined => [`${target}.ts`, `${target}/index.ts`].find((name) => targetsOf.has(name));
  const values = (file: string): string[] => specifiers(file, 'values only').map((specifier) => resolved(file, specifier));
  const seen = new Set<string>(), broken: string[] = [];
  const walk = (file: string, from: string): void => {
    if (file.startsWith('server/core/') && !['server/core/errors.ts', 'server/core/paths.ts'].includes(file)) { broken.push(`${from} reaches ${file}`); return; }
    if (seen.has(file)) return;
    seen.add(file);
    for (const target of values(file)) { const next = fileOf(target); if (next) walk(next, file); }
  };
  for (const { file } of imports) if (file.startsWith('extension/')) walk(file, file);
  assert.ok(seen.size > 10);
  assert.deepEqual(broken, []);
});

test('the DOM is touched only in webview/', () => {
  const broken: string[] = [];
  for (const { file } of imports.filter(({ file: f }) => !f.startsWith('webview/'))) {
    const tree = ts.createSourceFile(file, readFileSync(path.join(root, file), 'utf8'), ts.ScriptTarget.ES2022, true);
    const visit = (node: ts.Node): void => {
      if (ts.isPropertyAccessExpression(node) && ts.isIdentifier(node.expression) && ['document', 'window'].includes(node.expression.text)
        && ['createElement', 'getElementById', 'querySelector', 'addEventListener', 'body'].includes(node.name.text)) broken.push(`${file} uses ${node.getText(tree)}`);
      ts.forEachChild(node, visit);
    };
    visit(tree);
  }
  assert.deepEqual(broken, []);
});
