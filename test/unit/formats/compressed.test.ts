import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { openTensor } from '../../../server/core/bytes/decodedSource';
import { interpretCompressed } from '../../../server/core/formats/compressed/interpret';
import { openCheckpoint } from '../../../server/core/formats/openCheckpoint';
import { safetensors } from '../../../server/core/formats/safetensors';
import { valueBytes } from '../../../server/core/tensor/tensorInfo';
import type { ApplyJson, CompareJson, EvalJson, InspectJson, PruneJson, StatsJson } from '../../../server/protocol/verbs';
import { f32, scratch, sha, snapshot, winnow, writeFixture, type Made } from '../pruning/helpers';

const golden = path.resolve(__dirname, '../../golden/compressed'), media = path.resolve(__dirname, '../../../media/tiny-gpt2');
const folder = scratch('compressed');
const at = (...names: string[]): string => path.join(folder, ...names);
const run = async <T>(...words: string[]): Promise<T> => { const { code, json, err } = await winnow(words); assert.equal(code, 0, `${words.join(' ')}: ${err}`); return json as T; };

/** The stored tensors of a file as they are: dtype, shape, bytes. */
function stored(file: string): Map<string, Made> {
  const bytes = readFileSync(file);
  return new Map(safetensors.readHeader(file).tensors.map(({ name, dtype, shape, from, to }) => [name, { name, dtype, shape, bytes: Uint8Array.from(bytes.subarray(from, to)) }]));
}

test('what compressed-tensors packed is read as the dense tensors it was made of, any range of bytes', () => {
  for (const [packed, dense] of [['bitmask', 'dense'], ['two-four', 'two-four-dense']]) {
    const a = openCheckpoint(path.join(golden, `${packed}.safetensors`)), expected = stored(path.join(golden, `${dense}.safetensors`));
    assert.deepEqual(a.tensors.map(({ name, dtype, shape }) => ({ name, dtype, shape })).sort((x, y) => x.name.localeCompare(y.name)), [...expected.values()].map(({ name, dtype, shape }) => ({ name, dtype, shape })).sort((x, y) => x.name.localeCompare(y.name)));
    for (const info of a.tensors) {
      const source = openTensor(a.files[info.file], info, 'pread'), bytes = expected.get(info.name)!.bytes;
      for (const [from, to] of [[0, bytes.length], [1, bytes.length - 1], [3, 5], [bytes.length >> 1, bytes.length], [7, 7]]) {
        const into = new Uint8Array(Math.max(0, to - from));
        if (to >= from) source.read(from, to, into);
        assert.deepEqual(into, bytes.slice(from, Math.max(from, to)), `${info.name} ${from} ${to}`);
      }
      source.close();
    }
  }
});

test('rows longer than what is decoded at once are read in parts', () => {
  const columns = 300_001, values = Float32Array.from({ length: 2 * columns }, (_, i) => (i % 3 === 0 ? i + 1 : 0));
  const kept = values.filter((value) => value !== 0), row = Math.ceil(columns / 8), bits = new Uint8Array(2 * row);
  values.forEach((value, i) => { const y = Math.floor(i / columns), x = i % columns; if (value !== 0) bits[y * row + (x >> 3)] |= 1 << (x & 7); });
  const first = values.subarray(0, columns).filter((value) => value !== 0).length, i64 = (list: number[]): Uint8Array => new Uint8Array(BigInt64Array.from(list, BigInt).buffer);
  writeFixture(at('long.safetensors'), [
    { name: 'a.shape', dtype: 'I64', shape: [2], bytes: i64([2, columns]) }, { name: 'a.row_offsets', dtype: 'I64', shape: [2], bytes: i64([0, first]) },
    f32('a.compressed', [kept.length], kept), { name: 'a.bitmask', dtype: 'U8', shape: [2, row], bytes: bits },
  ]);
  const checkpoint = openCheckpoint(at('long.safetensors')), [info] = checkpoint.tensors, source = openTensor(checkpoint.files[0], info, 'pread'), all = new Uint8Array(values.buffer);
  for (const [from, to] of [[0, all.length], [4 * 131_077 + 1, 4 * 262_150 + 3], [4 * columns - 9, 4 * columns + 9], [all.length - 5, all.length]]) {
    const into = new Uint8Array(to - from);
    source.read(from, to, into);
    assert.ok(Buffer.compare(into, all.subarray(from, to)) === 0, `${from} to ${to}`);
  }
  source.close();
});

