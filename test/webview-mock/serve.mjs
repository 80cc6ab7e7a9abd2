// Serves dist/webview with a host that answers from an invented model: `node test/webview-mock/serve.mjs [port]`, then
//   /?view=inspector|sweep&theme=dark|light|hc&model=xl|many&scan=fast|slow|fail&state=stopped
// Development only: the numbers are made up. The content policy is the real one.
import { createServer } from 'node:http';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { theme } from './themes.mjs';

const here = import.meta.dirname;
const dist = path.join(here, '../../dist/webview');

function page(query) {
  const view = query.get('view') === 'sweep' ? 'sweep' : 'inspector';
  const { className, css } = theme(query.get('theme') ?? 'dark');
  const nonce = 'bW9jaw';
  const policy = `default-src 'none'; script-src 'nonce-${nonce}'; style-src 'self' 'nonce-${nonce}'; font-src 'self'; img-src 'self' data:`;
  return { policy, css, html: `<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="${policy}">
<meta property="csp-nonce" content="${nonce}"><meta name="viewport" content="width=device-width"><title>Winnow mock</title><link rel="stylesheet" href="/theme.css?theme=${encodeURIComponent(query.get('theme') ?? 'dark')}">
<link rel="stylesheet" href="/dist/${view}.css"></head><body class="${className}" data-vscode-theme-kind="${className}">
<script nonce="${nonce}" src="/mockHost.js"></script><script nonce="${nonce}" src="/dist/${view}.js"></script></body></html>` };
}

/** @returns {import('node:http').Server} */
export function serve(port) {
  return createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://mock');
    const send = (type, body) => { response.writeHead(200, { 'content-type': type, 'cache-control': 'no-store' }); response.end(body); };
    if (url.pathname === '/') { send('text/html', page(url.searchParams).html); return; }
    if (url.pathname === '/theme.css') { send('text/css', `:root{${theme(url.searchParams.get('theme') ?? 'dark').css}}`); return; }
    const name = path.basename(url.pathname);
    if (url.pathname === '/favicon.ico') { response.writeHead(204); response.end(); return; }
    const file = url.pathname.startsWith('/dist/') ? path.join(dist, name) : path.join(here, name);
    if (!/^[\w.]+\.(js|css)$/.test(name) || !existsSync(file)) { response.writeHead(404); response.end(); return; }
    send(name.endsWith('.css') ? 'text/css' : 'text/javascript', readFileSync(file));
  }).listen(port, '127.0.0.1');
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const server = serve(Number(process.argv[2] ?? 8321));
  server.on('listening', () => console.log(`http://127.0.0.1:${server.address().port}/?view=inspector&theme=dark`));
}
