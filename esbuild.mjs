// Builds dist/: one CommonJS entry per process, the webview as an IIFE, and kernels.wasm.
// `node esbuild.mjs` builds everything that exists; `--only kernels,cli` builds a part.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, copyFileSync, chmodSync } from 'node:fs';
import path from 'node:path';
import { build } from 'esbuild';

const root = import.meta.dirname;
const dist = path.join(root, 'dist');
mkdirSync(dist, { recursive: true });

const only = process.argv.includes('--only') ? process.argv[process.argv.indexOf('--only') + 1].split(',') : null;
const wanted = (name) => !only || only.includes(name);

/** AssemblyScript -> dist/kernels.wasm. Memory is fixed (initial = maximum) so that a view never dies under us. */
function buildKernels() {
  const entry = path.join(root, 'server/core/kernels/assembly/index.ts');
  if (!existsSync(entry) || !wanted('kernels')) return;
  const asc = path.join(root, 'node_modules/assemblyscript/bin/asc.js');
  const pages = '344'; // MEMORY_PAGES of kernels/layout.ts, which lays out the buffers
  const result = spawnSync(process.execPath, [asc, entry, '--outFile', path.join(dist, 'kernels.wasm'), '-O3', '--noAssert', '--runtime', 'stub',
    '--enable', 'simd', '--importMemory', '--initialMemory', pages, '--maximumMemory', pages], { stdio: 'inherit', cwd: root });
  if (result.status !== 0) process.exit(1);
}

const node = { bundle: true, platform: 'node', format: 'cjs', target: 'node20', sourcemap: 'linked', logLevel: 'warning', external: ['vscode', 'koffi', 'onnxruntime-node'] };
const entries = [
  { name: 'extension', in: 'extension/extension.ts', target: 'node20' },
  { name: 'server', in: 'server/main.ts' },
  { name: 'engine', in: 'server/engine.ts' },
  { name: 'worker', in: 'server/core/workers/worker.ts' },
  { name: 'onnxChild', in: 'server/core/runtime/onnxChild.ts' },
  { name: 'cli', in: 'server/cli.ts', banner: { js: '#!/usr/bin/env node' } },
];

buildKernels();
for (const entry of entries) {
  const file = path.join(root, entry.in);
  if (!existsSync(file) || !wanted(entry.name)) continue;
  const out = path.join(dist, `${entry.name}.js`);
  await build({ ...node, entryPoints: [file], outfile: out, banner: entry.banner });
  if (entry.name === 'cli') chmodSync(out, 0o755);
}
for (const view of ['inspector', 'sweep']) {
  const file = path.join(root, `webview/${view}/main.ts`);
  if (!existsSync(file) || !wanted('webview')) continue;
  await build({ bundle: true, platform: 'browser', format: 'iife', target: 'es2022', minify: true, sourcemap: false, logLevel: 'warning', entryPoints: [file], outfile: path.join(dist, `webview/${view}.js`), legalComments: 'none' });
  const css = path.join(root, `webview/${view}/style.css`);
  if (existsSync(css)) await build({ bundle: true, minify: true, logLevel: 'warning', entryPoints: [css], outfile: path.join(dist, `webview/${view}.css`) });
}
if (wanted('sample')) (await import('./scripts/sampleText.mjs')).writeSampleText(path.join(dist, 'sample.txt'));