test('what is packed here is what compressed-tensors packs, piece by piece', async () => {
  // Nothing is asked that is not zero already: packing alone.
  for (const [dense, packed, words] of [
    ['dense', 'bitmask', ['--sparsity', '0.1', '--format', 'bitmask']], ['two-four-dense', 'two-four-exact', ['--pattern', '2:4', '--format', '24-bitmask']],
  ] as const) {
    const out = at(`${packed}.safetensors`);
    await run('prune', path.join(golden, `${dense}.safetensors`), ...words, '--out', out);
    const ours = stored(out), theirs = stored(path.join(golden, packed === 'bitmask' ? 'bitmask.safetensors' : 'two-four.safetensors'));
    assert.deepEqual([...ours.keys()].sort(), [...theirs.keys()].sort());
    for (const [name, piece] of theirs) {
      // Where less than two of four are not zero, which zeros are marked is nobody's rule.
      if (packed !== 'bitmask' && name.includes('down_proj') && !name.endsWith('shape')) continue;
      assert.deepEqual(ours.get(name), piece, name);
    }
    assert.equal((await run<CompareJson>('compare', out, path.join(golden, `${dense}.safetensors`))).identical, true);
  }
});

test('a packed checkpoint shows, counts, evaluates and converts like the dense one, and is smaller', async () => {
  const window = ['--context', '64', '--stride', '32', '--limit', '2', '--provider', 'cpu'], text = at('text.txt');
  writeFileSync(text, 'Some years ago, never mind how long precisely, I thought I would sail about a little. '.repeat(20));
  const dense = at('dense'), packed = at('packed'), back = at('back');
  const whole = await run<PruneJson>('prune', media, '--sparsity', '0.5', '--out', dense), small = await run<PruneJson>('prune', media, '--sparsity', '0.5', '--format', 'bitmask', '--out', packed);
  assert.deepEqual(small.tensors, whole.tensors);
  const planned = await run<PruneJson>('prune', media, '--sparsity', '0.5', '--format', 'bitmask', '--out', at('planned'), '--dry-run');
  assert.ok(Math.abs(planned.bytes - small.bytes) < 20_000, `${planned.bytes} planned, ${small.bytes} written; headers aside`);
  assert.ok(planned.needs!.diskBytes > planned.bytes, 'a dense file lies there meanwhile');
  // Half of 1,179,648 F32 weights gone, a bit each and 8 bytes a row instead.
  assert.ok(small.bytes < whole.bytes - 589_824 * 4 + 1_179_648 / 8 + 8 * 10_000, `${small.bytes} of ${whole.bytes}`);

  const seen = async (model: string): Promise<unknown> => { const { files: _, path: __, ...rest } = await run<InspectJson>('inspect', model); return { ...rest, tensors: rest.tensors.sort((a, b) => a.name.localeCompare(b.name)) }; };
  assert.deepEqual(await seen(packed), await seen(dense));
  const counted = async (model: string): Promise<unknown> => { const stats = await run<StatsJson>('stats', model, '--threshold', '0.02'); return { ...stats, tensors: stats.tensors.sort((a, b) => a.name.localeCompare(b.name)) }; };
  assert.deepEqual(await counted(packed), await counted(dense));
  assert.equal((await run<CompareJson>('compare', packed, dense)).identical, true);
  assert.equal((await run<EvalJson>('eval', packed, '--text', text, ...window)).value, (await run<EvalJson>('eval', dense, '--text', text, ...window)).value);

  await run('convert', packed, '--to', 'safetensors', '--out', back);
  assert.equal(sha(path.join(back, 'model.safetensors')), sha(path.join(dense, 'model.safetensors')));
  const config = (model: string): Record<string, unknown> => JSON.parse(readFileSync(path.join(model, 'config.json'), 'utf8')) as Record<string, unknown>;
  assert.deepEqual(config(back), config(media));
  const { sparsity_config: sparsity, quant_method: method } = config(packed).quantization_config as { sparsity_config: Record<string, unknown>; quant_method: string };
  assert.deepEqual([method, sparsity.format, sparsity.global_sparsity, (sparsity.targets as string[]).length], ['compressed-tensors', 'sparse-bitmask', small.achievedTotal, 24]);

  // Pruned further, from either, to either.
  await run('prune', packed, '--sparsity', '0.9', '--out', at('further'));
  await run('prune', dense, '--sparsity', '0.9', '--out', at('direct'));
  assert.equal(sha(at('further', 'model.safetensors')), sha(at('direct', 'model.safetensors')));
  await run('prune', packed, '--sparsity', '0.9', '--out', at('tight'), '--format', 'bitmask', '--masks', at('masks.safetensors'));
  assert.equal((await run<CompareJson>('compare', at('tight'), at('direct'))).identical, true);
  assert.ok(statSync(at('tight', 'model.safetensors')).size < 0.4 * whole.bytes);
  assert.equal((await run<ApplyJson>('apply', at('masks.safetensors'), packed, '--out', at('applied'))).changed > 0, true);
  assert.equal(sha(at('applied', 'model.safetensors')), sha(at('direct', 'model.safetensors')));
  // A manifest repeats the packed bytes too.
  await run('prune', '--from-manifest', path.join(packed, 'winnow-manifest.json'), '--out', at('again'));
  assert.equal(sha(at('again', 'model.safetensors')), sha(path.join(packed, 'model.safetensors')));
});

