import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { tokenizerOf } from '../../../../server/core/evaluation/tokenizer';
import { openCheckpoint } from '../../../../server/core/formats/openCheckpoint';

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
