// The packaged extension in a real workbench, used the way a person uses it. One server and one page for all steps;
// pictures go to test/editor/shots (build output) and are meant to be looked at.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { root, run, version } from '../../scripts/setup.mjs';
import { codeLens, contextMenu, explorerRow, here, launchBrowser, openWorkbench, pick, runCommand, startServer, toast, until, webview, workbenchReady } from './workbench.mjs';
import { makeWorkspace, oddName } from './workspace.mjs';

const shots = path.join(here, 'shots');
const cli = path.join(root, 'dist/cli.js');
const workspace = makeWorkspace();
const sample = path.join(workspace.folder, 'tiny-gpt2');
let server, browser, page;
const faults = [];

const shot = (name) => page.screenshot({ path: path.join(shots, `${name}.png`) });
const winnow = (...args) => JSON.parse(execFileSync(process.execPath, [cli, ...args, '--json'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }));

/** Processes whose command line names `script` and that belong to this test's VS Code (its profile folder is in their environment). */
function pidsOf(script) {
  return readdirSync('/proc').filter((pid) => /^\d+$/.test(pid)).filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(script) && readFileSync(`/proc/${pid}/environ`, 'utf8').includes(server.dir);
    } catch { return false; }
  }).map(Number);
}

/** The quick pick of checkpoints, where one is shown: an open inspector answers the question by itself. */
async function pickCheckpoint() {
  const rows = page.locator('.quick-input-widget:visible .quick-input-list .monaco-list-row');
  await rows.first().waitFor();
  if (await rows.filter({ hasText: 'sample' }).count() === 0) await rows.filter({ hasText: /tiny-gpt2(?!-)/ }).first().click();
}

/** As a person does it, so that the workbench saves its state first. */
async function reloadWindow() {
  const loaded = page.waitForEvent('load');
  await runCommand(page, 'Developer: Reload Window');
  await loaded;
  await workbenchReady(page);
}

/** By its name, because a chord of keys does not reach the workbench from inside a webview. */
async function closeAll() {
  await runCommand(page, 'View: Close All Editors');
  await page.locator('.tabs-container .tab').first().waitFor({ state: 'detached' });
}

async function revealTinyGpt2() {
  if (await explorerRow(page, 'model.safetensors').count() === 0) await explorerRow(page, 'tiny-gpt2').first().click();
  await explorerRow(page, 'model.safetensors').first().waitFor();
}

/** Waits until the inspector on screen has scanned: its cells are painted and the status says so. */
async function inspectorReady() {
  const view = webview(page);
  await view.locator('.heatmap .cell').first().waitFor({ timeout: 30_000 });
  await view.locator('.status', { hasText: /scanned|exact/ }).waitFor({ timeout: 30_000 });
  return view;
}

const steps = [];
/** WINNOW_STEPS=regex runs some of the steps while one works on them. */
const step = (name, body) => { if (new RegExp(process.env.WINNOW_STEPS ?? '').test(name)) steps.push({ name, body }); };

test('the packaged extension in a real workbench', { timeout: 1_800_000 }, async (t) => {
  mkdirSync(shots, { recursive: true });
  const vsix = path.join(root, `build/winnow-${version()}-linux-x64.vsix`);
  run(process.execPath, [path.join(root, 'scripts/package.mjs'), '--target', 'linux-x64', '--out', vsix], { stdio: ['ignore', 'ignore', 'inherit'] });
  server = await startServer({ vsix });
  browser = await launchBrowser();
  try {
    page = await openWorkbench(browser, server, workspace.folder);
    page.on('console', (message) => { if (/Content Security Policy/i.test(message.text())) faults.push(`${message.text()} ${JSON.stringify(message.location())}`); });
    for (const { name, body } of steps) {
      await t.test(name, async () => {
        try { await body(); } catch (error) {
          await shot(`failure-${name.replace(/\W+/g, '-').slice(0, 60)}`).catch(() => {});
          console.error(server.logs(/Winnow.*\.log$/).split('\n').slice(-30).join('\n'));
          throw error;
        }
      });
    }
  } finally {
    await browser.close();
    await server.stop();
    workspace.remove();
  }
});

