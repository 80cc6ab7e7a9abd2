import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import type { SpecialTokens, Tokenizer } from '../../../server/core/evaluation/contract';
import { findProtocol } from '../../../server/core/evaluation/protocols';
import { BATCH_TOKENS, toBatch, windowRuns } from '../../../server/core/evaluation/windowRuns';
import { golden, readJson, saying } from './material';

interface Seq2Seq { encoder: number[]; decoder: number[]; labels: number[] }
interface Masked { ids: number[]; at: number[]; labels: number[] }
interface Case { protocol: string; text: string; context: number; windows: (Seq2Seq | Masked)[] }

/** One id a letter, begin and end tokens of a masked LM. */
const letters = (prefix: readonly number[] = [], suffix: readonly number[] = []): Tokenizer =>
  ({ size: 100, name: 'letters', prefix, suffix, encode: (text) => Uint32Array.from(text, (c) => c.charCodeAt(0) - 97), tokenOf: String });
const special: SpecialTokens = { start: 50, end: 51, mask: 54, sentinels: Array.from({ length: 20 }, (_, i) => 60 + i), all: new Set([3, 52, 53, 54]), size: 100 };
const kindOf = (id: string) => (id.startsWith('mlm') ? 'encoder' : 'encoder-decoder');
const layOut = (id: string, text: string, context: number, tokens: SpecialTokens = special) => {
  const kind = kindOf(id);
  return findProtocol(id, kind).windows(kind === 'encoder' ? letters([52], [53]) : letters(), text, { context, stride: context }, tokens).windows;
};
const numbers = (values: BigInt64Array): number[] => Array.from(values, Number);

for (const { protocol, text, context, windows } of readJson<Case[]>(path.join(golden, 'family_protocols.json'))) {
  test(`${protocol} feeds and scores what upstream does: ${text.length} letters, context ${context}`, () => {
    const got: unknown[] = [], want: unknown[] = [];
    for (const { batch } of windowRuns(layOut(protocol, text, context))) {
      assert.ok(batch.batch === 1 || batch.batch * (batch.length + (batch.encoder?.length ?? 0)) <= BATCH_TOKENS);
      const row = (values: BigInt64Array, i: number): number[] => numbers(values.subarray((i * values.length) / batch.batch, ((i + 1) * values.length) / batch.batch));
      for (let i = 0; i < batch.batch; i++) {
        const positions = row(batch.positions, i), labels = row(batch.targets, i), ids = row(batch.inputIds, i);
        got.push(batch.encoder ? { encoder: row(batch.encoder.ids, i), decoder: ids.slice(0, labels.length), labels, positions } : { ids, at: positions, labels });
      }
    }
    for (const window of windows) want.push('encoder' in window ? { ...window, positions: window.labels.map((_, i) => i) } : window);
    assert.deepEqual(got, want);
  });
}

test('a run that masks apart feeds each window once a token, all tokens scored in text order', () => {
  const windows = layOut('mlm-pll', 'abcdefgh', 6), runs = [...windowRuns(windows)];
  assert.deepEqual(runs.flatMap(({ batch }) => numbers(batch.targets)), [0, 1, 2, 3, 4, 5, 6, 7]);
  assert.deepEqual(runs.map(({ done }) => done), [1, 2]);
  assert.deepEqual(windows.map(({ scoreFrom, scoreTo }) => scoreTo - scoreFrom), [4, 4]);
  assert.deepEqual(numbers(toBatch(windows.slice(0, 1)).inputIds), [52, 54, 1, 2, 3, 53], 'the first run stands for a window where one is timed');
});

test('what a protocol needs of the tokenizer and lacks is said', () => {
  assert.throws(() => layOut('mlm-pll', 'abc', 5, { ...special, mask: null }), saying('metric-makes-no-sense', 'mask token'));
  assert.throws(() => layOut('span-denoising', 'abcdef', 5, { ...special, sentinels: [] }), saying('metric-makes-no-sense', '<extra_id_0>'));
  assert.throws(() => layOut('span-denoising', 'abcdef'.repeat(100), 500, { ...special }), saying('bad-window', '25 spans', '20 sentinels'));
  assert.throws(() => layOut('prefix-lm', 'abcdef', 5, { ...special, start: null }), saying('unsupported-config', 'decoder_start_token_id'));
  assert.throws(() => layOut('mlm-15', 'abcdef', 2), saying('bad-window', 'no room'));
  for (const id of ['prefix-lm', 'span-denoising']) assert.throws(() => layOut(id, 'abc', 8), saying('too-few-tokens', '3 tokens'), id);
  for (const id of ['mlm-pll', 'mlm-15']) assert.throws(() => layOut(id, '', 8), saying('too-few-tokens', '0 tokens'), id);
  for (const id of ['prefix-lm', 'span-denoising', 'mlm-pll', 'mlm-15']) {
    assert.throws(() => findProtocol(id, kindOf(id)).windows(letters(), 'abcdefghijkl', { context: 8, stride: 4 }, special), saying('bad-window', 'disjoint'), id);
  }
});

test('a metric of another kind of model is refused with the reason', () => {
  assert.throws(() => findProtocol('hf-stride', 'encoder'), saying('metric-makes-no-sense', 'sees both sides', 'pseudo-perplexity'));
  assert.throws(() => findProtocol('gptq', 'encoder-decoder'), saying('metric-makes-no-sense', 'encoder', 'prefix-lm'));
  assert.throws(() => findProtocol('mlm-pll', 'decoder'), saying('metric-makes-no-sense', 'decoder'));
  assert.equal(findProtocol(null, 'encoder').id, 'mlm-pll');
  assert.equal(findProtocol(null, 'encoder-decoder').id, 'prefix-lm');
});
