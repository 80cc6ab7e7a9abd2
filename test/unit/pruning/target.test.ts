import assert from 'node:assert/strict';
import { chmodSync, existsSync, linkSync, mkdirSync, openSync, closeSync, ftruncateSync, readdirSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync, writeSync } from 'node:fs';
import { hostname } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { CheckpointError } from '../../../server/core/errors';
import { openCheckpoint } from '../../../server/core/formats/openCheckpoint';
import { layOutLike } from '../../../server/core/formats/writeSafetensors';
import { runJob } from '../../../server/core/job';
import { exchangePaths } from '../../../server/core/bytes/exchangePaths';
import { publish } from '../../../server/core/pruning/publish';
import { removeLeftovers, stagedPath } from '../../../server/core/pruning/staging';
import { resolveTarget } from '../../../server/core/pruning/target';
import type { PruneJson } from '../../../server/protocol/verbs';
import { f32, scratch, snapshot, winnow, writeFixture } from './helpers';

const folder = scratch('target');
const numbers = Array.from({ length: 64 }, (_, i) => (i * 37) % 64 - 31.5);
const tensor = (name: string) => f32(name, [8, 8], numbers);

/** A model folder with one file, or with two shards. */
function makeModel(name: string, shards = 1): string {
  const model = path.join(folder, name);
  mkdirSync(model, { recursive: true });
  writeFileSync(path.join(model, 'config.json'), '{"model_type":"llama"}');
  writeFileSync(path.join(model, 'tokenizer.json'), '{}');
  writeFileSync(path.join(model, 'notes.txt'), 'mine');
  if (shards === 1) writeFixture(path.join(model, 'model.safetensors'), [tensor('model.layers.0.mlp.up_proj.weight')]);
  else {
    const map: Record<string, string> = {};
    for (let i = 1; i <= shards; i++) {
      const file = `model-0000${i}-of-0000${shards}.safetensors`;
      map[`model.layers.${i}.mlp.up_proj.weight`] = file;
      writeFixture(path.join(model, file), [tensor(`model.layers.${i}.mlp.up_proj.weight`)]);
    }
    writeFileSync(path.join(model, 'model.safetensors.index.json'), JSON.stringify({ metadata: { total_size: 7 }, weight_map: map }));
  }
  return model;
}

const codeOf = (work: () => unknown): string => {
  try {
    work();
    return 'ok';
  } catch (error) {
    return (error as CheckpointError).code;
  }
};

test('a target that is, holds or lies in the source is refused, under whatever name', () => {
  const model = makeModel('refused'), file = path.join(model, 'model.safetensors'), sharded = makeModel('refused-sharded', 2);
  symlinkSync(model, path.join(folder, 'link-to-model'));
  symlinkSync(file, path.join(folder, 'link.safetensors'));
  linkSync(file, path.join(folder, 'hard.safetensors'));
  const other = path.join(folder, 'outside');
  const table: [string, string, string][] = [
    [model, file, 'target-is-source'], [model, model, 'target-is-source'], [model, `${model}/`, 'target-is-source'],
    [model, path.join(folder, 'link-to-model'), 'target-is-source'], [model, path.join(folder, 'link.safetensors'), 'target-is-source'], [model, path.join(folder, 'hard.safetensors'), 'target-is-source'],
    [path.join(folder, 'link-to-model'), model, 'target-is-source'], [path.join(folder, 'link.safetensors'), file, 'target-is-source'],
    [model, path.dirname(model), 'target-is-source'], [file, model, 'target-is-source'],
    [model, path.join(model, 'pruned'), 'target-inside-source'], [model, path.join(model, 'a/b/c'), 'target-inside-source'], [model, path.join(folder, 'link-to-model/pruned'), 'target-inside-source'],
    [sharded, path.join(sharded, 'pruned.safetensors'), 'usage'], [path.join(sharded, 'model-00001-of-00002.safetensors'), path.join(sharded, 'pruned'), 'target-inside-source'],
    [sharded, path.join(folder, 'one.safetensors'), 'usage'], [path.join(sharded, 'model.safetensors.index.json'), sharded, 'target-is-source'],
    [model, other, 'ok'], [model, `${model}-pruned`, 'ok'], [model, path.join(folder, 'new/deep/er.safetensors'), 'ok'], [file, path.join(model, 'beside.safetensors'), 'ok'],
  ];
  for (const [source, out, code] of table) {
    const checkpoint = openCheckpoint(source);
    assert.equal(codeOf(() => resolveTarget(checkpoint, { out, force: true, suffix: '' })), code, `${source} -> ${out}`);
  }
});

