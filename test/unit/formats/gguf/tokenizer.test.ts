import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { loadTokenizer, tokenizerOf } from '../../../../server/core/evaluation/tokenizer';
import { openCheckpoint } from '../../../../server/core/formats/openCheckpoint';
import { saying } from '../../evaluation/material';
import { scratch } from '../../pruning/helpers';
import { ggufFile } from './build';
import type { Value } from './build';

const root = path.join(__dirname, '../../../..'), shared = path.join(root, '../shared');
const present = existsSync(path.join(shared, 'files/gguf-vocab'));
if (!present) console.error('SKIPPED: the GGUF vocabularies of ../shared are not here');

interface Golden { readonly odd: string; readonly vocabularies: Readonly<Record<string, { readonly count: number; readonly sha256: string; readonly odd: readonly number[] }>> }
const golden = JSON.parse(readFileSync(path.join(root, 'test/golden/gguf/tokens.json'), 'utf8')) as Golden;

for (const [name, expected] of Object.entries(golden.vocabularies)) {
  test(`the ids of ${name} are those of transformers, on WikiText-2 and on an odd text`, { skip: !present }, () => {
    const tokenizer = tokenizerOf(openCheckpoint(path.join(shared, 'files/gguf-vocab', name)));
    assert.deepEqual([...tokenizer.encode(golden.odd)], expected.odd);
    const ids = tokenizer.encode(readFileSync(path.join(shared, 'data/wikitext-2/wiki.test.raw'), 'utf8').replace(/^ +/, ''));
    assert.equal(ids.length, expected.count);
    assert.equal(createHash('sha256').update(new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength)).digest('hex'), expected.sha256);
  });
}

test('a SentencePiece vocabulary begins texts as its metadata say, and one of GPT-2 does not', { skip: !present }, () => {
  const of = (name: string): ReturnType<typeof tokenizerOf> => tokenizerOf(openCheckpoint(path.join(shared, 'files/gguf-vocab', name)));
  assert.deepEqual(of('ggml-vocab-llama-spm.gguf').prefix, [1]);
  assert.deepEqual(of('ggml-vocab-gpt-2.gguf').prefix, []);
  // As llama.cpp and SentencePiece: a blank is put before the text, also before a blank.
  assert.deepEqual([...of('ggml-vocab-llama-spm.gguf').encode(' Hello')], [29871, 15043]);
});

/** T5's published vocabulary as llama.cpp's converter stores it: the sentinels, which SentencePiece does not hold, as `[PAD1]` to `[PAD128]`. */
function storedT5(name: string, table: (bytes: Uint8Array) => Uint8Array = (bytes) => bytes): string {
  const json = JSON.parse(readFileSync(path.join(shared, 'tokenizers/t5/tokenizer.json'), 'utf8')) as { model: { vocab: [string, number][] }; normalizer: { normalizers: { precompiled_charsmap?: string }[] } };
  const pieces = json.model.vocab.slice(0, 32_000), charsmap = table(Buffer.from(json.normalizer.normalizers[0].precompiled_charsmap!, 'base64'));
  const head = Buffer.alloc(12);
  head.writeUInt32LE(0, 0); // u8
  head.writeBigUInt64LE(BigInt(charsmap.length), 4);
  const pads = Array.from({ length: 128 }, (_, i) => `[PAD${i + 1}]`);
  const metadata: Record<string, Value> = {
    'general.architecture': ['text', 't5'], 'tokenizer.ggml.model': ['text', 't5'], 'tokenizer.ggml.pre': ['text', 'default'], 'tokenizer.ggml.tokens': ['texts', [...pieces.map(([piece]) => piece), ...pads]],
    'tokenizer.ggml.scores': ['floats', [...pieces.map(([, score]) => score), ...pads.map(() => -1000)]], 'tokenizer.ggml.token_type': ['ints', [3, 3, 2, ...pieces.slice(3).map(() => 1), ...pads.map(() => 5)]],
    'tokenizer.ggml.add_space_prefix': ['bool', true], 'tokenizer.ggml.remove_extra_whitespaces': ['bool', true], 'tokenizer.ggml.precompiled_charsmap': ['raw', 9, Buffer.concat([head, charsmap])],
    'tokenizer.ggml.eos_token_id': ['u32', 1], 'tokenizer.ggml.padding_token_id': ['u32', 0], 'tokenizer.ggml.unknown_token_id': ['u32', 2],
  };
  const file = path.join(folder, name);
  writeFileSync(file, ggufFile(metadata, [{ name: 'output_norm.weight', type: 'F32', shape: [1], bytes: new Uint8Array(4) }]));
  return file;
}
const folder = scratch('gguf-t5');