step('right-click inspects: facts, tree, heatmap, hover', async () => {
  await revealTinyGpt2();
  await contextMenu(page, 'model.safetensors', 'Winnow: Inspect Checkpoint');
  const view = await inspectorReady();
  assert.match(await view.locator('.facts').innerText(), /GPT-2[\s\S]*1\.48 M parameters[\s\S]*1\.18 M prunable[\s\S]*F32/);
  await view.locator('.row .row-label', { hasText: 'h.0' }).first().waitFor();
  assert.equal(await view.locator('.heatmap .cell').count(), 4 * 6);
  await view.locator('.heatmap .cell[data-id="c:attention.qkv|3"]').hover();
  const tip = view.locator('.tooltip');
  await tip.waitFor();
  const stats = winnow('stats', sample, '--threshold', '0');
  assert.match(await tip.innerText(), /layer 3 · attention\.qkv|layer 3 · attn\.qkv/);
  const tensor = stats.tensors.find((each) => each.name.endsWith('h.3.attn.c_attn.weight'));
  assert.ok((await tip.innerText()).includes(Number(tensor.std).toPrecision(3).replace(/0+$/, '').slice(0, 5)), `the tooltip shows the std of h.3 (${tensor.std}): ${await tip.innerText()}`);
  await shot('inspector');
});

step('the threshold slider moves the fractions at once and becomes exact on release', async () => {
  const view = webview(page);
  const percentOf = () => view.locator('.row', { hasText: 'h.0' }).first().locator('.percent').innerText();
  const first = await percentOf();
  const slider = view.locator('input.slider').first();
  await slider.focus();
  for (let i = 0; i < 5; i++) await page.keyboard.press('PageUp');
  await until(async () => (await percentOf()) !== first);
  await until(async () => /exact/.test(await view.locator('.controls').innerText()));
  const threshold = Number(await view.locator('.controls vscode-text-field').first().evaluate((field) => field.value ?? field.currentValue));
  assert.ok(threshold > 0);
});

step('a target of 50 % prunes from CodeLens to exactly half of the prunable weights', async () => {
  await explorerRow(page, 'config.json').first().dblclick();
  await codeLens(page, 'Prune to 50 %').click();
  const dialog = page.locator('.monaco-dialog-box');
  await dialog.waitFor();
  await shot('prune-confirm');
  // Counted exactly before anything is written.
  const out = path.join(workspace.folder, 'tiny-gpt2-magnitude-50'), planned = winnow('prune', sample, '--sparsity', '0.5', '--out', out, '--dry-run');
  const asked = await dialog.innerText();
  for (const part of [planned.prunedParameters.toLocaleString('en'), planned.changed.toLocaleString('en'), out, 'of memory']) assert.ok(asked.includes(part), `${part} in: ${asked}`);
  await dialog.locator('.monaco-button', { hasText: 'Show Details' }).first().click();
  await page.locator('.tab', { hasText: 'Prune tiny-gpt2 to 50 %' }).first().waitFor();
  const lines = page.locator('.editor-instance .view-lines').last();
  await until(async () => /nothing is written yet[\s\S]*layer 0/.test((await lines.innerText()).replace(/\u00a0/g, ' ')));
  await shot('prune-preview');
  assert.equal(existsSync(out), false, 'nothing is written by looking');
  await toast(page, /Prune tiny-gpt2 to 50 %\?/).first().locator('.monaco-button', { hasText: /^Prune/ }).first().click();
  await until(() => existsSync(path.join(out, 'model.safetensors')), 60_000);
  await toast(page, /Pruned|pruned|done/).first().waitFor({ timeout: 30_000 });
  await shot('pruned');
  const stats = winnow('stats', out);
  assert.equal(stats.prunable.zeros, stats.prunable.parameters / 2);
  const compared = winnow('compare', sample, out);
  assert.ok(compared.tensors.filter((tensor) => tensor.status === 'differs').every((tensor) => /attn|mlp/.test(tensor.name)));
});