test('shards are packed one by one, with an index that names the pieces', async () => {
  const model = at('shards');
  mkdirSync(model);
  const weight = (n: number): Made => f32(`model.layers.${n}.mlp.up_proj.weight`, [6, 10], Array.from({ length: 60 }, (_, i) => Math.sin(i + n)));
  for (const n of [0, 1]) writeFixture(path.join(model, `model-0000${n + 1}-of-00002.safetensors`), [weight(n)]);
  writeFileSync(path.join(model, 'model.safetensors.index.json'), JSON.stringify({ metadata: { total_size: 480 }, weight_map: Object.fromEntries([0, 1].map((n) => [weight(n).name, `model-0000${n + 1}-of-00002.safetensors`])) }));
  cpSync(path.join(media, 'config.json'), path.join(model, 'config.json'));
  await run('prune', model, '--sparsity', '0.8', '--out', at('shards-packed'), '--format', 'bitmask');
  await run('prune', model, '--sparsity', '0.8', '--out', at('shards-dense'));
  assert.deepEqual(openCheckpoint(at('shards-packed')).problems.map(({ code }) => code), openCheckpoint(at('shards-dense')).problems.map(({ code }) => code));
  assert.equal((await run<CompareJson>('compare', at('shards-packed'), at('shards-dense'))).identical, true);
});

test('2:4 is packed only where every group along the last axis is 2:4; what a layout cannot hold stays dense and is said', async () => {
  writeFixture(at('mixed.safetensors'), [f32('a.weight', [4, 8], Array.from({ length: 32 }, (_, i) => i + 1)), f32('experts.weight', [2, 4, 8], Array.from({ length: 64 }, (_, i) => i + 1)), f32('b.w', [4, 8], Array.from({ length: 32 }, (_, i) => i + 1))]);
  const before = snapshot(folder);
  const { code, err } = await winnow(['prune', at('mixed.safetensors'), '--sparsity', '0.25', '--format', '24-bitmask', '--out', at('never')]);
  assert.equal(code, 1);
  assert.match(err, /not-two-four: .*a\.weight/);
  assert.deepEqual(snapshot(folder), before);
  const { problems } = await run<PruneJson>('prune', at('mixed.safetensors'), '--pattern', '2:4', '--format', '24-bitmask', '--out', at('mixed-packed.safetensors'), '--include', 'b.w');
  assert.deepEqual(problems.filter((problem) => problem.code === 'stored-dense').map(({ where }) => where.tensor), ['experts.weight', 'b.w']);
  await run('prune', at('mixed.safetensors'), '--pattern', '2:4', '--out', at('mixed-dense.safetensors'), '--include', 'b.w');
  assert.equal((await run<CompareJson>('compare', at('mixed-packed.safetensors'), at('mixed-dense.safetensors'))).identical, true);
  assert.match((await winnow(['prune', at('mixed.safetensors'), '--sparsity', '0.5', '--format', 'csr'])).err, /--format takes dense, bitmask, 24-bitmask/);
});

