import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { openCheckpoint } from '../../../server/core/formats/openCheckpoint';
import { codeValues } from '../../../server/core/kernels/codes';
import { decodeInto } from '../../../server/core/tensor/decode';
import { dtypes } from '../../../server/core/tensor/dtype';
import type { DType } from '../../../server/core/tensor/dtype';
import { bf16Bits, encodeInto, f16Bits } from '../../../server/core/tensor/narrow';
import type { CompareJson, ConvertJson } from '../../../server/protocol/verbs';
import { f32, scratch, sha, snapshot, valuesOf, winnow, writeFixture } from './helpers';

const folder = scratch('convert');
const fixtures = path.join(__dirname, '../../golden/pruning/fixtures');

test('every 16-bit code survives decoding and encoding; NaN stays NaN', () => {
  for (const [dtype, encode] of [['BF16', bf16Bits], ['F16', f16Bits]] as const) {
    codeValues(dtype)!.forEach((value, code) => {
      if (Number.isNaN(value)) assert.ok(Number.isNaN(codeValues(dtype)![encode(value)]));
      else assert.equal(encode(value), code, `${dtype} ${code}`);
    });
  }
});

test('16-bit rounding goes to the nearest code, ties to the even one, from any double in one step', () => {
  for (const [dtype, encode, infinity] of [['BF16', bf16Bits, 0x7f80], ['F16', f16Bits, 0x7c00]] as const) {
    const values = codeValues(dtype)!;
    // What infinity stands for when it is rounded to: one step beyond the largest finite value.
    const at = (code: number): number => (code === infinity ? 2 * values[infinity - 1] - values[infinity - 2] : values[code]);
    const nearest = (x: number): void => {
      const code = encode(x) & 0x7fff, error = Math.abs(Math.abs(x) - at(code));
      assert.equal(encode(x) >> 15, Object.is(Math.sign(x), -0) || x < 0 ? 1 : 0);
      for (const other of [code - 1, code + 1]) {
        if (other < 0 || other > infinity) continue;
        const theirs = Math.abs(Math.abs(x) - at(other));
        assert.ok(error < theirs || (error === theirs && code % 2 === 0) || x === Infinity || Math.abs(x) > at(infinity), `${dtype} ${x} -> ${code}`);
      }
    };
    for (let code = 0; code < infinity; code += 7) {
      const middle = (at(code) + at(code + 1)) / 2;
      // A hair beside a tie: rounding to F32 first would fall onto the tie.
      for (const x of [middle, -middle, middle * (1 + 2 ** -52), middle * (1 - 2 ** -53), at(code)]) nearest(x);
    }
    fc.assert(fc.property(fc.double({ noNaN: true }), nearest), { numRuns: 2000 });
  }
});

test('values that leave the range are counted', () => {
  const out = new Uint8Array(16);
  assert.equal(encodeInto('F16', Float64Array.of(1, 65519, 65520, -1e9, Infinity, NaN), 6, out), 2);
  assert.equal(encodeInto('BF16', Float64Array.of(3.4e38, 3.39e38, 1e300), 3, out), 2);
  assert.equal(encodeInto('F32', Float64Array.of(1e39, -Infinity), 2, out), 1);
});

test('every dtype decodes', () => {
  const table: [DType, ArrayBufferLike, number[]][] = [
    ['I64', BigInt64Array.of(-5n, 2n ** 53n).buffer, [-5, 2 ** 53]], ['U64', BigUint64Array.of(2n ** 63n).buffer, [2 ** 63]], ['I32', Int32Array.of(-7).buffer, [-7]], ['U32', Uint32Array.of(2 ** 31).buffer, [2 ** 31]],
    ['F64', Float64Array.of(0.1).buffer, [0.1]], ['F32', Float32Array.of(0.5).buffer, [0.5]], ['C64', Float32Array.of(1, -2).buffer, [1, -2]], ['I16', Int16Array.of(-3).buffer, [-3]], ['BOOL', Uint8Array.of(1, 0).buffer, [1, 0]],
    ['F8_E4M3', Uint8Array.of(0x38).buffer, [1]], ['F4', Uint8Array.of(0x21).buffer, [0.5, 1]],
  ];
  for (const [dtype, buffer, expected] of table) {
    const out = new Float64Array(expected.length);
    decodeInto(dtype, new Uint8Array(buffer as ArrayBuffer), (buffer.byteLength * 8) / dtypes[dtype].bits, out);
    assert.deepEqual([...out], expected, dtype);
  }
});

test('converting narrows floats only, keeps shards, names and metadata, and the index counts anew', async () => {
  const source = path.join(fixtures, 'mixed'), before = snapshot(source), out = path.join(folder, 'narrow');
  const { code, json, err } = await winnow(['convert', source, '--to', 'safetensors', '--dtype', 'bf16', '--out', out]);
  assert.equal(code, 0, err);
  const was = openCheckpoint(source), is = openCheckpoint(out);
  assert.deepEqual(is.tensors.map(({ name, shape, dtype }) => ({ name, shape, dtype })), was.tensors.map(({ name, shape, dtype }) => ({ name, shape, dtype: dtype === 'I64' ? 'I64' : 'BF16' })));
  assert.deepEqual(is.files.map(({ metadata }) => metadata), was.files.map(({ metadata }) => metadata));
  assert.deepEqual(is.problems, []);
  assert.equal((json as ConvertJson).bytes, is.files.reduce((sum, { byteLength }) => sum + byteLength, 0));
  const old = valuesOf(source), values = valuesOf(out), bf16 = codeValues('BF16')!;
  for (const { name, dtype } of was.tensors) assert.deepEqual(values.get(name), dtype === 'I64' ? old.get(name) : old.get(name)!.map((x) => bf16[bf16Bits(x)]), name);
  assert.deepEqual(snapshot(source), before);
});