for (const [method, calibrated] of [['Neurons', false], ['Wanda', true]]) step(`the palette prunes by a method of the catalog: ${method}`, async () => {
  const id = method.toLowerCase(), rowWith = (text) => page.locator('.quick-input-widget:visible .quick-input-list .monaco-list-row', { hasText: text }).first();
  await revealTinyGpt2();
  await explorerRow(page, 'config.json').first().dblclick();
  await runCommand(page, 'Winnow: Prune Checkpoint');
  await pickCheckpoint();
  await rowWith('all weights compete').waitFor(); // the ways of magnitude come first
  await page.locator('.quick-input-widget:visible input.input').fill(method);
  await rowWith(new RegExp(`^${method}`)).click();
  if (calibrated) await pick(page, 'Default text');
  await rowWith('50 %').waitFor();
  await shot(`prune-${id}-levels`);
  await pick(page, '50 %');
  const dialog = page.locator('.monaco-dialog-box');
  await dialog.waitFor({ timeout: 180_000 });
  await shot(`prune-${id}`);
  await dialog.locator('.monaco-button', { hasText: /^Prune/ }).first().click();
  const out = path.join(workspace.folder, `tiny-gpt2-${id}-50`);
  await until(() => existsSync(path.join(out, 'winnow-manifest.json')), 240_000);
  const manifest = JSON.parse(readFileSync(path.join(out, 'winnow-manifest.json'), 'utf8'));
  assert.deepEqual([manifest.method, manifest.request.sparsity, manifest.calibration !== null], [id, 0.5, calibrated]);
});

step('a sweep runs from the palette to its curves', async () => {
  await explorerRow(page, 'config.json').first().dblclick(); // the model in front is the one that is meant
  await runCommand(page, 'Winnow: Run Sweep');
  await pickCheckpoint();
  await pick(page, 'sample');
  const rowWith = (text) => page.locator('.quick-input-widget:visible .quick-input-list .monaco-list-row', { hasText: text }).first();
  await rowWith('Magnitude').waitFor(); // every method of the catalog; the first is ticked
  await shot('sweep-methods');
  await page.keyboard.press('Enter');
  await rowWith('90 %').waitFor();
  await shot('sweep-levels');
  await page.keyboard.press('Enter');
  const view = webview(page);
  await view.locator('.cells tbody tr').first().waitFor({ timeout: 60_000 });
  await shot('sweep-running');
  await until(async () => (await view.locator('.cells tbody tr').count()) === 6, 400_000);
  await until(async () => !(await view.locator('.job-box').isVisible()), 60_000);
  assert.ok(await view.locator('.curve-section svg path').count() > 0, 'the curve is drawn');
  assert.match(await view.locator('.cells tbody tr').first().innerText(), /66\.4/); // the model card's perplexity at this protocol
  await page.locator('.notifications-toasts .codicon-notifications-clear').first().click({ timeout: 2000 }).catch(() => {});
  await shot('sweep-done');
});

step('a killed engine and a killed server come back, and so do the inspectors', async () => {
  await closeAll();
  await revealTinyGpt2();
  await explorerRow(page, 'model.safetensors').first().dblclick();
  let view = await inspectorReady();
  for (const script of ['dist/engine.js', 'dist/server.js']) {
    const [pid] = await until(() => { const pids = pidsOf(script); return pids.length ? pids : null; });
    process.kill(pid, 'SIGKILL');
    await until(() => { const now = pidsOf(script); return now.length > 0 && !now.includes(pid); }, 30_000);
    view = webview(page);
    await view.locator('.row .row-label', { hasText: 'h.0' }).first().waitFor({ timeout: 30_000 });
    // It answers again: a new question gets an answer.
    await view.locator('.row', { hasText: 'h.1' }).first().click();
    const filter = view.locator('.tree-tools vscode-text-field');
    await filter.click(); await page.keyboard.type('c_attn'); 
    await until(async () => (await view.locator('.row:visible', { hasText: 'c_attn' }).count()) > 0, 30_000);
    await filter.click(); await page.keyboard.press('Control+A'); await page.keyboard.press('Delete');
    await until(async () => (await view.locator('.row:visible', { hasText: 'h.0' }).count()) > 0, 30_000);
  }
  await shot('after-kills');
});

step('the state of the inspector survives Reload Window', async () => {
  await closeAll();
  await revealTinyGpt2();
  await explorerRow(page, 'model.safetensors').first().dblclick();
  let view = await inspectorReady();
  await view.locator('.row', { hasText: 'h.2' }).first().click();
  const slider = view.locator('input.slider').nth(1);
  await slider.focus(); await page.keyboard.press('Home'); await page.keyboard.press('PageUp');
  await until(async () => /exact/.test(await view.locator('.controls').innerText()));
  const target = () => webview(page).locator('.controls vscode-text-field').nth(1).evaluate((field) => field.value ?? field.currentValue);
  const before = await target();
  await reloadWindow();
  view = await inspectorReady();
  await until(async () => (await target()) === before, 10_000).catch(async () => assert.equal(await target(), before));
  assert.match(await view.locator('.row.selected').innerText(), /h\.2/);
});

