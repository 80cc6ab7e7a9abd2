import assert from 'node:assert/strict';
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { openCheckpoint } from '../../../server/core/formats/openCheckpoint';
import type { PruneJson } from '../../../server/protocol/verbs';
import { scratch, sha, snapshot, valuesOf, winnow, writableCopy, zerosIn } from './helpers';

interface Case { id: string; file: string | null; kind: string; facts: Record<string, unknown>; expect_text: string }

const shared = path.resolve(__dirname, '../../../../shared/cases');
const there = existsSync(path.join(shared, 'manifest.json'));
const manifest: Case[] = there ? (JSON.parse(readFileSync(path.join(shared, 'manifest.json'), 'utf8')) as { cases: Case[] }).cases : [];
if (!there) console.log('SKIPPED: the pruning cases: ../shared/cases is not here');

const folder = scratch('cases');

/** The case's checkpoint, in a copy that may be written to. */
function copyOf(one: Case): string {
  const top = one.file!.split('/')[0];
  const copy = path.join(folder, top);
  if (!existsSync(copy)) writableCopy(path.join(shared, top), copy);
  const file = path.join(folder, one.file!);
  // A link of the cache may have come along as a small text with its target.
  const text = statSync(file).size < 200 ? readFileSync(file, 'utf8') : '';
  if (text.startsWith('../')) { rmSync(file); symlinkSync(text.trim(), file); }
  return file;
}

async function pruned(source: string, words: readonly string[], name: string): Promise<{ json: PruneJson; file: string }> {
  const out = path.join(folder, `${name}.safetensors`);
  const { code, json, err } = await winnow(['prune', source, ...words, '--out', out, '--force']);
  assert.equal(code, 0, err);
  return { json: json as PruneJson, file: out };
}

const zerosOf = (file: string): Record<string, number> => Object.fromEntries([...valuesOf(file)].map(([name, values]) => [name, zerosIn(values)]));
const codes = (json: PruneJson): string[] => json.problems.map((problem) => problem.code);