test('what exists is refused without --force, and never changes kind', () => {
  const checkpoint = openCheckpoint(makeModel('existing'));
  const there = path.join(folder, 'there'), file = path.join(folder, 'there.safetensors'), plain = path.join(folder, 'plain');
  mkdirSync(there, { recursive: true });
  writeFileSync(file, '');
  writeFileSync(plain, '');
  symlinkSync(path.join(folder, 'nowhere'), path.join(folder, 'dangling'));
  for (const [out, force, code] of [[there, false, 'target-exists'], [there, true, 'ok'], [file, false, 'target-exists'], [file, true, 'ok'], [plain, true, 'target-exists'], [path.join(folder, 'dangling'), false, 'target-exists']] as const) {
    assert.equal(codeOf(() => resolveTarget(checkpoint, { out, force, suffix: '' })), code, `${out} ${force}`);
  }
});

test('the default is a sibling: of the model folder, of a file that stands alone', () => {
  const model = makeModel('named');
  const alone = path.join(folder, 'alone.safetensors');
  writeFixture(alone, [tensor('layers.0.mlp.up_proj.weight')]);
  const targetOf = (source: string): string => resolveTarget(openCheckpoint(source), { out: null, force: false, suffix: 'magnitude-50' }).path;
  assert.equal(targetOf(model), `${model}-magnitude-50`);
  assert.equal(targetOf(path.join(model, 'model.safetensors')), `${model}-magnitude-50`);
  assert.equal(targetOf(alone), path.join(folder, 'alone-magnitude-50'));
});

test('a folder gets the weights, the index and the small files of the model, and nothing else', async () => {
  const model = makeModel('full', 2), before = snapshot(model);
  writeFileSync(path.join(model, 'pytorch_model.bin'), 'other weights');
  const { code, json, err } = await winnow(['prune', model, '--sparsity', '0.5']);
  assert.equal(code, 0, err);
  const out = (json as PruneJson).out;
  assert.deepEqual(readdirSync(out).sort(), ['config.json', 'model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors', 'model.safetensors.index.json', 'tokenizer.json', 'winnow-manifest.json']);
  assert.deepEqual({ ...snapshot(model), 'pytorch_model.bin': undefined }, { ...before, 'pytorch_model.bin': undefined });
  assert.equal(openCheckpoint(out).tensors.length, 2);
  assert.deepEqual(openCheckpoint(out).problems, [], 'the total in the index is right now');
});

test('--force replaces an old output, keeps what a person put beside it, and refuses to lose a subfolder', async () => {
  const model = makeModel('forced'), out = path.join(folder, 'forced-out');
  mkdirSync(out);
  writeFileSync(path.join(out, 'mine.txt'), 'mine');
  for (const stale of ['model-00001-of-00002.safetensors', 'model.safetensors.index.json', 'vocab.json', 'config.json']) writeFileSync(path.join(out, stale), 'stale');
  const { code, err } = await winnow(['prune', model, '--sparsity', '0.5', '--out', out, '--force']);
  assert.equal(code, 0, err);
  assert.deepEqual(readdirSync(out).sort(), ['config.json', 'mine.txt', 'model.safetensors', 'tokenizer.json', 'winnow-manifest.json']);
  assert.equal(openCheckpoint(out).config?.model_type, 'llama');

  mkdirSync(path.join(out, 'runs'));
  const before = snapshot(out);
  const refused = await winnow(['prune', model, '--sparsity', '0.9', '--out', out, '--force']);
  assert.equal(refused.code, 1);
  assert.match(refused.err, /target-exists: .*the folder runs/);
  assert.deepEqual(snapshot(out), before);
  assert.ok(!readdirSync(folder).some((name) => name.includes('.winnow-')), 'nothing is left beside it');
});

test('two names are swapped in one step where the system can', { skip: process.platform !== 'linux' && process.platform !== 'darwin' ? 'no such call here' : false }, () => {
  const a = path.join(folder, 'swap-a'), b = path.join(folder, 'swap-b');
  mkdirSync(a);
  mkdirSync(b);
  writeFileSync(path.join(a, 'a'), '');
  assert.equal(exchangePaths(a, b), true);
  assert.deepEqual([readdirSync(a), readdirSync(b)], [[], ['a']]);
  assert.equal(exchangePaths(a, path.join(folder, 'not-there')), false);
});

