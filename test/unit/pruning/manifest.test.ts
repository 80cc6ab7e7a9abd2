import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { version } from '../../../package.json';
import { manifestBeside, MANIFEST_NAME, type PruneManifest } from '../../../server/core/pruning/manifest';
import type { PruneJson } from '../../../server/protocol/verbs';
import { f32, scratch, sha, snapshot, winnow, writeFixture } from './helpers';

const folder = scratch('manifest');
const source = path.join(folder, 'source.safetensors');
// Ties, zeros of both signs and a NaN: what a copy must repeat is more than a threshold.
const values = (n: number, seed: number): number[] => Array.from({ length: n }, (_, i) => [0, -0, NaN, 0.25, -0.25][(i * 7 + seed) % 23] ?? Math.sin(i * 12.9898 + seed) / 3);
writeFixture(source, [f32('a.weight', [24, 32], values(768, 1)), f32('b.weight', [32, 24], values(768, 2)), f32('a.bias', [24], values(24, 3))]);
const read = (file: string): PruneManifest => JSON.parse(readFileSync(file, 'utf8')) as PruneManifest;

test('a manifest beside the output names source, request, counts and files, and repeats the bytes', async () => {
  for (const [name, words] of Object.entries({
    global: ['--sparsity', '0.37'], random: ['--method', 'random', '--sparsity', '0.4', '--seed', '7'], blocks: ['--sparsity', '0.5', '--pattern', '4x4'], table: ['--sparsity', '0.5', '--scope', 'tensor', '--allocation', 'a.*=0.7'],
    rows: ['--sparsity', '0.5', '--scope', 'row', '--exclude', 'b.*'], groups: ['--pattern', '1:4'], tensor: ['--sparsity', '0.9', '--scope', 'tensor', '--include', 'a.bias'],
  })) {
    const out = path.join(folder, name), again = path.join(folder, `${name}-again.safetensors`);
    const first = await winnow(['prune', source, ...words, '--out', out]);
    assert.equal(first.code, 0, first.err);
    const json = first.json as PruneJson, file = path.join(out, MANIFEST_NAME), manifest = read(file);
    assert.equal(json.manifest, file);
    assert.equal(manifest.winnow, version);
    assert.deepEqual(manifest.source.files, [{ name: 'source.safetensors', bytes: readFileSync(source).length, sha256: createHash('sha256').update(readFileSync(source)).digest('hex') }]);
    assert.deepEqual([manifest.method, manifest.request.scope, manifest.scopeParameters, manifest.selected], [json.method, json.scope, json.scopeParameters, json.selected]);
    assert.deepEqual(manifest.tensors.map((one) => [one.name, one.changed]), json.tensors.map((one) => [one.name, one.changed]));
    const [written] = readdirSync(out).filter((entry) => entry.endsWith('.safetensors'));
    assert.deepEqual(manifest.output.files, [{ name: written, bytes: readFileSync(path.join(out, written)).length }]);

    const second = await winnow(['prune', '--from-manifest', file, '--out', again]);
    assert.equal(second.code, 0, second.err);
    assert.equal(sha(again), sha(path.join(out, written)), name);
    // The copy's own manifest says the same, but for the name of what it wrote.
    assert.deepEqual({ ...read(manifestBeside(again)), output: null }, { ...manifest, output: null });
  }
});

test('a manifest is not followed for another source, nor together with flags that it answers', async () => {
  const out = path.join(folder, 'refused'), made = await winnow(['prune', source, '--sparsity', '0.5', '--out', out]);
  assert.equal(made.code, 0, made.err);
  const file = path.join(out, MANIFEST_NAME), other = path.join(folder, 'other.safetensors');
  const bytes = readFileSync(source);
  bytes[bytes.length - 1] ^= 1;
  writeFileSync(other, bytes);
  const target = path.join(folder, 'never');
  for (const [words, code, pattern] of [
    [['--from-manifest', file, other], 1, /source-differs: .*SHA-256/], [['--from-manifest', file, '--sparsity', '0.5'], 2, /--sparsity stands in the manifest/],
    [['--from-manifest', file, '--scope', 'row'], 2, /--scope stands in the manifest/], [['--from-manifest', source], 1, /bad-manifest/], [['--from-manifest', path.join(folder, 'no.json')], 1, /not-found/], [[], 2, /a word is missing/i],
  ] as const) {
    const { code: found, err } = await winnow(['prune', ...words, '--out', target]);
    assert.equal(found, code, `${words.join(' ')}: ${err}`);
    assert.match(err, pattern);
    assert.equal(existsSync(target), false);
  }
  for (const [key, value] of [['request', {}], ['method', 3], ['manifest', 9], ['source', { path: 'x', files: [] }]] as const) {
    const broken = path.join(folder, 'broken.json');
    writeFileSync(broken, JSON.stringify({ ...read(file), [key]: value }));
    const { code, err } = await winnow(['prune', '--from-manifest', broken, '--out', target]);
    assert.equal(code, 1, key);
    assert.match(err, /bad-manifest/);
  }
  const { request } = read(file), calibration = { text: source, samples: 8, length: null, seed: 0, oneShot: false, provider: 'cpu', threads: 1, dataFolder: null };
  for (const [key, value] of [
    ['sparsity', 1e308], ['scope', 'all'], ['pattern', { a: 2, b: 4 }], ['include', [3]], ['seed', -1], ['allocation', { kind: 'table', rules: 5 }], ['allocation', 7], ['parameters', { x: '1' }], ['unheard', 1], ['calibration', 'hi'],
    ['calibration', { ...calibration, samples: 0 }], ['calibration', { ...calibration, samples: 1e15 }], ['calibration', { ...calibration, text: null }], ['calibration', { ...calibration, threads: 1e9 }], ['calibration', { ...calibration, provider: 3 }],
  ] as const) {
    const broken = path.join(folder, 'broken.json');
    writeFileSync(broken, JSON.stringify({ ...read(file), request: { ...request, [key]: value } }));
    const { code, err } = await winnow(['prune', '--from-manifest', broken, '--out', target]);
    assert.equal(code, 1, key);
    assert.match(err, new RegExp(`bad-manifest: .*request\\.${key}`));
  }
});

