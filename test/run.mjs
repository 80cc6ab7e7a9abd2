// `npm test`: does all its set-up, then typecheck and lint, unit and contract tests, then tests in a real VS Code.
// Options: --only unit|editor  and words that the names of test files must contain.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { ensureBuild, ensureDependencies, ensureEditor, findChromium, root } from '../scripts/setup.mjs';

const words = process.argv.slice(2);
const only = words.includes('--only') ? words.splice(words.indexOf('--only'), 2)[1] : null;
const started = Date.now();
const total = { passed: 0, failed: 0, skipped: 0 };
const lap = (what) => console.log(`\n==== ${what} (${((Date.now() - started) / 1000).toFixed(0)} s)`);
const inCi = Boolean(process.env.CI);

/** Test files below a folder whose path contains every word. */
function testFiles(folder, ending) {
  const base = path.join(root, folder);
  if (!existsSync(base)) return [];
  return readdirSync(base, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(ending) && !entry.parentPath.includes('node_modules'))
    .map((entry) => path.join(entry.parentPath, entry.name))
    .filter((file) => words.every((word) => path.relative(root, file).includes(word)))
    .sort();
}

function count(result, what) {
  total.passed += result.passed; total.failed += result.failed; total.skipped += result.skipped ?? 0;
  console.log(`---- ${what}: ${result.passed} passed, ${result.failed} failed, ${result.skipped ?? 0} skipped`);
}

function runTests(what, files, concurrency) {
  if (files.length === 0) return;
  lap(`${what}: ${files.length} files`);
  const counts = path.join(root, 'build', `counts-${process.pid}.json`);
  mkdirSync(path.dirname(counts), { recursive: true });
  const result = spawnSync(process.execPath, ['--import', 'tsx', '--test', `--test-concurrency=${concurrency}`, '--test-reporter', './test/countingReporter.mjs', ...files], {
    cwd: root, stdio: 'inherit', env: { ...process.env, WINNOW_COUNTS: counts, NODE_NO_WARNINGS: '1' },
  });
  if (!existsSync(counts)) return count({ passed: 0, failed: 1 }, `${what} (the runner died: ${result.signal ?? result.status})`);
  const numbers = JSON.parse(readFileSync(counts, 'utf8'));
  rmSync(counts);
  if (numbers.failed === 0 && result.status !== 0) numbers.failed = 1; // the runner saw something that the reporter did not
  count(numbers, what);
}

/** One command as one test. */
function runCommand(what, args) {
  lap(what);
  const result = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
  count({ passed: result.status === 0 ? 1 : 0, failed: result.status === 0 ? 0 : 1 }, what);
}

ensureDependencies();
ensureBuild();
if (!existsSync(path.join(root, '../shared'))) console.log('SKIPPED: ../shared is not there, so tests over its cases, models and texts are skipped');

if (only === null && words.length === 0) {
  runCommand('typecheck', ['node_modules/typescript/bin/tsc', '--noEmit', '-p', '.']);
  runCommand('lint', ['node_modules/eslint/bin/eslint.js', '.']);
}
if (only !== 'editor') runTests('unit and contract tests', [...testFiles('test/contracts', '.test.ts'), ...testFiles('test/unit', '.test.ts')], 2);

if (only !== 'unit') {
  const files = testFiles('test/editor', '.test.mjs');
  const possible = process.platform === 'linux' && process.arch === 'x64' && (process.getuid?.() === 0 || findChromium() !== null);
  if (files.length > 0 && (possible || inCi)) {
    lap('editor set-up');
    ensureEditor();
    runTests('tests in a real VS Code', files, 1);
  } else if (files.length > 0) console.log('SKIPPED: tests in a real VS Code need Linux x64 and Chromium (apt-get install chromium)');
}

console.log(`\n${total.skipped ? `skipped: ${total.skipped}\n` : ''}${total.passed} passed, ${total.failed} failed`);
process.exit(total.failed === 0 && total.passed > 0 ? 0 : 1);