/** What each case has to show. A prune case of the manifest without an entry here fails. */
const checks: Record<string, (one: Case, source: string) => Promise<void>> = {
  'prune-ties': async (one, source) => {
    const facts = one.facts as { zeros_after: Record<string, number> };
    assert.deepEqual(zerosOf((await pruned(source, ['--sparsity', '0.5', '--scope', 'tensor'], one.id)).file), facts.zeros_after);
    for (const [sparsity, up, k] of [['0.25', 16, 32], ['0.3', 19, 38], ['0.5', 32, 64]] as const) {
      const tensor = await pruned(source, ['--sparsity', sparsity, '--scope', 'tensor'], one.id);
      assert.equal(zerosOf(tensor.file)['model.layers.0.mlp.up_proj.weight'], up);
      const global = await pruned(source, ['--sparsity', sparsity], one.id);
      assert.equal(global.json.selected, k);
      assert.equal(Object.values(zerosOf(global.file)).reduce((a, b) => a + b), k);
      assert.equal(sha(global.file), sha((await pruned(source, ['--sparsity', sparsity, '--seed', '7'], `${one.id}-again`)).file));
    }
  },
  'prune-nan-inf': async (one, source) => {
    const { json, file } = await pruned(source, ['--sparsity', '0.5', '--scope', 'tensor'], one.id);
    const values = valuesOf(file).get('model.layers.0.self_attn.q_proj.weight')!;
    assert.equal(values.filter(Number.isNaN).length, one.facts.nan_count);
    assert.equal(values.filter((x) => Math.abs(x) === Infinity).length, one.facts.inf_count);
    assert.equal(zerosIn(values), 8);
    const said = json.problems.find((problem) => problem.code === 'nan-in-scope')!;
    assert.equal(said.where.tensor, 'model.layers.0.self_attn.q_proj.weight');
    assert.match(said.detail, /2 NaN and 2 infinite values/);
    const all = await pruned(source, ['--sparsity', '1'], one.id);
    assert.equal(all.json.selected, 30, 'NaN cannot be selected');
    assert.equal([...valuesOf(all.file).values()].reduce((sum, tensor) => sum + tensor.filter(Number.isNaN).length, 0), 2);
  },
  'prune-zeros-const': async (one, source) => {
    const { json, file } = await pruned(source, ['--sparsity', '0.5', '--scope', 'tensor'], one.id);
    const after = one.facts['after_0.5_per_tensor'] as Record<string, number>;
    assert.deepEqual(Object.values(zerosOf(file)), [after.q, after.k, after.v]);
    assert.ok(codes(json).includes('already-sparser'));
    assert.ok(!JSON.stringify(json).includes('NaN'));
  },
  'prune-negzero-denormal': async (one, source) => {
    assert.equal([...valuesOf(source).values()].reduce((sum, values) => sum + zerosIn(values), 0), one.facts.zero_count);
    // 12 of 24: the six zeros and the six next smallest, all of them denormal; none was zero before, all are +0.0 after.
    const { json, file } = await pruned(source, ['--sparsity', '0.5'], one.id);
    assert.deepEqual([json.selected, json.changed, json.prunedParameters], [12, 6, 12]);
    for (const values of valuesOf(file).values()) for (const x of values) assert.ok(!Object.is(x, -0), 'a selected -0.0 is written as +0.0');
    // Nothing is selected: -0.0 keeps its bits.
    assert.equal(sha((await pruned(source, ['--sparsity', '0'], one.id)).file), sha(source));
  },
  'prune-gpt2-full': async (one, source) => {
    const facts = one.facts as { must_be_unchanged: string[]; zeros_in_linear_after: number; prunable_params_linear: number; metadata_after: object; zeros_whole_file_after: number };
    const { json, file } = await pruned(source, ['--sparsity', '0.5'], one.id);
    const before = valuesOf(source), after = valuesOf(file);
    for (const name of facts.must_be_unchanged) assert.deepEqual(after.get(name), before.get(name), name);
    assert.deepEqual([json.prunedParameters, json.scopeParameters, json.achieved], [facts.zeros_in_linear_after, facts.prunable_params_linear, 0.5]);
    assert.ok(json.achievedTotal! > 0 && json.achievedTotal! < 0.5, 'of the whole model is another number');
    assert.equal([...after.values()].reduce((sum, values) => sum + zerosIn(values), 0), facts.zeros_whole_file_after);
    assert.deepEqual(openCheckpoint(file).files[0].metadata, facts.metadata_after);
    assert.equal(statSync(file).size, statSync(source).size);
    // Tied copies stay equal when the embedding is asked for.
    const embedded = valuesOf((await pruned(source, ['--sparsity', '0.5', '--include', '*wte*'], one.id)).file);
    assert.deepEqual(embedded.get('lm_head.weight'), embedded.get('transformer.wte.weight'));
    assert.notDeepEqual(embedded.get('lm_head.weight'), before.get('lm_head.weight'));
  },
  'prune-format-metadata': async (one, source) => {
    const { file } = await pruned(source, ['--sparsity', '0.5'], one.id);
    assert.deepEqual(openCheckpoint(file).files[0].metadata, one.facts.metadata_after_must_include);
    const { dataFrom } = openCheckpoint(source).files[0];
    assert.deepEqual(readFileSync(file).subarray(0, dataFrom), readFileSync(source).subarray(0, dataFrom));
  },
  'prune-already-sparse': async (one, source) => {
    for (const [target, zeros] of Object.entries(one.facts.after_target as Record<string, number>)) {
      const { json, file } = await pruned(source, ['--sparsity', target], one.id);
      assert.deepEqual(Object.values(zerosOf(file)), [zeros], target);
      assert.equal(codes(json).includes('already-sparser'), target === '0.5', target);
      if (zeros === one.facts.zero_count) assert.equal(sha(file), sha(source));
    }
  },
  'prune-nm-ragged': async (one, source) => {
    const { json, file } = await pruned(source, ['--pattern', '2:4'], one.id);
    assert.deepEqual(zerosOf(file), { 'model.layers.0.mlp.up_proj.weight': 8, 'model.layers.0.mlp.down_proj.weight': 16, 'model.layers.0.self_attn.q_proj.weight': 0 });
    assert.deepEqual(codes(json).filter((code) => code === 'ragged-groups').length, 2);
    assert.deepEqual([json.target, json.pattern, json.selected], [0.5, '2:4', 24]);
  },
  'prune-conv1d-axis': async (one, source) => {
    const { file } = await pruned(source, ['--pattern', '2:4'], one.id);
    const values = [...valuesOf(file).values()][0];
    const positions = [...values.entries()].filter(([, x]) => x === 0).map(([i]) => [Math.floor(i / 4), i % 4]);
    assert.deepEqual(positions, one.facts.zero_positions_right);
  },
  'prune-dtype-kept': async (one, source) => {
    const { file } = await pruned(source, ['--sparsity', '0.5'], one.id);
    assert.deepEqual(Object.fromEntries(openCheckpoint(file).tensors.map(({ name, dtype }) => [name, dtype])), one.facts.dtypes_after);
    assert.equal(statSync(file).size, one.facts.file_bytes);
  },
  'prune-atomic-save': async () => { /* acted out in kill.test.ts */ },
  'st-save-over-source': async (one, source) => {
    const before = snapshot(path.dirname(source));
    for (const words of [['--out', source], ['--out', source, '--force'], ['--out', path.dirname(source), '--force']]) {
      const { code, err } = await winnow(['prune', source, '--sparsity', '0', ...words]);
      assert.equal(code, 1);
      assert.match(err, /winnow: target-is-source: /);
    }
    assert.deepEqual(snapshot(path.dirname(source)), before);
    assert.equal([...valuesOf(source).values()].reduce((sum, values) => sum + zerosIn(values), 0), one.facts.zero_count);
  },
  'st-path-chars': async (_one, source) => {
    const { code, json, err } = await winnow(['prune', path.dirname(source), '--sparsity', '0.5']);
    assert.equal(code, 0, err);
    const { out } = json as PruneJson;
    assert.equal(out, `${path.dirname(source)}-magnitude-50`);
    assert.equal([...valuesOf(out).values()].reduce((sum, values) => sum + zerosIn(values), 0), 16);
  },
  'st-hf-cache': async (one, source) => {
    const root = path.join(folder, 'st-hf-cache'), before = snapshot(root);
    const repository = path.join(root, 'models--org--tiny'), blob = path.join(repository, 'blobs', readdirSync(path.join(repository, 'blobs')).find((name) => name.startsWith('b1'))!);
    for (const out of [source, blob, path.dirname(source), path.join(path.dirname(source), 'pruned'), path.join(repository, 'blobs/new'), path.join(repository, 'pruned.safetensors')]) {
      const { code, err } = await winnow(['prune', source, '--sparsity', '0.5', '--out', out, '--force']);
      assert.equal(code, 1, out);
      assert.match(err, /winnow: target-(is|inside)-source: /, out);
    }
    const { file } = await pruned(source, ['--sparsity', '0.5'], one.id);
    assert.equal(zerosIn([...valuesOf(file).values()].flatMap((values) => [...values])), 32);
    assert.deepEqual(snapshot(root), before);
  },
  'st-readonly': async (_one, source) => {
    chmodSync(source, 0o400);
    const { code, err } = await winnow(['prune', source, '--sparsity', '0.5', '--out', path.join(folder, 'st-readonly-out')]);
    assert.equal(code, 0, err);
    assert.equal(statSync(source).mode & 0o777, 0o400);
  },
};

