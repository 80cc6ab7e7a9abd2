// The views over the real engine handlers, without an editor: `node --import tsx test/webview-mock/real.mjs CHECKPOINT OUT_FOLDER`.
// Development only; needs dist/worker.js, dist/kernels.wasm and dist/webview.
import { mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { makePool } from '../../server/core/workers/pool';
import { makeHandlers } from '../../server/rpc/editor/handlers';
import { failureOf } from '../../server/rpc/ipc';
import { sentenceOf } from '../../server/rpc/sentences';
import { serve } from './serve.mjs';

const require = createRequire(path.join(import.meta.dirname, '../editor/package.json'));
const { chromium } = require('playwright-core');
const [checkpoint, out] = [path.resolve(process.argv[2]), process.argv[3]];
mkdirSync(out, { recursive: true });
const server = serve(0);
await new Promise((resolve) => server.once('listening', resolve));
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
const post = (message) => page.evaluate((m) => window.postMessage(m, '*'), message).catch(() => undefined);
const pool = makePool({ threads: 2 });
const { handlers, close } = makeHandlers({ pool, io: 'auto', emit: (event, payload) => void post({ type: 'event', event, payload }) });
const running = new Map();
page.on('pageerror', (error) => console.log('page error', error.message));
page.on('console', (message) => console.log('console', message.text()));
await page.exposeFunction('toHost', async (message) => {
  if (message.type === 'hello') await post({ type: 'welcome', version: 1, view: 'inspector', path: checkpoint });
  else if (message.type === 'cancel') running.get(message.id)?.abort();
  else if (message.type === 'fault') console.log('FAULT', message.message);
  else {
    const controller = new AbortController();
    running.set(message.id, controller);
    const started = performance.now();
    try {
      const handler = handlers[message.method];
      const result = message.method === 'jobs' ? { jobs: [] } : await handler?.(message.params, controller.signal);
      console.log(message.method, `${(performance.now() - started).toFixed(0)} ms`, JSON.stringify(result)?.length ?? 0);
      await post({ type: 'result', id: message.id, result });
    } catch (error) {
      const failure = failureOf(error, sentenceOf);
      console.log(message.method, 'FAILED', failure);
      await post({ type: 'failure', id: message.id, failure });
    }
  }
});
await page.addInitScript(`const host = { getState: () => null, setState: () => undefined, postMessage: (m) => window.toHost(m) };
Object.defineProperty(window, 'acquireVsCodeApi', { get: () => () => host, set: () => undefined });`);
await page.goto(`http://127.0.0.1:${server.address().port}/?view=inspector&theme=${process.env.THEME ?? 'dark'}`);
await page.waitForSelector('body[data-exact="true"]', { timeout: 60_000 });
await page.waitForTimeout(400);
await page.screenshot({ path: path.join(out, 'real-1.png') });
await page.locator('.cell').nth(3).click();
await page.waitForTimeout(600);
await page.locator('.cell').nth(4).hover();
await page.waitForTimeout(500);
await page.screenshot({ path: path.join(out, 'real-2.png') });
await browser.close();
server.close();
close();
await pool.close();