step('a sweep outlives Reload Window and is found again', async () => {
  await explorerRow(page, 'sweep.winnow.yaml').first().dblclick();
  await codeLens(page, 'Run sweep').click();
  const [pid] = await until(() => { const pids = pidsOf('dist/cli.js'); return pids.length ? pids : null; }, 30_000);
  await reloadWindow();
  process.kill(pid, 0); // still there
  await until(async () => (await page.locator('.notification-toast, .statusbar-item', { hasText: /Sweep/ }).count()) > 0, 60_000);
  await shot('sweep-after-reload');
  await until(() => pidsOf('dist/cli.js').length === 0, 400_000);
  await toast(page, /Sweep/).first().waitFor({ timeout: 30_000 });
});

step('a folder without a model is answered in one sentence', async () => {
  await contextMenu(page, 'notes', 'Winnow: Inspect Checkpoint');
  await until(async () => (await page.locator('.notification-toast', { hasText: /No checkpoint in notes/ }).count()) + (await webview(page).locator('.banner', { hasText: /No checkpoint in notes/ }).count().catch(() => 0)) > 0);
  await shot('no-model');
  await closeAll().catch(() => {});
});

step('a checkpoint with an odd name opens by its folder', async () => {
  await contextMenu(page, oddName, 'Winnow: Inspect Checkpoint');
  const view = await inspectorReady();
  assert.match(await view.locator('.facts').innerText(), /1\.48 M parameters/);
});

step('pictures in every theme and width', async () => {
  const themes = { dark: 'Dark Modern', light: 'Light Modern', hc: 'Dark High Contrast' };
  await closeAll();
  await runCommand(page, 'Notifications: Clear All Notifications');
  for (const [short, theme] of Object.entries(themes)) {
    await runCommand(page, 'Preferences: Color Theme');
    await page.locator('.quick-input-widget:visible input.input').fill(theme);
    await page.keyboard.press('Enter');
    const body = { dark: 'vscode-dark', light: 'vscode-light', hc: 'vscode-high-contrast' }[short];
    for (const width of [1280, 900]) {
      await page.setViewportSize({ width, height: 800 });
      await explorerRow(page, 'sweep.winnow.yaml').first().waitFor();
      await revealTinyGpt2();
      await explorerRow(page, 'model.safetensors').first().dblclick();
      const view = await inspectorReady();
      await view.locator(`body.${body}`).waitFor({ timeout: 20_000 });
      await page.keyboard.press('Control+B'); // the side bar gives way
      await view.locator('.heatmap .cell[data-id="c:mlp.up|2"]').click();
      await view.locator('.heatmap .cell[data-id="c:attention.out|4"]').hover();
      await view.locator('.tooltip').waitFor();
      await page.waitForTimeout(300);
      await shot(`inspector-${short}-${width}`);
      await runCommand(page, 'Winnow: Open Sweep');
      const box = page.locator('.quick-input-widget:visible input.input');
      // The dialog writes its own folder into the box a moment after it opens.
      const wanted = `${path.join(workspace.folder, 'tiny-gpt2-sweep')}/`;
      await until(async () => { await box.fill(wanted); await page.waitForTimeout(400); return (await box.inputValue()) === wanted; });
      await page.locator('.quick-input-widget:visible .monaco-button', { hasText: 'Open Sweep' }).click();
      await webview(page).locator('.cells tbody tr').nth(5).waitFor({ timeout: 20_000 });
      await page.waitForTimeout(300);
      await shot(`sweep-${short}-${width}`);
      await page.keyboard.press('Control+B');
      await closeAll();
    }
  }
  await page.setViewportSize({ width: 1280, height: 800 });
});

step('no view broke its content policy', () => {
  // The one exception is the toolkit's own empty style, known by the hash of nothing.
  assert.deepEqual(faults.filter((fault) => !fault.includes('sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=')), []);
});
