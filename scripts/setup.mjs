// Set-up shared by `npm start`, `npm test` and `npm run package`: dependencies and build. Uses only what Node ships,
// because it runs before anything is installed.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';

export const root = path.dirname(import.meta.dirname);

/** Runs a command with its output shown; throws one line when it fails. */
export function run(command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: root, stdio: 'inherit', shell: process.platform === 'win32', ...options });
  if (result.error) throw new Error(`${command} could not be started: ${result.error.message}`);
  if (result.status !== 0) throw new Error(`${command} ${args.join(' ')} failed (${result.signal ?? `exit ${result.status}`})`);
  return result;
}

/** True when `node_modules` answers to the lock file as it is now. */
function installed(folder) {
  const mark = path.join(folder, 'node_modules/.package-lock.json');
  const lock = path.join(folder, 'package-lock.json');
  return existsSync(mark) && statSync(mark).mtimeMs >= statSync(lock).mtimeMs;
}

/** Installs the locked dependencies. Scripts stay off: onnxruntime-node's would download CUDA. */
export function ensureDependencies() {
  if (installed(root)) return;
  console.log('> installing dependencies (npm ci)');
  run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']);
}

export function ensureBuild() {
  console.log('> building dist/');
  run(process.execPath, ['esbuild.mjs']);
}

/** Where the editor tests and the browser workbench keep their heavy dependencies. */
export const editorFolder = path.join(root, 'test/editor');

/** Installs code-server, Chromium and what they need (about 0.9 GB). Linux x64 only. */
export function ensureEditor() {
  run('bash', [path.join(editorFolder, 'setup.sh')]);
}

/** First of the browsers that can be driven; null when there is none. */
export function findChromium() {
  const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome', 'microsoft-edge'];
  const folders = (process.env.PATH ?? '').split(path.delimiter);
  if (process.env.CHROMIUM && existsSync(process.env.CHROMIUM)) return process.env.CHROMIUM;
  for (const name of names) for (const folder of folders) {
    const file = path.join(folder, name);
    if (folder && existsSync(file)) return file;
  }
  return null;
}

export const version = () => JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')).version;
