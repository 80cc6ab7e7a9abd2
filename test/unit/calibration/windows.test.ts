import assert from 'node:assert/strict';
import { test } from 'node:test';
import { calibrationWindows } from '../../../server/core/calibration/windows';
import type { Tokenizer } from '../../../server/core/evaluation/contract';

/** One token a character; begin 1000, separator 1001. */
const tokenizer: Tokenizer = { size: 2000, name: 'characters', prefix: [1000], suffix: [1001], encode: (text) => Uint32Array.from(text, (one) => one.codePointAt(0)!), tokenOf: String };
const text = Array.from({ length: 300 }, (_, i) => String.fromCodePoint(200 + i)).join(''), wish = { samples: 4000, length: 8, seed: 3 };

test('windows of a decoder are pieces of the text, drawn by the seed, from its first token to its last', () => {
  const windows = calibrationWindows(text, 'decoder', tokenizer, {}, wish);
  assert.equal(windows.length, 4000);
  for (const { ids } of windows) assert.ok(ids.length === 8 && ids.every((id, i) => i === 0 || id === ids[i - 1] + 1 || ids[i - 1] === 1000));
  assert.ok(windows.some(({ ids }) => ids[0] === 1000) && windows.some(({ ids }) => ids.at(-1) === 499), 'both ends are drawn');
  assert.deepEqual(calibrationWindows(text, 'decoder', tokenizer, {}, wish), windows);
  assert.notDeepEqual(calibrationWindows(text, 'decoder', tokenizer, {}, { ...wish, seed: 4 }), windows);
});

test('a masked LM reads its text between begin and separator, nothing masked', () => {
  for (const { ids } of calibrationWindows(text, 'encoder', tokenizer, {}, wish)) {
    assert.deepEqual([ids.length, ids[0], ids[7]], [8, 1000, 1001]);
    for (let i = 2; i < 7; i++) assert.equal(ids[i], ids[i - 1] + 1);
  }
});

test('of an encoder-decoder the encoder reads the first half and the end, the decoder its start and the second', () => {
  for (const { ids, encoder } of calibrationWindows(text, 'encoder-decoder', tokenizer, { decoder_start_token_id: 0 }, wish)) {
    assert.deepEqual([encoder!.length, encoder![4], ids.length, ids[0]], [5, 1001, 5, 0]);
    assert.equal(ids[1], encoder![3] + 1, 'the halves meet');
  }
  assert.throws(() => calibrationWindows(text, 'encoder-decoder', tokenizer, {}, wish), { code: 'unsupported-config' });
});

test('a text that is as long as one window has that one; a shorter one is too short', () => {
  const whole = calibrationWindows('abcdefg', 'decoder', tokenizer, {}, { ...wish, samples: 3 });
  assert.deepEqual(whole.map(({ ids }) => [...ids]), Array(3).fill([1000, 97, 98, 99, 100, 101, 102, 103]));
  assert.throws(() => calibrationWindows('abcdef', 'decoder', tokenizer, {}, wish), { code: 'too-few-tokens' });
  assert.throws(() => calibrationWindows(text, 'encoder', tokenizer, {}, { ...wish, length: 3 }), { code: 'bad-window' });
});
