import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { makeNormaliser } from '../../../server/core/evaluation/sentencePiece/normalise';
import { readPieceModel } from '../../../server/core/evaluation/sentencePiece/pieceModel';
import { makeSegmenter } from '../../../server/core/evaluation/sentencePiece/segment';
import { loadTokenizer } from '../../../server/core/evaluation/tokenizer';
import { golden, readJson, shared, sharedIsThere, skipWithout } from './material';

const known = readJson<{
  texts: string[]; own: Record<string, number[][]>; shared: Record<string, number[][]>; vocabulary: string[];
  bert: { config: Record<string, unknown>; ids: number[][] }[]; wiki: { lines: number; sha256: Record<'t5' | 'xlm-roberta' | 'llama', string> };
}>(path.join(golden, 'sentencepiece.json'));
const fixtures = path.join(shared, 'tokenizers/sentencepiece');

const scratch = mkdtempSync(path.join(tmpdir(), 'winnow-pieces-'));
after(() => rmSync(scratch, { recursive: true }));
/** A model folder with these files: name -> a file to copy, or an object to write as JSON, or lines. */
function folderWith(files: Record<string, string | object | string[]>): string {
  const folder = mkdtempSync(path.join(scratch, 'f-'));
  for (const [name, content] of Object.entries(files)) {
    if (typeof content === 'string') copyFileSync(content, path.join(folder, name));
    else writeFileSync(path.join(folder, name), Array.isArray(content) ? `${content.join('\n')}\n` : JSON.stringify(content));
  }
  return folder;
}

function assertPieces(file: string, expected: readonly number[][]): void {
  const model = readPieceModel(file), normalise = makeNormaliser(model), segment = makeSegmenter(model);
  known.texts.forEach((text, i) => {
    // Long runs of one letter have many paths of one score: sentencepiece decides by the last bit of F32 sums, the Rust library and we by F64.
    if (!/([a-z])\1{9}/.test(text)) assert.deepEqual(segment(normalise(text, 'always')), expected[i], JSON.stringify(text));
  });
}

for (const [name, expected] of Object.entries(known.own)) {
  test(`${name} gives the ids of sentencepiece for odd texts`, () => assertPieces(path.join(golden, name), expected));
}
for (const [name, expected] of Object.entries(known.shared)) {
  test(`${name}, published, gives the ids of sentencepiece for odd texts`, { skip: skipWithout(sharedIsThere, '../shared') }, () => assertPieces(path.join(fixtures, name), expected));
}

for (const { config, ids } of known.bert) {
  test(`vocab.txt alone is BERT's tokenizer, as transformers makes it: ${JSON.stringify(config)}`, () => {
    const tokenizer = loadTokenizer(folderWith({ 'vocab.txt': known.vocabulary, 'config.json': { model_type: 'bert' }, 'tokenizer_config.json': config }));
    known.texts.forEach((text, i) => assert.deepEqual([...tokenizer.prefix, ...tokenizer.encode(text), ...tokenizer.suffix], ids[i], JSON.stringify(text)));
    assert.equal(tokenizer.tokenOf(tokenizer.mask!), '[MASK]');
  });
}

test('a vocab.txt without an unknown token is refused by its name', () => {
  assert.throws(() => loadTokenizer(folderWith({ 'vocab.txt': ['[PAD]', '[CLS]', '[SEP]', 'a'] })), { code: 'tokenizer-broken' });
});

const wikiDigest = (folder: string): string => {
  const tokenizer = loadTokenizer(folder), lines = readFileSync(path.join(shared, 'data/wikitext-2/wiki.test.raw'), 'utf8').split('\n').slice(0, known.wiki.lines);
  const ids = lines.map((line) => [...tokenizer.prefix, ...tokenizer.encode(line), ...tokenizer.suffix]);
  return createHash('sha256').update(JSON.stringify(ids)).digest('hex');
};
const wikiFolders: Record<keyof typeof known.wiki.sha256, () => string> = {
  t5: () => folderWith({ 'spiece.model': path.join(golden, 'unigram.model'), 'config.json': { model_type: 't5' } }),
  'xlm-roberta': () => folderWith({ 'sentencepiece.bpe.model': path.join(fixtures, 'test_sentencepiece.model'), 'config.json': { model_type: 'xlm-roberta' } }),
  llama: () => folderWith({ 'tokenizer.model': path.join(golden, 'bpe-bytes.model'), 'config.json': { model_type: 'llama' } }),
};
for (const [family, folder] of Object.entries(wikiFolders)) {
  test(`a ${family} folder with a SentencePiece model alone gives the ids of transformers for WikiText`, { skip: skipWithout(sharedIsThere, '../shared') }, () => {
    assert.equal(wikiDigest(folder()), known.wiki.sha256[family as keyof typeof wikiFolders]);
  });
}

