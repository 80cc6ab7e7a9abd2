// Walks the mock the way a person does and prints what it saw: `node test/webview-mock/check.mjs [OUT_FOLDER]`. Development only.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { serve } from './serve.mjs';

const require = createRequire(path.join(import.meta.dirname, '../editor/package.json'));
const { chromium } = require('playwright-core');
const out = process.argv[2];
if (out) mkdirSync(out, { recursive: true });
const server = serve(0);
await new Promise((resolve) => server.once('listening', resolve));
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
const page = await context.newPage();
page.on('pageerror', (error) => { console.log('page error', error.message); process.exitCode = 1; });
const open = async (query, target = page) => target.goto(`http://127.0.0.1:${server.address().port}/?${query}`);
const shot = async (name) => { if (out) await page.screenshot({ path: path.join(out, `${name}.png`) }); };
const selected = () => page.evaluate(() => document.querySelector('.row.selected')?.dataset.id ?? null);

// 1. Slider to repaint, 3,000 tensors, every group open.
await open('view=inspector&theme=dark&model=many');
await page.waitForSelector('body[data-exact="true"]');
const timing = await page.evaluate(async () => {
  const slider = document.querySelector('.slider.wide');
  const frames = [];
  for (let i = 0; i < 60; i += 1) {
    slider.value = String(300 + i * 10);
    const started = performance.now();
    slider.dispatchEvent(new Event('input', { bubbles: true }));
    await new Promise((resolve) => requestAnimationFrame(() => { const channel = new MessageChannel(); channel.port1.onmessage = resolve; channel.port2.postMessage(0); }));
    frames.push({ all: performance.now() - started, paint: Number(document.body.dataset.paintMs) });
  }
  slider.dispatchEvent(new Event('change', { bubbles: true }));
  const sorted = (key) => frames.map((f) => f[key]).sort((a, b) => a - b);
  return { medianMs: sorted('all')[30], worstMs: sorted('all')[59], scriptMedianMs: sorted('paint')[30], scriptWorstMs: sorted('paint')[59], cells: document.querySelectorAll('.cell').length, rows: document.querySelectorAll('.row:not([hidden])').length };
});
console.log('slider to repaint', timing);
await page.waitForSelector('body[data-exact="true"]');

// 2. Keyboard in the tree, state over a reload.
await page.locator('.tree').focus();
for (const key of ['Home', 'ArrowDown', 'ArrowDown', 'ArrowRight']) { await page.keyboard.press(key); await page.waitForTimeout(60); }
assert.equal(await selected(), 'g:h.0');
await page.keyboard.press('ArrowRight');
assert.equal(await selected(), 't:h.0.ln_1.weight');
await page.keyboard.press('End');
await page.waitForTimeout(300);
assert.equal(await selected(), 'g:<img src=x onerror=alert(1)>');
await shot('end');
await page.keyboard.press('Home');
await page.keyboard.press('ArrowDown');
await page.waitForTimeout(500);
await page.reload();
await page.waitForSelector('body[data-exact="true"]');
assert.equal(await selected(), 'g:wpe');
assert.ok(await page.locator('.row[data-id="t:h.0.ln_1.weight"]').count(), 'the group is still open');

// 3. A heat cell by keyboard leads to its tensor.
await page.locator('.heatmap').focus();
for (const key of ['End', 'ArrowDown', 'Enter']) { await page.keyboard.press(key); await page.waitForTimeout(60); }
await page.waitForTimeout(300);
assert.match(await selected() ?? '', /^t:h\.95\./);
await shot('cell');

// 4. Drag in the histogram: a bound while it moves, exact after.
const box = await page.locator('.histogram').boundingBox();
await page.mouse.move(box.x + box.width * 0.5, box.y + 80);
await page.mouse.down();
await page.mouse.move(box.x + box.width * 0.6, box.y + 80);
await page.waitForTimeout(80);
assert.equal(await page.evaluate(() => document.body.dataset.exact), 'false');
await shot('dragging');
await page.mouse.up();
await page.waitForSelector('body[data-exact="true"]');

// 5. Troubles, filter, scan in place.
await page.locator('.problems-badge').click();
await page.waitForTimeout(100);
await shot('problems');
await page.locator('.problems-badge').click();
await page.locator('vscode-text-field.search input').fill('w1');
await page.waitForTimeout(500);
await shot('filtered');
await page.evaluate(() => { sessionStorage.clear(); });
await open('view=inspector&theme=dark&state=stopped');
await page.waitForSelector('.banner-error');
await page.waitForTimeout(200);
await shot('stopped');
await page.locator('.banner vscode-button').click();
await page.waitForSelector('.banner-error', { state: 'hidden' });
await page.evaluate(() => { sessionStorage.clear(); });
await open('view=inspector&theme=light&scan=slow');
await page.waitForTimeout(2600);
await shot('scanning');
await page.locator('.status vscode-button', { hasText: 'Cancel' }).click();
await page.waitForSelector('body[data-scan="cancelled"]');
await shot('cancelled');
await open('view=inspector&theme=dark&scan=fail');
await page.waitForTimeout(800);
await shot('failed');
await open('view=sweep&theme=light&methods=many&job=done');
await page.waitForTimeout(600);
await shot('sweep-methods');
await open('view=sweep&theme=dark&cells=none');
await page.waitForTimeout(400);
await shot('sweep-empty');
const faults = await page.evaluate(() => window.faults);
console.log('faults', faults);
assert.deepEqual(faults, []);
await browser.close();
server.close();