test('pieces that lie are refused by name before they size anything', () => {
  const pieces = (): Map<string, Made> => stored(path.join(golden, 'bitmask.safetensors'));
  const q = 'model.layers.0.self_attn.q_proj', i64 = (...list: bigint[]): Uint8Array => new Uint8Array(BigInt64Array.from(list).buffer);
  for (const [what, change] of Object.entries<(all: Map<string, Made>) => void>({
    'shape too large': (all) => all.set(`${q}.shape`, { ...all.get(`${q}.shape`)!, bytes: i64(2n ** 60n, 21n) }),
    'negative shape': (all) => all.set(`${q}.shape`, { ...all.get(`${q}.shape`)!, bytes: i64(-13n, 21n) }),
    'other width': (all) => all.set(`${q}.shape`, { ...all.get(`${q}.shape`)!, bytes: i64(13n, 25n) }),
    'offsets of another length': (all) => all.set(`${q}.row_offsets`, { ...all.get(`${q}.row_offsets`)!, shape: [12], bytes: all.get(`${q}.row_offsets`)!.bytes.slice(8) }),
    'values without a place': (all) => all.delete(`${q}.row_offsets`),
  })) {
    const all = pieces();
    change(all);
    writeFixture(at('lying.safetensors'), [...all.values()].sort((a, b) => b.bytes.length - a.bytes.length));
    assert.throws(() => openCheckpoint(at('lying.safetensors')), { code: 'bad-encoding' }, what);
  }
  const all = pieces(), offsets = all.get(`${q}.row_offsets`)!;
  for (const broken of [i64(...Array.from({ length: 13 }, (_, i) => BigInt(i))), i64(...Array.from({ length: 13 }, () => 2n ** 40n))]) {
    writeFixture(at('lying.safetensors'), [...all.values()].map((piece) => (piece === offsets ? { ...piece, bytes: broken } : piece)));
    const checkpoint = openCheckpoint(at('lying.safetensors')), info = checkpoint.tensors.find(({ name }) => name === `${q}.weight`)!, source = openTensor(checkpoint.files[0], info, 'pread');
    assert.throws(() => source.read(0, valueBytes(info), new Uint8Array(valueBytes(info))), { code: 'bad-encoding' });
    source.close();
  }
  const plain = openCheckpoint(path.join(golden, 'dense.safetensors'));
  assert.equal(interpretCompressed(plain), plain, 'a plain file is left as it is');
});

test('weights beside their masks, as torch.nn.utils.prune leaves them, are the masked weights in safetensors too', async () => {
  const name = 'transformer.h.0.attn.c_attn', original = Array.from({ length: 24 }, (_, i) => i - 11.5), mask = original.map((_, i) => (i % 3 === 0 ? 0 : 1));
  const whole = f32(`${name}.weight`, [4, 6], original.map((value, i) => value * mask[i] || 0)), bias = f32(`${name}.bias`, [6], [1, 2, 3, 4, 5, 6]);
  writeFixture(at('pairs.safetensors'), [f32(`${name}.weight_orig`, [4, 6], original), f32(`${name}.weight_mask`, [4, 6], mask), bias]);
  writeFixture(at('whole.safetensors'), [whole, bias]);
  assert.equal((await run<CompareJson>('compare', at('pairs.safetensors'), at('whole.safetensors'))).identical, true);
  const { problems, tensors } = await run<InspectJson>('inspect', at('pairs.safetensors'));
  assert.deepEqual([problems.some(({ code }) => code === 'mask-folded'), tensors.map((tensor) => tensor.name)], [true, [whole.name, bias.name]]);
  for (const source of ['pairs', 'whole']) await run('prune', at(`${source}.safetensors`), '--sparsity', '0.5', '--out', at(`${source}-pruned.safetensors`));
  assert.equal(sha(at('pairs-pruned.safetensors')), sha(at('whole-pruned.safetensors')));
});

test('every dtype of whole bytes packs and unpacks to the same bits', async () => {
  const bytesOf = (size: number, n: number): Uint8Array => Uint8Array.from({ length: n * size }, (_, i) => (Math.floor(i / size) % 3 === 0 ? 0 : (i * 37 + 11) & 0x3f));
  const shape = [9, 13], tensors = ([['F64', 8], ['F32', 4], ['F16', 2], ['BF16', 2], ['F8_E4M3', 1], ['F8_E5M2', 1]] as const).map(([dtype, size], i): Made => ({ name: `model.layers.${i}.mlp.up_proj.weight`, dtype, shape, bytes: bytesOf(size, 117) }));
  // Minus zero is no +0.0: it is kept and comes back as it was.
  tensors[1].bytes.set([0, 0, 0, 0x80], 0);
  writeFixture(at('dtypes.safetensors'), tensors);
  await run('prune', at('dtypes.safetensors'), '--sparsity', '0.1', '--format', 'bitmask', '--out', at('dtypes-packed.safetensors'));
  await run('convert', at('dtypes-packed.safetensors'), '--to', 'safetensors', '--out', at('dtypes-back.safetensors'));
  const back = stored(at('dtypes-back.safetensors'));
  for (const tensor of tensors) assert.deepEqual(back.get(tensor.name), tensor, tensor.dtype);
  assert.ok(stored(at('dtypes-packed.safetensors')).has('model.layers.0.mlp.up_proj.bitmask'));
});
