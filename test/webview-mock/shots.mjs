// Pictures of the mock in three themes and two widths: `node test/webview-mock/shots.mjs OUT_FOLDER [view] [extra query]`.
import { mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { serve } from './serve.mjs';

const require = createRequire(path.join(import.meta.dirname, '../editor/package.json'));
const { chromium } = require('playwright-core');
const out = process.argv[2] ?? 'build/shots';
const views = (process.argv[3] ?? 'inspector,sweep').split(',');
const extra = process.argv[4] ?? '';
const themes = (process.env.THEMES ?? 'dark,light,hc').split(',');
const widths = (process.env.WIDTHS ?? '1280,900').split(',').map(Number);
mkdirSync(out, { recursive: true });
const server = serve(0);
await new Promise((resolve) => server.once('listening', resolve));
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
for (const view of views) for (const theme of themes) for (const width of widths) {
  const page = await browser.newPage({ viewport: { width, height: 800 } });
  page.on('pageerror', (error) => console.log('page error', error.message));
  page.on('console', (message) => { if (message.type() !== 'info') console.log(message.type(), message.text()); });
  await page.goto(`http://127.0.0.1:${server.address().port}/?view=${view}&theme=${theme}${extra}`);
  await page.waitForTimeout(Number(process.env.WAIT ?? 900));
  if (view === 'inspector' && !process.env.PLAIN) {
    const cell = page.locator('.cell[data-id="c:mlp.up|11"]');
    if (await cell.count()) { await cell.click(); await page.waitForTimeout(300); await page.locator('.cell[data-id="c:mlp.up|14"]').hover(); await page.waitForTimeout(300); }
  }
  await page.screenshot({ path: path.join(out, `${view}-${theme}-${width}.png`), fullPage: width < 1000 });
  await page.close();
}
await browser.close();
server.close();