test('without --dtype the weights are the same bytes; F32 and back is exact', async () => {
  const source = path.join(fixtures, 'bf16/model.safetensors'), kept = path.join(folder, 'kept.safetensors'), wide = path.join(folder, 'wide.safetensors'), back = path.join(folder, 'back.safetensors');
  for (const words of [[source, '--out', kept], [source, '--dtype', 'F32', '--out', wide], [wide, '--dtype', 'BF16', '--out', back]]) assert.equal((await winnow(['convert', '--to', 'safetensors', ...words])).code, 0);
  assert.equal(sha(kept), sha(source));
  const { json } = await winnow(['compare', source, wide]);
  assert.ok((json as CompareJson).tensors.every(({ status, maxAbsDifference }) => status === 'dtype-differs' && maxAbsDifference === 0));
  assert.deepEqual(valuesOf(back), valuesOf(source));
});

test('config.json names the dtype that was written, so that transformers loads it as such', async () => {
  const sample = path.resolve(__dirname, '../../../media/tiny-gpt2'), out = path.join(folder, 'bf16');
  assert.equal((await winnow(['convert', sample, '--to', 'safetensors', '--dtype', 'BF16', '--out', out])).code, 0);
  const read = (where: string): Record<string, unknown> => JSON.parse(readFileSync(path.join(where, 'config.json'), 'utf8')) as Record<string, unknown>;
  assert.deepEqual(read(out), { ...read(sample), dtype: 'bfloat16' });
});

test('what becomes infinite in F16 is said', async () => {
  const source = path.join(folder, 'large.safetensors');
  writeFixture(source, [f32('a', [3], [1, 1e6, -1e6])]);
  const { json } = await winnow(['convert', source, '--to', 'safetensors', '--dtype', 'F16', '--out', path.join(folder, 'half.safetensors')]);
  assert.deepEqual((json as ConvertJson).problems.map(({ code, detail }) => [code, detail]), [['became-infinite', '2 of 3 values are beyond F16']]);
});

test('wrong usage of convert', async () => {
  const source = path.join(fixtures, 'f16');
  for (const [words, status] of [[['--to', 'safetensors'], 2], [['--out', 'x'], 2], [['--to', 'gguf', '--out', 'x'], 2], [['--to', 'safetensors', '--dtype', 'F8', '--out', 'x'], 2], [['--to', 'safetensors', '--out', source], 1]] as const) {
    assert.equal((await winnow(['convert', source, ...words], folder)).code, status, words.join(' '));
  }
});

test('compare names what is missing, what differs in shape or dtype, and by how much values differ', async () => {
  const a = path.join(folder, 'a.safetensors'), b = path.join(folder, 'b.safetensors');
  const empty = { name: 'empty', dtype: 'F32', shape: [0], bytes: new Uint8Array(0) } as const;
  writeFixture(a, [f32('same', [2], [1, NaN]), f32('moved', [4], [0, 2, NaN, Infinity]), f32('nan', [1], [NaN]), f32('zero', [2], [0, 1]), f32('shape', [2], [0, 1]), f32('gone', [2], [0, 0]), f32('inf', [1], [Infinity]), empty]);
  writeFixture(b, [f32('inf', [1], [1]), f32('same', [2], [1, NaN]), f32('moved', [4], [0.5, 2.25, NaN, Infinity]), f32('nan', [1], [1]), f32('zero', [2], [-0, 1]), f32('shape', [1, 2], [0, 1]), f32('new', [1], [1]), empty]);
  const { json, code } = await winnow(['compare', a, b]);
  assert.equal(code, 0);
  const { tensors, identical } = json as CompareJson;
  assert.equal(identical, false);
  assert.deepEqual(tensors.map((t) => [t.name, t.status, t.maxAbsDifference, t.sparsityA, t.sparsityB]), [
    ['same', 'same', 0, 0, 0], ['moved', 'differs', 0.5, 0.25, 0], ['nan', 'differs', 'NaN', 0, 0], ['zero', 'differs', 0, 0.5, 0.5], ['shape', 'shape-differs', null, 0.5, 0.5],
    ['gone', 'only-in-a', null, 1, null], ['inf', 'differs', 'Infinity', 0, 0], ['empty', 'same', 0, null, null], ['new', 'only-in-b', null, null, 0],
  ]);
});

test('a checkpoint is identical to itself in other shards', async () => {
  const source = path.join(fixtures, 'mixed'), single = path.join(folder, 'single');
  mkdirSync(single);
  const checkpoint = openCheckpoint(source), values = valuesOf(source);
  writeFileSync(path.join(single, 'config.json'), '{}');
  writeFixture(path.join(single, 'model.safetensors'), checkpoint.tensors.map((info) => f32(info.name, info.shape, values.get(info.name)!)));
  const same = (await winnow(['compare', source, source])).json as CompareJson;
  assert.ok(same.identical && same.tensors.length === checkpoint.tensors.length);
  const other = (await winnow(['compare', single, source])).json as CompareJson;
  assert.ok(other.tensors.every((t) => t.status === 'same' || t.status === 'dtype-differs'));
});