test('what replaces an output takes the old manifest along', async () => {
  const out = path.join(folder, 'replaced');
  assert.equal((await winnow(['prune', source, '--sparsity', '0.5', '--out', out])).code, 0);
  assert.equal((await winnow(['convert', source, '--to', 'safetensors', '--out', out, '--force'])).code, 0);
  assert.equal(existsSync(path.join(out, MANIFEST_NAME)), false, 'a manifest of other weights would lie');
});

test('a dry run counts exactly what pruning then does, and leaves every folder as it was', async () => {
  const place = path.join(folder, 'dry'), out = path.join(place, 'out');
  mkdirSync(place);
  const before = snapshot(folder);
  for (const words of [['--sparsity', '0.5'], ['--sparsity', '0.6', '--scope', 'row'], ['--pattern', '2:4']]) {
    const dry = await winnow(['prune', source, ...words, '--out', out, '--dry-run']);
    assert.equal(dry.code, 0, dry.err);
    assert.deepEqual(snapshot(folder), before);
    const done = await winnow(['prune', source, ...words, '--out', path.join(scratch('dry'), 'out')]);
    const planned = dry.json as PruneJson, written = done.json as PruneJson;
    assert.equal(planned.dryRun, true);
    assert.equal(written.dryRun, false);
    assert.deepEqual(planned.tensors, written.tensors);
    assert.deepEqual([planned.changed, planned.achieved, planned.bytes, planned.out], [written.changed, written.achieved, written.bytes, out]);
    assert.ok(planned.needs !== undefined && planned.needs.diskBytes === written.bytes && planned.needs.freeDiskBytes > 0 && planned.needs.memoryBytes > 0);
  }
});

const media = path.resolve(__dirname, '../../../media/tiny-gpt2'), built = existsSync(path.resolve(__dirname, '../../../dist/onnxChild.js'));
if (!built) console.log('SKIPPED: calibrated methods need the build (`npm run build`)');
test('a manifest repeats calibrated methods, and refuses another calibration text', { skip: !built }, async () => {
  const text = path.join(folder, 'calibration.txt');
  writeFileSync(text, 'Some years ago, never mind how long precisely, I thought I would sail about a little. '.repeat(60));
  for (const method of ['wanda', 'sparsegpt']) {
    const out = path.join(folder, method), first = await winnow(['prune', media, '--method', method, '--sparsity', '0.5', '--calibration', text, '--calibration-samples', '2', '--calibration-length', '32', '--out', out]);
    assert.equal(first.code, 0, first.err);
    const file = path.join(out, MANIFEST_NAME), { calibration, request } = read(file);
    assert.deepEqual([calibration?.samples, calibration?.length, calibration?.textSha256], [2, 32, sha(text)]);
    assert.equal(request.calibration?.text, text);
    const again = await winnow(['prune', '--from-manifest', file, '--out', `${out}-again`]);
    assert.equal(again.code, 0, again.err);
    assert.equal(sha(path.join(`${out}-again`, 'model.safetensors')), sha(path.join(out, 'model.safetensors')), method);
  }
  writeFileSync(text, 'Another text altogether, of which no one was told before. '.repeat(60));
  const other = await winnow(['prune', '--from-manifest', path.join(folder, 'wanda', MANIFEST_NAME), '--out', path.join(folder, 'other-text')]);
  assert.equal(other.code, 1);
  assert.match(other.err, /source-differs: .*calibration text/);
  assert.equal(existsSync(path.join(folder, 'other-text')), false);
});
