import assert from 'node:assert/strict';
import { test } from 'node:test';
import { globMatcher } from '../../../server/core/pruning/glob';
import { belowF32, floorF32 } from '../../../server/core/pruning/graphThresholds';
import { parsePattern, patternSparsity } from '../../../server/core/pruning/pattern';
import { roundHalfEven } from '../../../server/core/pruning/rounding';
import { isSidecarName, isWeightName } from '../../../server/core/pruning/sidecars';
import { percentName } from '../../../server/core/pruning/target';

test('counts are rounded to the nearest integer, halves to the even one', () => {
  const table: [number, number][] = [[0, 0], [0.5, 0], [1.5, 2], [2.5, 2], [3.5, 4], [19.2, 19], [0.49999999999999994, 0], [2 ** 40 + 0.5, 2 ** 40], [2 ** 40 + 1.5, 2 ** 40 + 2]];
  for (const [x, rounded] of table) assert.equal(roundHalfEven(x), rounded, String(x));
});

test('a glob matches whole names; a star crosses dots', () => {
  const table: [string, string[], string[]][] = [
    ['*', ['', 'a', 'a.b.c'], []],
    ['*.weight', ['h.0.attn.weight', '.weight'], ['h.0.weights', 'weight']],
    ['h.?.mlp', ['h.0.mlp'], ['h.10.mlp', 'hx0.mlp']],
    ['h.[0-3].*', ['h.0.a', 'h.3.b'], ['h.4.a', 'h.-.a']],
    ['h.[!0-3].*', ['h.4.a'], ['h.0.a']],
    ['[]a]', [']', 'a'], ['b']],
    ['[a-]', ['a', '-'], ['b']],
    ['[$^.]', ['$', '^', '.'], ['a']],
    ['{q,k,v}_proj', ['q_proj', 'v_proj'], ['o_proj', 'q,k,v_proj']],
    ['{a,b{c,d}}x', ['ax', 'bcx', 'bdx'], ['bx', 'cx']],
    ['a+(b)|c-d', ['a+(b)|c-d'], ['aab']],
    ['\\*', ['*'], ['a']],
    ['模型.*', ['模型.weight'], ['型.weight']],
    ['?', ['😀'], ['ab']],
    ['a\nb', ['a\nb'], ['ab']],
    ['a,b', ['a,b'], ['a']],
  ];
  for (const [glob, yes, no] of table) {
    const matches = globMatcher(glob);
    for (const name of yes) assert.ok(matches(name), `${glob} should match ${JSON.stringify(name)}`);
    for (const name of no) assert.ok(!matches(name), `${glob} should not match ${JSON.stringify(name)}`);
  }
});

test('a glob left open is refused with the place', () => {
  for (const glob of ['[abc', '{a,b', 'a{b', '[z-a]', '{'.repeat(40)]) assert.throws(() => globMatcher(glob), { code: 'usage' }, glob);
});

test('N:M counts what is kept', () => {
  assert.deepEqual(parsePattern('2:4'), { keep: 2, of: 4 });
  assert.equal(patternSparsity({ keep: 1, of: 4 }), 0.75);
  assert.equal(parsePattern('unstructured'), 'unstructured');
  for (const text of ['4:4', '0:4', '5:4', '2:', ':4', '2/4', '', '2:99999', '-1:4', '2:4:8', 'two:four']) assert.throws(() => parsePattern(text), { code: 'unsupported-pattern' }, text);
});

test('F32 neighbours: the floor of a double, and the magnitude below', () => {
  assert.equal(floorF32(0.1), 0.09999999403953552);
  assert.equal(floorF32(0.5), 0.5);
  assert.equal(floorF32(1e-50), 0);
  assert.equal(floorF32(1e300), 3.4028234663852886e38);
  assert.equal(floorF32(Infinity), Infinity);
  assert.equal(belowF32(0), -1);
  assert.equal(belowF32(1.401298464324817e-45), 0);
  assert.equal(belowF32(1), 0.9999999403953552);
  assert.equal(belowF32(Infinity), 3.4028234663852886e38);
});

test('a fraction in a name is a short percentage', () => {
  const table: [number, string][] = [[0.5, '50'], [0.07, '7'], [0.995, '99.5'], [1, '100'], [0, '0'], [0.29, '29'], [0.333333, '33.3333']];
  for (const [fraction, name] of table) assert.equal(percentName(fraction), name);
});

test('small files of a model go along, weights and indexes never', () => {
  for (const name of ['config.json', 'generation_config.json', 'tokenizer.json', 'tokenizer_config.json', 'tokenizer.model', 'vocab.json', 'vocab.txt', 'merges.txt', 'spiece.model', 'special_tokens_map.json', 'added_tokens.json', 'chat_template.jinja', 'LICENSE']) assert.ok(isSidecarName(name), name);
  for (const name of ['model.safetensors', 'pytorch_model.bin', 'vocab.bin', 'tokenizer.pt', 'model.safetensors.index.json', 'notes.txt', 'train.py', '.gitattributes', 'README.md']) assert.ok(!isSidecarName(name), name);
  for (const name of ['MODEL.SAFETENSORS', 'a.gguf', 'x.index.json', 'w.onnx_data']) assert.ok(isWeightName(name), name);
});