test('the ids of T5 stored as GGUF are those of its published tokenizer.json, sentinels and all', { skip: !present }, () => {
  const own = tokenizerOf(openCheckpoint(storedT5('t5.gguf'))), published = loadTokenizer(path.join(shared, 'tokenizers/t5'));
  const text = readFileSync(path.join(shared, 'data/wikitext-2/wiki.test.raw'), 'utf8').slice(0, 300_000);
  for (const one of [golden.odd, text, 'a <extra_id_0> b<extra_id_99></s> \uff21\ufb01 ', '']) assert.deepEqual([...own.encode(one)], [...published.encode(one)], one.slice(0, 40));
  assert.deepEqual([own.prefix, own.suffix, own.idOf?.('<extra_id_0>'), own.idOf?.('<extra_id_99>'), own.idOf?.('[PAD101]')], [[], [1], 32_099, 32_000, 32_100]);
});

test('a table of characters that is not the known one is refused', { skip: !present }, () => {
  const other = storedT5('other.gguf', (bytes) => bytes.map((byte, i) => (i === 5000 ? byte ^ 1 : byte)));
  assert.throws(() => tokenizerOf(openCheckpoint(other)), saying('tokenizer-broken', 'precompiled_charsmap', 'nmt_nfkc'));
});

interface Pre { readonly tokens: readonly string[]; readonly merges: readonly string[]; readonly texts: readonly string[]; readonly ids: Readonly<Record<string, readonly (readonly number[])[]>> }
const cuts = JSON.parse(readFileSync(path.join(root, 'test/golden/gguf/pre.json'), 'utf8')) as Pre;
function cutAs(pre: string, model = 'gpt2'): ReturnType<typeof tokenizerOf> {
  const file = path.join(folder, 'pre.gguf');
  writeFileSync(file, ggufFile({
    'general.architecture': ['text', 'llama'], 'tokenizer.ggml.model': ['text', model], 'tokenizer.ggml.pre': ['text', pre],
    'tokenizer.ggml.tokens': ['texts', cuts.tokens], 'tokenizer.ggml.token_type': ['ints', cuts.tokens.map(() => 1)], 'tokenizer.ggml.merges': ['texts', cuts.merges],
  }, [{ name: 'output_norm.weight', type: 'F32', shape: [1], bytes: new Uint8Array(4) }]));
  return tokenizerOf(openCheckpoint(file));
}

for (const [pre, ids] of Object.entries(cuts.ids)) {
  test(`a file that cuts as ${pre} has the ids of the Rust library under the published pre-tokeniser`, () => {
    const tokenizer = cutAs(pre);
    cuts.texts.forEach((text, i) => { assert.deepEqual([...tokenizer.encode(text)], ids[i], JSON.stringify(text)); });
    // Long texts are encoded in pieces.
    const long = `${cuts.texts[1]} word `.repeat(1200);
    const whole = cutAs(pre).encode(long), halves = [long.slice(0, long.lastIndexOf(' ', 40_000)), long.slice(long.lastIndexOf(' ', 40_000))].map((part) => [...cutAs(pre).encode(part)]);
    assert.equal(whole.length, halves[0].length + halves[1].length);
  });
}

test('a kind that is not known is refused by its name, and so is a tokenizer of another kind', () => {
  assert.throws(() => cutAs('deepseek-llm'), saying('tokenizer-broken', '"deepseek-llm"', 'gpt-2'));
  assert.throws(() => cutAs('default', 'bert'), saying('no-tokenizer', '"bert"', 'gpt2, llama and t5'));
});
