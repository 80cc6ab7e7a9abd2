import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { openCheckpoint } from '../../../server/core/formats/openCheckpoint';
import type { ApplyJson, PruneJson } from '../../../server/protocol/verbs';
import { f32, scratch, sha, snapshot, valuesOf, winnow, writeFixture, type Made } from './helpers';

const folder = scratch('masks');
const at = (...names: string[]): string => path.join(folder, ...names);
/** Zeros of both signs, NaN, ties; widths that are no multiple of eight. */
const values = (n: number, seed: number): number[] => Array.from({ length: n }, (_, i) => [0, -0, NaN, 0.25, -0.25][(i * 7 + seed) % 41] ?? Math.sin(i * 12.9898 + seed) / 3);
const half = (name: string, shape: readonly number[], seed: number): Made => {
  const n = shape.reduce((a, b) => a * b, 1);
  return { name, dtype: 'BF16', shape, bytes: new Uint8Array(Uint16Array.from(Float32Array.from(values(n, seed)), (_, i) => new Uint32Array(Float32Array.of(values(n, seed)[i]).buffer)[0] >>> 16).buffer) };
};
const tensors = (seed: number): Made[] => [f32('a.weight', [13, 21], values(273, seed)), half('b.weight', [16, 9], seed + 1), f32('experts.weight', [3, 5, 11], values(165, seed + 2)), f32('norm.weight', [7], values(7, 3))];
writeFixture(at('source.safetensors'), tensors(1));

/** Bits of a mask file, by tensor, in plain JavaScript. */
function bitsOf(file: string): Map<string, boolean[]> {
  const masks = openCheckpoint(file), metadata = masks.files[0].metadata!, bytes = readFileSync(file);
  return new Map(masks.tensors.map(({ name, from }) => {
    const shape = JSON.parse(metadata[`shape:${name}`]) as number[], width = shape.at(-1)!, rows = shape.slice(0, -1).reduce((a, b) => a * b, 1), row = Math.ceil(width / 8);
    return [name, Array.from({ length: rows * width }, (_, i) => ((bytes[from + Math.floor(i / width) * row + ((i % width) >> 3)] >> (i % width & 7)) & 1) === 1)];
  }));
}

test('masks are true where a weight is kept, and put on the source they give the pruned bytes', async () => {
  for (const words of [['--sparsity', '0.5'], ['--sparsity', '0.03'], ['--pattern', '1:4'], ['--sparsity', '1', '--scope', 'row']]) {
    const name = words.join('-').replace(/[^\w.]/g, ''), pruned = at(name, 'pruned.safetensors'), masks = at(name, 'masks.safetensors'), again = at(name, 'again.safetensors');
    mkdirSync(at(name));
    const made = await winnow(['prune', at('source.safetensors'), ...words, '--out', pruned, '--masks', masks]);
    assert.equal(made.code, 0, made.err);
    assert.equal((made.json as PruneJson).masks, masks);
    const bits = bitsOf(masks), weights = valuesOf(pruned);
    assert.deepEqual([...bits.keys()].sort(), ['a.weight', 'b.weight', 'experts.weight']);
    for (const [tensor, kept] of bits) kept.forEach((bit, i) => assert.equal(bit, !Object.is(weights.get(tensor)![i], 0), `${tensor} ${i}`));

    const applied = await winnow(['apply', masks, at('source.safetensors'), '--out', again]);
    assert.equal(applied.code, 0, applied.err);
    assert.equal(sha(again), sha(pruned), words.join(' '));
    assert.equal((applied.json as ApplyJson).changed, (made.json as PruneJson).changed);
  }
});

test('masks go onto another checkpoint of the same shapes: what they cut is zero, all else stays', async () => {
  const other = at('tuned.safetensors'), out = at('tuned-masked');
  writeFixture(other, tensors(9));
  const masks = at('sparsity0.5', 'masks.safetensors'), before = sha(other);
  const { code, err, json } = await winnow(['apply', masks, other, '--out', out]);
  assert.equal(code, 0, err);
  const bits = bitsOf(masks), was = valuesOf(other), is = valuesOf(path.join(out, 'tuned.safetensors'));
  let changed = 0;
  for (const [name, all] of is) all.forEach((value, i) => {
    const expected = bits.get(name)?.[i] === false ? 0 : was.get(name)![i];
    assert.ok(Object.is(value, expected), `${name} ${i}`);
    if (value === 0 && was.get(name)![i] !== 0) changed++;
  });
  assert.ok(changed > 100);
  assert.equal((json as ApplyJson).changed, changed);
  assert.equal(sha(other), before);
});

