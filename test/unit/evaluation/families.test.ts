import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import type { Evaluation, EvaluationRequest } from '../../../server/core/evaluation/contract';
import { evaluateModel } from '../../../server/core/evaluation/evaluate';
import { formats } from '../../../server/core/formats/registry';
import { runJob } from '../../../server/core/job';
import { openModel } from '../../../server/core/models/openModel';
import type { WindowBatch } from '../../../server/core/runtime/contract';
import { withSession } from '../runtime/fixture';
import { golden, readJson, saying, shared, sharedIsThere, skipWithout } from './material';

const skip = skipWithout(sharedIsThere, '../shared');
const skipBin = skip || skipWithout(formats.some(({ id }) => id === 'pytorch'), 'the reader of PyTorch checkpoints');
const defaults: EvaluationRequest = { benchmark: 'sample', protocol: null, context: null, stride: null, limit: null, provider: 'cpu', threads: 2, dataFolder: null };
const run = (folder: string, request: Partial<EvaluationRequest>): Promise<Evaluation> => runJob(evaluateModel(openModel(folder), { ...defaults, ...request }));
const near = (actual: number, expected: number, relative: number, what: string): void => assert.ok(Math.abs(actual / expected - 1) <= relative, `${what}: ${actual}, expected ${expected}`);

interface Golden { model: string; protocol: string; context: number; limit: number; tokens: number; scoredTokens: number; meanLoss: number; value: number; firstLosses: number[] }
for (const expected of readJson<Golden[]>(path.join(golden, 'family_perplexity.json'))) {
  test(`${expected.model} by ${expected.protocol} at ${expected.context} is transformers' ${expected.value.toFixed(4)}`, { skip: expected.model === 'tiny-deberta-v2' ? skipBin : skip }, async () => {
    const { protocol, context, limit } = expected;
    const got = await run(path.join(shared, 'models', expected.model), { protocol, context, limit });
    near(got.value, expected.value, 2e-5, 'value');
    assert.deepEqual([got.tokens, got.scoredTokens], [expected.tokens, expected.scoredTokens]);
    expected.firstLosses.forEach((loss, i) => assert.ok(Math.abs(got.losses[i] - loss) < 1e-4, `loss ${i}: ${got.losses[i]}, expected ${loss}`));
  });
}

interface Facts { text: string; token_ids_without_eos: number[]; ppl_target_without_eos: number; ppl_target_with_eos: number }
const factsOf = (id: string): Facts => readJson<{ cases: { id: string; facts: unknown }[] }>(path.join(shared, 'cases/manifest.json')).cases.find((one) => one.id === id)!.facts as Facts;

for (const [id, tolerance] of [['eval-t5-shift', 2e-5], ['eval-t5-fp16-overflow', 1e-2]] as const) {
  test(`case ${id}: the target is scored from the start token on, whatever the source`, { skip }, async () => {
    const facts = factsOf(id), model = openModel(path.join(shared, 'cases', id));
    const ints = (values: readonly number[]): BigInt64Array => BigInt64Array.from(values, BigInt);
    await withSession(model.architecture!.buildGraph!(model.checkpoint, { masking: 'none', maskable: [], context: 64 }), async (session) => {
      for (const [labels, expected] of [[facts.token_ids_without_eos, facts.ppl_target_without_eos], [[...facts.token_ids_without_eos, 1], facts.ppl_target_with_eos]] as const) {
        for (const source of [[1], [5, 9, 20, 1]]) {
          const batch: WindowBatch = { inputIds: ints([0, ...labels.slice(0, -1)]), batch: 1, length: labels.length, positions: ints(labels.map((_, i) => i)), targets: ints(labels), encoder: { ids: ints(source), length: source.length } };
          const { losses } = await session.run(batch, null);
          near(Math.exp(losses.reduce((sum, loss) => sum + loss, 0) / losses.length), expected, tolerance, 'perplexity');
        }
      }
    });
    // The whole path, its ids included: half of the text is read, half is scored.
    const got = await run(path.join(shared, 'cases', id), { benchmark: `text:${path.join(shared, 'cases', id, 'text.txt')}`, context: 40 });
    assert.deepEqual([got.protocol, got.tokens, got.scoredTokens, Number.isFinite(got.value), got.computeDtype], ['prefix-lm', 40, 20, true, 'F32']);
  });
}

test('causal protocols are refused for an encoder-decoder, with the reason', { skip }, async () => {
  await assert.rejects(run(path.join(shared, 'models/tiny-t5'), { protocol: 'hf-stride' }), saying('metric-makes-no-sense', 'prefix-lm'));
});

test('albert-mlm-legacy-bin, a trained ALBERT, has the losses of transformers', { skip: skipBin }, async () => {
  const model = openModel(path.join(shared, 'models/albert-mlm-legacy-bin')), want = readJson<number[]>(path.join(golden, 'family_albert.json'));
  const ids = BigInt64Array.from({ length: 100 }, (_, i) => BigInt((i * i * 31 + i * 7 + 3) % 591));
  await withSession(model.architecture!.buildGraph!(model.checkpoint, { masking: 'none', maskable: [], context: 100 }), async (session) => {
    const { losses } = await session.run({ inputIds: ids, batch: 1, length: 100, positions: BigInt64Array.from({ length: 100 }, (_, i) => BigInt(i)), targets: ids }, null);
    losses.forEach((loss, i) => assert.ok(Math.abs(loss - want[i]) <= 2e-5 * Math.max(1, want[i]), `loss ${i}: ${loss}, expected ${want[i]}`));
  });
});

test('case eval-deberta-head-names: the stored head is used, and two runs agree', { skip }, async () => {
  const folder = path.join(shared, 'cases/eval-deberta-head-names'), request = { benchmark: `text:${path.join(folder, 'text.txt')}` };
  const facts = factsOf('eval-deberta-head-names') as unknown as { token_ids: number[]; pppl_over_text_tokens: number };
  const got = await run(folder, request);
  near(got.value, facts.pppl_over_text_tokens, 2e-5, 'pseudo-perplexity over the text');
  assert.deepEqual([got.protocol, got.metric, got.scoredTokens, got.decoder], ['mlm-pll', 'pseudo-perplexity', facts.token_ids.length, 'plain']);
  assert.deepEqual((await run(folder, request)).losses, got.losses);
  await assert.rejects(run(folder, { ...request, protocol: 'hf-stride' }), saying('metric-makes-no-sense', 'no causal perplexity'));
});