for (const one of manifest.filter(({ id, kind }) => kind.startsWith('prune') || id in checks)) {
  test(`${one.id}: ${one.expect_text}`, async () => {
    assert.ok(checks[one.id], 'the manifest has a case that this test does not know');
    await checks[one.id](one, one.file === null ? '' : copyOf(one));
  });
}

test('a readable safetensors case can be pruned, and what comes out opens without remarks about the container', async () => {
  const container = ['index-total-wrong', 'stray-copy', 'metadata-not-text', 'header-space-first', 'stray-file'];
  const readable = manifest.filter(({ id, kind, file }) => kind.startsWith('safetensors') && file !== null && id !== 'st-hf-cache' && id !== 'st-dtypes').filter(({ file }) => {
    try { return openCheckpoint(path.join(shared, file!)).tensors.length > 0; } catch { return false; }
  });
  for (const one of readable) {
    const source = copyOf(one), out = path.join(folder, 'readable');
    const floats = openCheckpoint(source).tensors.filter(({ dtype }) => /^B?F\d+$/.test(dtype)).map(({ name }) => name.replace(/[\\*?[{]/g, '\\$&') || '{,}'); // a tensor may have no name, an argument may not be empty
    const { code, err } = await winnow(['prune', source, '--sparsity', '0.5', '--include', ...floats, '--out', out, '--force']);
    assert.equal(code, 0, `${one.id}: ${err}`);
    const result = openCheckpoint(out);
    assert.deepEqual(result.problems.filter((problem) => container.includes(problem.code)), [], one.id);
    assert.deepEqual(result.tensors.map(({ name, shape, dtype }) => ({ name, shape, dtype })), openCheckpoint(source).tensors.map(({ name, shape, dtype }) => ({ name, shape, dtype })), one.id);
  }
  if (there) assert.ok(readable.length >= 8, `${readable.length} cases`);
});

test('every float type can be pruned, the packed and the 8-bit ones too', { skip: there ? false : 'no ../shared/cases' }, async () => {
  const source = path.join(shared, 'st-dtypes.safetensors'), floats = ['f16', 'bf16', 'f32', 'f64', 'e4m3', 'e5m2', 'f4'];
  for (const scope of ['global', 'tensor']) {
    const { json, file } = await pruned(source, ['--sparsity', '0.5', '--scope', scope, '--include', ...floats], 'dtypes');
    const before = valuesOf(source), after = valuesOf(file);
    assert.equal(json.prunedParameters, floats.reduce((sum, name) => sum + zerosIn(after.get(name)!), 0));
    for (const [name, values] of before) {
      if (!floats.includes(name)) assert.deepEqual(after.get(name), values, name);
      values.forEach((x, i) => assert.ok(after.get(name)![i] === 0 || Object.is(after.get(name)![i], x), name));
    }
  }
  const { code, err } = await winnow(['prune', source, '--sparsity', '0.5', '--include', 'e8m0', '--out', path.join(folder, 'scale.safetensors')]);
  assert.equal(code, 1);
  assert.match(err, /unsupported-dtype: .*F8_E8M0/);
});