test('masks that do not fit are refused with the tensor, and nothing is written', async () => {
  const masks = at('sparsity0.5', 'masks.safetensors');
  writeFixture(at('other-shape.safetensors'), tensors(1).map((one) => (one.name === 'b.weight' ? { ...one, shape: [9, 16] } : one)));
  writeFixture(at('other-names.safetensors'), tensors(1).map((one) => (one.name === 'b.weight' ? { ...one, name: 'c.weight' } : one)));
  const lying = at('lying.safetensors'), header = JSON.parse(readFileSync(masks).subarray(8, 8 + Number(readFileSync(masks).readBigUInt64LE())).toString()) as { __metadata__: Record<string, string> };
  const masksOf = openCheckpoint(masks).tensors.map((info): Made => ({ name: info.name, dtype: 'U8', shape: info.shape, bytes: Uint8Array.from(readFileSync(masks).subarray(info.from, info.to)) }));
  writeFixture(lying, masksOf, { ...header.__metadata__, 'shape:a.weight': '[13, 99]' });
  const before = snapshot(folder);
  for (const [words, code, pattern] of [
    [[masks, at('other-shape.safetensors')], 1, /tensor-shape-differs: .*b\.weight.*\[16, 9\]/], [[masks, at('other-names.safetensors')], 1, /tensor-missing: .*b\.weight/],
    [[at('source.safetensors'), at('source.safetensors')], 1, /not-masks/], [[lying, at('source.safetensors')], 1, /not-masks: .*a\.weight/], [[masks], 2, /usage/], [[at('none'), at('source.safetensors')], 1, /not-found/],
  ] as const) {
    const { code: found, err } = await winnow(['apply', ...words, '--out', at('never')]);
    assert.equal(found, code, err);
    assert.match(err, pattern);
  }
  assert.deepEqual(snapshot(folder), before);
});

test('a file of masks is not written over what is there, nor under another ending', async () => {
  writeFileSync(at('there.safetensors'), 'mine');
  for (const [masks, code] of [['there.safetensors', 1], ['masks.bin', 2], ['never.safetensors', 2]] as const) {
    const out = masks === 'never.safetensors' ? at(masks) : at('never');
    assert.equal((await winnow(['prune', at('source.safetensors'), '--sparsity', '0.5', '--out', out, '--masks', at(masks)])).code, code, masks);
    assert.equal(existsSync(out), false);
  }
  assert.equal(readFileSync(at('there.safetensors'), 'utf8'), 'mine');
});

test('tied weights are masked together, whichever copies are stored', async () => {
  const model = at('tied');
  mkdirSync(model);
  const shared = f32('transformer.wte.weight', [10, 6], values(60, 4));
  writeFixture(path.join(model, 'model.safetensors'), [shared, { ...shared, name: 'lm_head.weight' }, f32('transformer.h.0.attn.c_attn.weight', [6, 18], values(108, 5))]);
  cpSync(path.resolve(__dirname, '../../../media/tiny-gpt2/config.json'), path.join(model, 'config.json'));
  const made = await winnow(['prune', model, '--sparsity', '0.5', '--include', 'lm_head.weight', '--out', at('tied-pruned'), '--masks', at('tied-masks.safetensors')]);
  assert.equal(made.code, 0, made.err);
  assert.deepEqual([...bitsOf(at('tied-masks.safetensors')).keys()].sort(), ['lm_head.weight', 'transformer.h.0.attn.c_attn.weight', 'transformer.wte.weight']);
  const applied = await winnow(['apply', at('tied-masks.safetensors'), model, '--out', at('tied-again')]);
  assert.equal(applied.code, 0, applied.err);
  assert.equal(sha(at('tied-again', 'model.safetensors')), sha(at('tied-pruned', 'model.safetensors')));
});

const python = process.env.WINNOW_PYTHON;
if (!python) console.log('SKIPPED: the code of docs/masks.md runs where WINNOW_PYTHON names a Python with torch and transformers');
test('the code of docs/masks.md keeps pruned weights at zero through AdamW with weight decay', { skip: !python }, async () => {
  const root = path.resolve(__dirname, '../../..'), out = at('doc'), masks = at('doc.safetensors');
  assert.equal((await winnow(['prune', path.join(root, 'media/tiny-gpt2'), '--sparsity', '0.5', '--out', out, '--masks', masks])).code, 0);
  const { status, stdout, stderr } = spawnSync(python!, [path.join(root, 'test/golden/pruning/masksDoc.py'), path.join(root, 'docs/masks.md'), out, masks], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  assert.match(stdout, /frozen=True/);
});
