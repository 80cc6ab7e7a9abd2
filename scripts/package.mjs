// Builds winnow-<version>-<target>.vsix from a staging folder that holds dist/, the manifest and only the native files
// of the target. `vsce` then walks the real production dependencies there (with --no-dependencies it would ship none).
//   node scripts/package.mjs [--target linux-x64] [--out FILE]
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { root } from './setup.mjs';

const argument = (name, fallback) => (process.argv.includes(name) ? process.argv[process.argv.indexOf(name) + 1] : fallback);
const target = argument('--target', `${process.platform}-${process.arch}`);
const manifest = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
const out = path.resolve(argument('--out', path.join(root, `build/winnow-${manifest.version}-${target}.vsix`)));
const stage = path.join(root, 'build/stage');

/** Copies one production dependency; `keep` filters paths relative to the package. */
function copyPackage(name, keep = () => true) {
  const from = path.join(root, 'node_modules', name);
  if (!existsSync(from)) throw new Error(`${name} is not installed: its binaries for ${target} are needed (npm install --no-save ${name})`);
  cpSync(from, path.join(stage, 'node_modules', name), { recursive: true, filter: (file) => keep(path.relative(from, file).split(path.sep).join('/')) });
}

rmSync(stage, { recursive: true, force: true });
mkdirSync(path.join(stage, 'node_modules'), { recursive: true });
mkdirSync(path.dirname(out), { recursive: true });

cpSync(path.join(root, 'dist'), path.join(stage, 'dist'), { recursive: true, filter: (file) => !file.endsWith('.map') && path.basename(file) !== 'test' });
cpSync(path.join(root, 'media'), path.join(stage, 'media'), { recursive: true });
for (const file of ['README.md', 'CHANGELOG.md', 'LICENSE', '.vscodeignore']) cpSync(path.join(root, file), path.join(stage, file));

const [platform, arch] = target.split('-');
const koffiNative = `@koromix/koffi-${platform}-${arch}`;
copyPackage('koffi', (file) => !/^(doc|vendor|lib)(\/|$)/.test(file) && (!/\.\w+$/.test(file) || /\.(c?js|json|txt|md)$/.test(file)));
copyPackage(koffiNative);
copyPackage('onnxruntime-common', (file) => !/\.map$|^(lib|dist\/esm)(\/|$)/.test(file));
copyPackage('onnxruntime-node', (file) => {
  const native = /^bin\/napi-v\d+\/([^/]+)(?:\/([^/]+))?/.exec(file);
  return native ? native[1] === platform && (native[2] === undefined || native[2] === arch) : !/^(lib|script)(\/|$)|\.map$/.test(file);
});

// The staged manifest: production only, and onnxruntime-node's installer-only dependencies are left out.
const { devDependencies: _dev, scripts: _scripts, private: _private, ...rest } = manifest;
const staged = { ...rest, dependencies: { ...manifest.dependencies, [koffiNative]: JSON.parse(readFileSync(path.join(stage, 'node_modules', koffiNative, 'package.json'), 'utf8')).version } };
writeFileSync(path.join(stage, 'package.json'), JSON.stringify(staged, null, 2));
const ort = path.join(stage, 'node_modules/onnxruntime-node/package.json');
const ortManifest = JSON.parse(readFileSync(ort, 'utf8'));
ortManifest.dependencies = { 'onnxruntime-common': ortManifest.dependencies['onnxruntime-common'] };
delete ortManifest.scripts;
writeFileSync(ort, JSON.stringify(ortManifest, null, 2));

const vsce = path.join(root, 'node_modules/@vscode/vsce/vsce');
const result = spawnSync(process.execPath, [vsce, 'package', '--target', target, '--allow-missing-repository', '--skip-license', '--no-rewrite-relative-links', '--out', out], { cwd: stage, encoding: 'utf8' });
if (result.status !== 0) { console.error(result.stdout + result.stderr); throw new Error('vsce could not package the extension'); }
rmSync(stage, { recursive: true, force: true });
console.log(`> packaged ${path.relative(root, out)} for ${target}`);
