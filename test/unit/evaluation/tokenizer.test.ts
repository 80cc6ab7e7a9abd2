import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { joinRows } from '../../../server/core/evaluation/text';
import { cutRule, cutText } from '../../../server/core/evaluation/textPieces';
import { loadTokenizer } from '../../../server/core/evaluation/tokenizer';
import { golden, readJson, root, saying, shared, sharedIsThere, skipWithout } from './material';

interface Ids { count: number; first: number[]; sha256: string }
const known = readJson<{ small: ({ name: string } & Ids)[]; shared: ({ folder: string; file: string; joined: boolean } & Ids)[]; sample: ({ folder: string } & Ids)[] }>(path.join(golden, 'tokenizers.json'));
const oddText = readFileSync(path.join(golden, 'odd_text.txt'), 'utf8');

const made: string[] = [];
after(() => made.forEach((folder) => rmSync(folder, { recursive: true })));
/** A model folder with these files: name -> a file to copy, or an object to write as JSON. */
function folderWith(files: Record<string, string | object>): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'winnow-tokenizer-'));
  made.push(folder);
  for (const [name, content] of Object.entries(files)) {
    if (typeof content === 'string') copyFileSync(content, path.join(folder, name));
    else writeFileSync(path.join(folder, name), JSON.stringify(content));
  }
  return folder;
}

function assertIds(ids: Uint32Array, expected: Ids, what: string): void {
  assert.equal(ids.length, expected.count, what);
  assert.deepEqual([...ids.slice(0, 8)], expected.first, what);
  assert.equal(createHash('sha256').update(Buffer.from(ids.buffer, ids.byteOffset, ids.byteLength)).digest('hex'), expected.sha256, what);
}

for (const expected of known.small) {
  test(`a ${expected.name} tokenizer gives the Rust library's ids of an odd text, however it is cut`, () => {
    const folder = folderWith({ 'tokenizer.json': path.join(golden, `${expected.name}.json`) });
    for (const pieceUnits of [32, 1000, 16_384]) assertIds(loadTokenizer(folder, pieceUnits).encode(oddText), expected, `pieces of ${pieceUnits}`);
  });
  test(`a long text for a ${expected.name} tokenizer is really cut`, () => {
    const rule = cutRule(readJson(path.join(golden, `${expected.name}.json`)));
    assert.ok(rule);
    const pieces = cutText(oddText, rule, 32);
    assert.ok(pieces.length > 100, `${pieces.length} pieces`);
    assert.equal(pieces.join(''), oddText);
    assert.ok(pieces.slice(1).every((piece) => piece.startsWith(' ')));
  });
}

for (const expected of known.sample) {
  test(`the sample text has the ids of transformers (${expected.count})`, () => {
    assertIds(loadTokenizer(path.join(root, expected.folder)).encode(readFileSync(path.join(root, 'dist/sample.txt'), 'utf8')), expected, expected.folder);
  });
}

for (const expected of known.shared) {
  test(`${expected.folder} gives the reference's ${expected.count} ids of ${expected.file}${expected.joined ? ', rows joined' : ''}`, { skip: skipWithout(sharedIsThere, '../shared') }, () => {
    const text = expected.file === 'odd_text.txt' ? oddText : readFileSync(path.join(shared, expected.file), 'utf8');
    assertIds(loadTokenizer(path.join(shared, expected.folder)).encode(expected.joined ? joinRows(text) : text), expected, expected.folder);
  });
}

test('vocab.json with merges.txt is the same tokenizer as the tokenizer.json they come with', { skip: skipWithout(sharedIsThere, '../shared') }, () => {
  const gpt2 = path.join(shared, 'tokenizers/gpt2');
  const two = folderWith({ 'vocab.json': path.join(gpt2, 'vocab.json'), 'merges.txt': path.join(gpt2, 'merges.txt'), 'tokenizer_config.json': { bos_token: '<|endoftext|>' } });
  const text = `${oddText}<|endoftext|>x`;
  assert.deepEqual(loadTokenizer(two).encode(text), loadTokenizer(gpt2).encode(text));
});

test('tokenizer.json says how a text is split, whatever class tokenizer_config.json declares', () => {
  const file = path.join(golden, 'smollm_style.json');
  const plain = loadTokenizer(folderWith({ 'tokenizer.json': file })).encode('In 1851, 12 whales');
  for (const tokenizer_class of ['GPT2Tokenizer', 'Qwen2Tokenizer', 'PreTrainedTokenizerFast']) {
    assert.deepEqual(loadTokenizer(folderWith({ 'tokenizer.json': file, 'tokenizer_config.json': { tokenizer_class }, 'config.json': { model_type: 'llama' } })).encode('In 1851, 12 whales'), plain, tokenizer_class);
  }
});

test('a Llama tokenizer begins only the text with its blank, and not before a blank, as in transformers 5', () => {
  const file = path.join(golden, 'sentencepiece_style.json');
  const load = (config: object): ReturnType<typeof loadTokenizer> => loadTokenizer(folderWith({ 'tokenizer.json': file, 'tokenizer_config.json': config, 'config.json': { model_type: 'llama' } }));
  const llama = load({ tokenizer_class: 'LlamaTokenizer' }), asIs = load({ tokenizer_class: 'PreTrainedTokenizerFast' });
  assert.deepEqual(llama.encode('the whale'), asIs.encode('the whale'));
  assert.deepEqual(llama.encode(' the whale'), asIs.encode('the whale'));
  assert.notDeepEqual(asIs.encode(' the whale'), asIs.encode('the whale'));
  assert.deepEqual([...load({ tokenizer_class: 'LlamaTokenizer', add_prefix_space: false }).encode(' the whale')], [...llama.encode('the whale')]);
});

