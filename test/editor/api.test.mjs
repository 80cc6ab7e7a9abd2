// Mocha runs inside the real extension host on the built extension; each of its tests is reported here as one of ours.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { root } from '../../scripts/setup.mjs';
import { here, launchBrowser, startServer } from './workbench.mjs';
import { makeWorkspace } from './workspace.mjs';

test('inside the extension host', { timeout: 240_000 }, async (t) => {
  const workspace = makeWorkspace();
  const results = path.join(workspace.folder, '.results.json');
  const server = await startServer({ apiTests: true, env: { API_TEST_RESULTS: results } });
  const browser = await launchBrowser();
  try {
    const page = await (await browser.newContext({ permissions: ['clipboard-read', 'clipboard-write'] })).newPage();
    const done = new Promise((resolve) => page.exposeFunction('codeAutomationExit', resolve));
    await page.exposeFunction('codeAutomationLog', () => {});
    const uri = (file) => `vscode-remote://${server.authority}${file}`;
    const payload = [['extensionDevelopmentPath', uri(root)], ['extensionTestsPath', uri(path.join(here, 'api/index.cjs'))]];
    await page.goto(`${server.origin}/?folder=${encodeURIComponent(workspace.folder)}&payload=${encodeURIComponent(JSON.stringify(payload))}`);
    const code = await Promise.race([done, new Promise((resolve) => setTimeout(resolve, 200_000, 'timeout').unref())]);
    assert.ok(existsSync(results), `no results (${code})\n${server.logs(/remoteexthost\.log$/).split('\n').slice(-20).join('\n')}`);
    const report = JSON.parse(readFileSync(results, 'utf8'));
    assert.ok(report.tests.length > 5, 'a run that tested nothing has failed');
    for (const each of report.tests) await t.test(each.title, () => { if (each.err?.message) throw Object.assign(new Error(each.err.message), { stack: each.err.stack ?? each.err.message }); });
  } finally {
    await browser.close();
    await server.stop();
    workspace.remove();
  }
});