test('the families put their special tokens where transformers puts them', () => {
  const file = path.join(golden, 'unigram.model'), pieces = known.own['unigram.model'], at = known.texts.indexOf('Hello world');
  const t5 = loadTokenizer(folderWith({ 'spiece.model': file, 'config.json': { model_type: 't5' } })), size = readPieceModel(file).pieces.length;
  assert.deepEqual([[...t5.prefix], [...t5.suffix], t5.size], [[], [1], size + 100]);
  assert.deepEqual([t5.idOf!('<extra_id_0>'), t5.idOf!('<extra_id_99>')], [size + 99, size]);
  assert.deepEqual([...t5.encode('Hello world<extra_id_0> Hello world')], [...pieces[at], size + 99, ...pieces[at]]);
  // fairseq moves every piece up by one, behind <s>, <pad>, </s>, <unk>, and puts the mask last.
  const xlm = loadTokenizer(folderWith({ 'sentencepiece.bpe.model': file, 'config.json': { model_type: 'xlm-roberta' } }));
  assert.deepEqual([[...xlm.prefix], [...xlm.suffix], xlm.mask, xlm.size], [[0], [2], size + 1, size + 2]);
  const llama = loadTokenizer(folderWith({ 'tokenizer.model': path.join(golden, 'bpe-bytes.model'), 'config.json': { model_type: 'llama' } }));
  assert.deepEqual([[...llama.prefix], [...llama.suffix]], [[1], []]);
  const flagged = loadTokenizer(folderWith({ 'tokenizer.model': path.join(golden, 'bpe-bytes.model'), 'config.json': { model_type: 'llama' }, 'tokenizer_config.json': { add_bos_token: false, add_eos_token: true, eos_token: '</s>' } }));
  assert.deepEqual([[...flagged.prefix], [...flagged.suffix]], [[], [2]]);
});

test('DeBERTa-v2 and ALBERT stand between [CLS] and [SEP]; ALBERT lowers case and takes accents away', { skip: skipWithout(sharedIsThere, '../shared') }, () => {
  const file = path.join(fixtures, 'spiece.model'), ids = known.shared['spiece.model'];
  const deberta = loadTokenizer(folderWith({ 'spm.model': file, 'config.json': { model_type: 'deberta-v2' } }));
  assert.deepEqual([[...deberta.prefix], [...deberta.suffix], deberta.mask], [[2], [3], 4]);
  assert.deepEqual([...deberta.encode('Hello world')], ids[known.texts.indexOf('Hello world')]);
  const albert = loadTokenizer(folderWith({ 'spiece.model': file, 'config.json': { model_type: 'albert' } }));
  assert.deepEqual([...albert.encode(' H\u00c9llo   world')], [...albert.encode('hello world')]);
  assert.notDeepEqual([...albert.encode('Hello world')], [...deberta.encode('Hello world')]);
});

test('added_tokens.json names tokens behind the pieces', () => {
  const size = readPieceModel(path.join(golden, 'unigram.model')).pieces.length;
  const tokenizer = loadTokenizer(folderWith({ 'spm.model': path.join(golden, 'unigram.model'), 'added_tokens.json': { '[MASK]': size + 7 }, 'config.json': { model_type: 'deberta-v2' } }));
  assert.equal(tokenizer.mask, size + 7);
  assert.ok(tokenizer.encode('a [MASK] b').includes(size + 7));
  assert.throws(() => loadTokenizer(folderWith({ 'spm.model': path.join(golden, 'unigram.model'), 'added_tokens.json': { x: -1 } })), { code: 'tokenizer-broken' });
});

test('a broken model file is refused, cut anywhere or with any byte changed', () => {
  const whole = readFileSync(path.join(golden, 'unigram.model')), folder = folderWith({ 'config.json': { model_type: 't5' } }), file = path.join(folder, 'spiece.model');
  for (let step = 0; step < 200; step++) {
    const bytes = Buffer.from(whole.subarray(0, step % 2 ? whole.length : Math.floor((whole.length * step) / 200)));
    if (step % 2) bytes[Math.floor((whole.length * step) / 200)] ^= 1 << (step % 8);
    writeFileSync(file, bytes);
    try {
      loadTokenizer(folder).encode('Hello e\u0301 \ufb01 world');
    } catch (error) {
      assert.equal((error as { code?: string }).code, 'tokenizer-broken', String(error));
    }
  }
});