test('leftovers of processes that are gone are removed; of living ones and of other machines not', () => {
  const place = path.join(folder, 'leftovers'), host = hostname().replace(/[^A-Za-z0-9_.]/g, '_').slice(0, 40);
  mkdirSync(place);
  const gone = 2 ** 22 + 12345; // above the largest pid of Linux and macOS
  const names = {
    dead: `.a.winnow-${host}-${gone}-00112233.tmp`, deadFile: `.b.safetensors.winnow-${host}-${gone}-00112233.tmp`, alive: `.a.winnow-${host}-${process.pid}-00112233.tmp`,
    elsewhere: `.a.winnow-not_${host}-${gone}-00112233.tmp`, restored: `.old-output.winnow-${host}-${gone}-00112233.old`, other: '.a.winnow.tmp',
  };
  mkdirSync(path.join(place, names.dead));
  writeFileSync(path.join(place, names.dead, 'half'), '');
  mkdirSync(path.join(place, names.restored));
  for (const name of [names.deadFile, names.alive, names.elsewhere, names.other]) writeFileSync(path.join(place, name), '');
  removeLeftovers(place);
  assert.deepEqual(readdirSync(place).sort(), [names.alive, names.elsewhere, names.other, 'old-output'].sort());
  assert.match(path.basename(stagedPath('/x/a')), /^\.a\.winnow-/);
  assert.ok(Buffer.byteLength(path.basename(stagedPath(`/x/${'模'.repeat(80)}`))) <= 255);
});

test('failure and cancel leave nothing behind, parents made for the target included', async () => {
  const model = makeModel('failing'), checkpoint = openCheckpoint(model), before = snapshot(folder);
  const target = resolveTarget(checkpoint, { out: path.join(folder, 'made/for/it'), force: false, suffix: '' });
  const layouts = checkpoint.files.map((_, file) => layOutLike(checkpoint, file));
  const attempt = (write: () => void, signal?: AbortSignal): Promise<unknown> =>
    runJob(publish(checkpoint, target, layouts, async function* (stage) { assert.ok(existsSync(stage.files[0])); write(); stage.complete(stage.files[0]); }, signal));

  await assert.rejects(attempt(() => { throw new CheckpointError('short-read', {}, ''); }), { code: 'short-read' });
  assert.deepEqual(snapshot(folder), before);
  await assert.rejects(attempt(() => { throw Object.assign(new Error('full'), { code: 'ENOSPC' }); }), { code: 'disk-full' });
  assert.deepEqual(snapshot(folder), before);
  const stop = new AbortController();
  await assert.rejects(attempt(() => stop.abort(), stop.signal), { code: 'cancelled' });
  assert.deepEqual(snapshot(folder), before);
  // A target that appeared meanwhile is not replaced.
  await assert.rejects(attempt(() => { mkdirSync(target.path, { recursive: true }); }), { code: 'target-exists' });
  assert.deepEqual(readdirSync(target.path), []);
  rmSync(path.join(folder, 'made'), { recursive: true });
  // The source changed while it was read.
  await assert.rejects(attempt(() => { utimesSync(path.join(model, 'model.safetensors'), 1, 1); }), { code: 'file-changed-while-reading' });
  await assert.rejects(attempt(() => {}), { code: 'file-changed-while-reading' });
  renameSync(path.join(model, 'model.safetensors'), path.join(model, 'moved'));
  await assert.rejects(attempt(() => {}), { code: 'file-changed-while-reading' });
  assert.ok(!existsSync(path.join(folder, 'made')));
});

test('a cancelled prune exits 130 and leaves nothing', async () => {
  const model = makeModel('cancelled'), before = snapshot(folder), stop = new AbortController();
  stop.abort();
  const { code } = await winnow(['prune', model, '--sparsity', '0.5'], folder, stop.signal);
  assert.equal(code, 130);
  assert.deepEqual(snapshot(folder), before);
});

