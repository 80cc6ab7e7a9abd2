import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import type { Protocol, Tokenizer, Window } from '../../../server/core/evaluation/contract';
import { findProtocol, protocols } from '../../../server/core/evaluation/protocols';
import { golden, readJson, saying } from './material';

interface Case {
  protocol: string; text: string; context: number; stride: number; prefix: number[]; suffix: number[];
  error?: string; tokens: number; windows: number; scoredTokens: number; scored: [number, number][]; meanLoss: number; asPublished: number | null;
}

/** One id a letter. */
const letters = (prefix: readonly number[] = [], suffix: readonly number[] = []): Tokenizer => ({
  size: 100, name: 'letters', prefix, suffix, encode: (text) => Uint32Array.from(text, (c) => c.charCodeAt(0) - 97), tokenOf: String,
});

/** The same stand-in for a model as in make_golden.py. */
const lossAt = (ids: ArrayLike<number>, i: number): number => ((ids[i] * 7919 + i * 104729 + ids[0] * 31) % 1000) / 100;

const lossesOf = (windows: readonly Window[]): Float32Array =>
  Float32Array.from(windows.flatMap((window) => Array.from({ length: window.scoreTo - window.scoreFrom }, (_, i) => lossAt(window.ids, window.scoreFrom + i))));

for (const expected of readJson<Case[]>(path.join(golden, 'protocols.json'))) {
  const { protocol, text, context, stride, prefix, suffix } = expected;
  test(`${protocol} scores what upstream scores: ${text.length} letters, context ${context}, stride ${stride}${prefix.length ? ', begin token' : ''}${suffix.length ? ', end token' : ''}`, () => {
    const run = () => findProtocol(protocol, 'decoder').windows(letters(prefix, suffix), text, { context, stride });
    if (expected.error !== undefined) {
      assert.throws(run, saying('too-few-tokens'));
      return;
    }
    const { tokens, windows } = run();
    const losses = lossesOf(windows);
    assert.equal(tokens, expected.tokens);
    assert.equal(windows.length, expected.windows);
    assert.equal(losses.length, expected.scoredTokens);
    expected.scored.forEach(([, loss], i) => assert.equal(losses[i], Math.fround(loss), `scored token ${i}`));
    const published = findProtocol(protocol, 'decoder').asPublished?.(windows, losses);
    if (expected.asPublished !== null && published !== undefined) assert.ok(Math.abs(published / expected.asPublished - 1) < 1e-6, `${published} as published, upstream ${expected.asPublished}`);
  });
}

const causal = protocols.filter((protocol) => protocol.kind === 'decoder');

test('every protocol refuses windows that cannot be', () => {
  for (const protocol of protocols) {
    for (const [context, stride] of [[1, 1], [0, 1], [8.5, 8], [8, 0], [8, 9], [8, 2.5], [NaN, 1]]) {
      assert.throws(() => protocol.windows(letters(), 'abcdefghijklmnopqrstuvwxyz', { context, stride }), saying('bad-window'), `${protocol.id} ${context} ${stride}`);
    }
  }
  for (const id of ['gptq', 'llama-cpp']) assert.throws(() => findProtocol(id, 'decoder').windows(letters(), 'abcdefghijklmnop', { context: 4, stride: 2 }), saying('bad-window', 'disjoint'), id);
});

test('a text too short says how many tokens it has', () => {
  const cases: [string, string, string][] = [['hf-stride', '', '0 tokens'], ['hf-stride', 'a', '1 token'], ['gptq', 'abc', '3 tokens'], ['llama-cpp', 'abcdefghijklmno', '15 tokens']];
  for (const [id, text, words] of cases) assert.throws(() => findProtocol(id, 'decoder').windows(letters(), text, { context: 8, stride: 8 }), saying('too-few-tokens', words), id);
});

test('one letter after a begin token is enough for hf-stride', () => {
  const { windows } = findProtocol('hf-stride', 'decoder').windows(letters([99]), 'a', { context: 8, stride: 4 });
  assert.deepEqual(windows.map((window) => [[...window.ids], window.scoreFrom, window.scoreTo]), [[[99, 0], 1, 2]]);
});

test('every window of every causal protocol over running text lies within the context and scores only what it can predict', () => {
  const text = 'thequickbrownfoxjumpsoverthelazydog'.repeat(7);
  for (const protocol of causal.filter(({ reads }) => reads === undefined)) {
    for (const context of [3, 8, 17, 100]) {
      for (const prefix of [[], [99]]) {
        const { windows } = protocol.windows(letters(prefix), text, { context, stride: protocol.strideOf(context) });
        for (const window of windows) assert.ok(window.ids.length <= context && window.scoreFrom >= 1 && window.scoreFrom < window.scoreTo && window.scoreTo <= window.ids.length);
      }
    }
  }
});

test('hf-stride scores every token once, but the first, at any stride that overlaps', () => {
  const text = 'abcdefghij'.repeat(9);
  for (let context = 2; context < 20; context++) {
    for (let stride = 1; stride < context; stride++) {
      const { windows } = findProtocol('hf-stride', 'decoder').windows(letters(), text, { context, stride });
      const at = windows.flatMap((window) => Array.from({ length: window.scoreTo - window.scoreFrom }, (_, i) => window.ids.byteOffset / 4 + window.scoreFrom + i));
      assert.deepEqual(at, Array.from({ length: 89 }, (_, i) => i + 1), `context ${context}, stride ${stride}`);
    }
  }
});

test('llama-cpp puts the begin token in place of the first id of each chunk and leaves the text alone', () => {
  const { windows } = findProtocol('llama-cpp', 'decoder').windows(letters([99]), 'abcdefghijkl', { context: 4, stride: 4 });
  assert.deepEqual(windows.map((window) => [...window.ids]), [[99, 0, 1, 2], [99, 4, 5, 6], [99, 8, 9, 10]]);
});

test('defaults are the documented ones', () => {
  const defaults = (id: string, most: number) => findProtocol(id, 'decoder').defaults(most);
  assert.deepEqual(defaults('hf-stride', 1024), { context: 1024, stride: 512 });
  assert.deepEqual(defaults('gptq', 4096), { context: 2048, stride: 2048 });
  assert.deepEqual(defaults('gptq', 1024), { context: 1024, stride: 1024 });
  assert.deepEqual(defaults('llama-cpp', 1024), { context: 512, stride: 512 });
  assert.deepEqual(defaults('llama-cpp', 32), { context: 32, stride: 32 });
});

test('ids are unique, each kind has a default, and an unknown or unfit protocol is refused', () => {
  assert.equal(new Set(protocols.map((protocol: Protocol) => protocol.id)).size, protocols.length);
  assert.equal(findProtocol(null, 'decoder').id, 'hf-stride');
  assert.throws(() => findProtocol('hf-strid', 'decoder'), saying('unknown-protocol', 'hf-stride', 'llama-cpp'));
  assert.throws(() => findProtocol('gptq', 'encoder'), saying('metric-makes-no-sense', 'encoder'));
});