test('begin and end tokens come from the post-processor, or from the flags that replace it', () => {
  const file = path.join(golden, 'llama3_style.json');
  const plain = readJson<Record<string, unknown>>(file);
  const template = { type: 'TemplateProcessing', single: [{ SpecialToken: { id: '<|end|>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }], pair: [], special_tokens: { '<|end|>': { id: '<|end|>', ids: [0], tokens: ['<|end|>'] } } };
  const names = { bos_token: '<|end|>', eos_token: { content: '<|end|>' } };
  const cases: [string, Record<string, unknown>, Record<string, unknown>, number[], number[]][] = [
    ['nothing', plain, {}, [], []],
    ['a template', { ...plain, post_processor: template }, names, [0], []],
    ['a template and add_bos_token false', { ...plain, post_processor: template }, { ...names, add_bos_token: false }, [], []],
    ['both flags', plain, { ...names, add_bos_token: true, add_eos_token: true }, [0], [0]],
    ['a flag without a token', plain, { add_bos_token: true }, [], []],
  ];
  for (const [title, json, config, prefix, suffix] of cases) {
    const tokenizer = loadTokenizer(folderWith({ 'tokenizer.json': json, 'tokenizer_config.json': config }));
    assert.deepEqual([tokenizer.prefix, tokenizer.suffix], [prefix, suffix], title);
  }
});

test('the begin token of the shared Llama is its prefix, GPT-2 has none', { skip: skipWithout(sharedIsThere, '../shared') }, () => {
  assert.deepEqual(loadTokenizer(path.join(shared, 'models/stories260k-llama')).prefix, [1]);
  assert.deepEqual(loadTokenizer(path.join(shared, 'models/tiny-gpt2')).prefix, []);
});

test('a named special token that the file does not list is one token, as in transformers', () => {
  const json = readJson<{ model: { vocab: Record<string, number> } }>(path.join(golden, 'llama3_style.json'));
  const size = Object.keys(json.model.vocab).length;
  const tokenizer = loadTokenizer(folderWith({ 'tokenizer.json': json, 'tokenizer_config.json': { pad_token: '<pad>' } }));
  assert.equal(tokenizer.size, size + 1);
  assert.deepEqual([...tokenizer.encode('<pad>')], [size]);
  assert.equal(tokenizer.tokenOf(size), '<pad>');
});

test('an unknown split expression or normaliser is never cut', () => {
  const json = readJson<Record<string, unknown>>(path.join(golden, 'llama3_style.json'));
  const split = (Regex: string, more: object = {}): object => ({ type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false, ...more });
  for (const [title, changed] of Object.entries({
    'an expression of its own': { pre_tokenizer: split('\\S+ \\S+') },
    'a look-behind': { pre_tokenizer: split("(?<=a) b|\\s+") },
    'a normaliser that strips': { normalizer: { type: 'Strip', strip_left: true, strip_right: true } },
    'a normaliser that replaces several characters': { normalizer: { type: 'Replace', pattern: { String: 'a b' }, content: 'c' } },
    'a prefix blank inside': { pre_tokenizer: { type: 'Whitespace' } },
  })) assert.equal(cutRule({ ...json, ...changed }), null, title);
});

test('without a pre-tokeniser no cut is made where an entry of the vocabulary would join', () => {
  const json = { normalizer: null, pre_tokenizer: null, model: { type: 'BPE', vocab: { '\u2581': 0, a: 1, b: 2, 'a\u2581': 3 }, merges: [['a', '\u2581']] } };
  const rule = cutRule(json);
  assert.ok(rule);
  assert.deepEqual(cutText('ab a b b a b', rule, 1), ['ab', ' a b', ' b', ' a b']);
});

test('a folder without a tokenizer says what was looked for', () => {
  assert.throws(() => loadTokenizer(folderWith({})), saying('no-tokenizer', 'tokenizer.json', 'vocab.json', 'merges.txt'));
  assert.throws(() => loadTokenizer(folderWith({ 'vocab.json': {} })), saying('no-tokenizer', 'vocab.json alone'));
});

test('a broken tokenizer is one clear error, whatever is broken', () => {
  const json = readJson<Record<string, unknown> & { model: Record<string, unknown> }>(path.join(golden, 'llama3_style.json'));
  const cases: Record<string, unknown> = {
    'not an object': [],
    'no model': {},
    'no vocabulary': { ...json, model: { type: 'BPE', merges: [] } },
    'no merges': { ...json, model: { ...json.model, merges: null } },
    'an id that is no number': { ...json, model: { ...json.model, vocab: { a: 'b' } } },
    'an id that would size an array of gigabytes': { ...json, model: { ...json.model, vocab: { a: 4e9 } } },
    'an unknown model': { ...json, model: { ...json.model, type: 'Magic' } },
    'an unknown pre-tokeniser': { ...json, pre_tokenizer: { type: 'Magic' } },
    'an expression that is none': { ...json, pre_tokenizer: { type: 'Split', pattern: { Regex: '(((' }, behavior: 'Isolated', invert: false } },
  };
  for (const [title, value] of Object.entries(cases)) {
    assert.throws(() => loadTokenizer(folderWith({ 'tokenizer.json': value as object })), saying('tokenizer-broken', 'tokenizer.json'), title);
  }
  const cut = folderWith({ 'tokenizer.json': {} });
  writeFileSync(path.join(cut, 'tokenizer.json'), '{"model":');
  assert.throws(() => loadTokenizer(cut), saying('tokenizer-broken', 'not JSON'));
});