test('a disk too small is said with numbers before anything is read or written', async () => {
  const huge = path.join(folder, 'huge.safetensors'), elements = 2 ** 41; // 8 TiB, all of it a hole
  const header = JSON.stringify({ 'layers.0.mlp.up_proj.weight': { dtype: 'F32', shape: [2 ** 20, elements / 2 ** 20], data_offsets: [0, elements * 4] } });
  const fd = openSync(huge, 'w');
  try {
    writeSync(fd, Buffer.concat([Buffer.from(new BigUint64Array([BigInt(header.length)]).buffer), Buffer.from(header)]));
    ftruncateSync(fd, 8 + header.length + elements * 4);
  } catch {
    console.log('SKIPPED: this file system has no files of 8 TiB');
    return;
  } finally {
    closeSync(fd);
  }
  const { code, err } = await winnow(['prune', huge, '--sparsity', '0.5']);
  rmSync(huge);
  assert.equal(code, 1);
  assert.match(err, /disk-full: .*needs \d{13} bytes, \d+ are free/);
});

test('a folder that cannot be written to is named, and nothing is half-written', { skip: process.platform === 'win32' ? 'no modes' : false }, async () => {
  const model = makeModel('unwritable'), closed = path.join(folder, 'closed');
  mkdirSync(closed);
  chmodSync(folder, 0o755);
  chmodSync(closed, 0o555);
  const isRoot = process.getuid!() === 0;
  if (isRoot) process.seteuid!(65534); // root may write anywhere
  try {
    for (const out of [path.join(closed, 'out'), path.join(closed, 'out.safetensors'), path.join(closed, 'a/b')]) {
      const { code, err } = await winnow(['prune', model, '--sparsity', '0.5', '--out', out]);
      assert.equal(code, 1);
      assert.match(err, /winnow: target-not-writable: .*closed/);
    }
  } finally {
    if (isRoot) process.seteuid!(0);
  }
  assert.deepEqual(readdirSync(closed), []);
});

test('wrong usage says what would be right', async () => {
  const model = makeModel('usage');
  const table: [string[], RegExp, number][] = [
    [[], /--sparsity is missing/, 2], [['--sparsity', '50%'], /from 0 to 1, not `50%`/, 2], [['--sparsity', '1.5'], /from 0 to 1/, 2], [['--sparsity', '-0.1'], /from 0 to 1/, 2], [['--sparsity', 'NaN'], /from 0 to 1/, 2],
    [['--sparsity', '0.3', '--pattern', '2:4'], /implies --sparsity 0.5/, 2], [['--pattern', '4:2'], /unsupported-pattern/, 2], [['--sparsity', '0.5', '--scope', 'layer'], /--scope takes global, tensor, row/, 2],
    [['--sparsity', '0.5', '--method', 'wand'], /unknown-method: .*magnitude/, 2], [['--sparsity', '0.5', '--calibration', 'train'], /magnitude needs none/, 2],
    [['--sparsity', '0.5', '--include', 'nothing*'], /no-match/, 1], [['--sparsity', '0.5', '--exclude', '*.bias'], /no-match/, 1], [['--sparsity', '0.5', '--exclude', '*'], /nothing-in-scope/, 1],
    [['--sparsity', '0.5', '--include', '[a'], /Glob/, 2],
  ];
  for (const [words, pattern, status] of table) {
    const { code, err } = await winnow(['prune', model, ...words], folder);
    assert.equal(code, status, `${words.join(' ')}: ${err}`);
    if (status > 0) assert.match(err, pattern, words.join(' '));
  }
});

test('--pattern alone, --sparsity 0 and 1 are fine; integers are never pruned', async () => {
  const file = path.join(folder, 'ints.safetensors');
  writeFixture(file, [tensor('layers.0.mlp.up_proj.weight'), { name: 'ids', dtype: 'I64', shape: [4], bytes: new Uint8Array(32) }]);
  for (const [words, pruned] of [[['--pattern', '2:4'], 32], [['--sparsity', '0'], 0], [['--sparsity', '1'], 64]] as const) {
    const { json } = await winnow(['prune', file, ...words, '--out', path.join(folder, 'fine.safetensors'), '--force']);
    const { prunedParameters, changed, achieved } = json as PruneJson;
    assert.deepEqual([prunedParameters, changed, achieved], [pruned, pruned, pruned / 64]);
  }
  const { code, err } = await winnow(['prune', file, '--sparsity', '0.5', '--include', 'ids', '--out', path.join(folder, 'never.safetensors')]);
  assert.equal(code, 1);
  assert.match(err, /unsupported-dtype: .*ids.*I64/);
});
