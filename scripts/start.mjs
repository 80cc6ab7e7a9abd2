// `npm start`: set-up, then the main job on the sample in media/ (the sweep with its report), then, for a person at a
// terminal, the editor with the sample open.
import { spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline/promises';
import { ensureBuild, ensureDependencies, ensureEditor, root, run, version } from './setup.mjs';

const cli = path.join(root, 'dist/cli.js');
const sample = path.join(root, 'media/tiny-gpt2');
const sweep = path.join(root, 'build/sample-sweep');
const atTerminal = Boolean(process.stdin.isTTY && process.stdout.isTTY && !process.env.CI);

ensureDependencies();
ensureBuild();

console.log('> sweeping the sample: media/tiny-gpt2 at 0, 10, 50, 90, 95 and 99 % on held-out chapters of Moby-Dick');
// Always a real run. The last finished one is kept beside it until this one is finished too.
const previous = `${sweep}-previous`;
if (existsSync(path.join(sweep, 'report.md'))) { rmSync(previous, { recursive: true, force: true }); renameSync(sweep, previous); }
rmSync(sweep, { recursive: true, force: true });
run(process.execPath, [cli, 'sweep', sample, '--benchmarks', 'sample', '--out', sweep]);
const report = path.join(sweep, 'report.md');
run(process.execPath, [cli, 'report', sweep, '--out', report]);
rmSync(previous, { recursive: true, force: true });
console.log(`> report: ${path.relative(process.cwd(), report)}`);

if (!atTerminal) process.exit(0);

const onPath = (name) => spawnSync(process.platform === 'win32' ? 'where' : 'which', [name], { stdio: 'ignore' }).status === 0;
const target = `${process.platform}-${process.arch}`;
const vsix = path.join(root, `build/winnow-${version()}-${target}.vsix`);
run(process.execPath, [path.join(root, 'scripts/package.mjs'), '--target', target, '--out', vsix]);

/** A copy that the person may prune and sweep without touching the project. */
function sampleWorkspace() {
  const folder = path.join(root, 'build/workspace');
  mkdirSync(folder, { recursive: true });
  if (!existsSync(path.join(folder, 'tiny-gpt2'))) cpSync(sample, path.join(folder, 'tiny-gpt2'), { recursive: true });
  return folder;
}

if (onPath('code')) {
  run('code', ['--install-extension', vsix, '--force']);
  const folder = sampleWorkspace();
  run('code', [folder, path.join(folder, 'tiny-gpt2/model.safetensors')]);
} else if (target === 'linux-x64') {
  const ask = createInterface({ input: process.stdin, output: process.stdout });
  const answer = await ask.question('> VS Code (`code`) is not on PATH. Install the browser workbench (about 0.9 GB, into test/editor/node_modules) and open the sample there? [y/N] ');
  ask.close();
  if (/^y/i.test(answer.trim())) await browserWorkbench();
  else sayHow();
} else sayHow();

function sayHow() {
  console.log(`> to use Winnow in your editor: code --install-extension ${path.relative(process.cwd(), vsix)}  (or "Install from VSIX..." in the Extensions view)`);
}

async function browserWorkbench() {
  ensureEditor();
  const { startServer } = await import('../test/editor/workbench.mjs');
  // Named, because a file that is opened with the page is resolved before extensions have told which editors they bring.
  const server = await startServer({ vsix, settings: { 'workbench.editorAssociations': { '*.safetensors': 'winnow.inspector' } } });
  const folder = sampleWorkspace();
  const file = `vscode-remote://${server.authority}${path.join(folder, 'tiny-gpt2/model.safetensors')}`;
  const url = `${server.origin}/?folder=${encodeURIComponent(folder)}&payload=${encodeURIComponent(JSON.stringify([['openFile', file]]))}`;
  console.log(`> open ${url}\n> (Ctrl+C ends the workbench)`);
  if (onPath('xdg-open') && process.env.DISPLAY) spawn('xdg-open', [url], { stdio: 'ignore', detached: true }).unref();
  await new Promise((resolve) => process.once('SIGINT', resolve));
  await server.stop();
  process.exit(0);
}
