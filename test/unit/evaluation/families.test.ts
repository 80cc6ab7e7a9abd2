import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import type { Evaluation, EvaluationRequest } from '../../../server/core/evaluation/contract';
import { evaluateModel } from '../../../server/core/evaluation/evaluate';
import { runJob } from '../../../server/core/job';
import { openModel } from '../../../server/core/models/openModel';
import type { WindowBatch } from '../../../server/core/runtime/contract';
import { withSession } from '../runtime/fixture';
import { golden, readJson, saying, shared, sharedIsThere, skipWithout } from './material';

const skip = skipWithout(sharedIsThere, '../shared');
const defaults: EvaluationRequest = { benchmark: 'sample', protocol: null, context: null, stride: null, limit: null, provider: 'cpu', threads: 2, dataFolder: null };
const run = (folder: string, request: Partial<EvaluationRequest>): Promise<Evaluation> => runJob(evaluateModel(openModel(folder), { ...defaults, ...request }));
const near = (actual: number, expected: number, relative: number, what: string): void => assert.ok(Math.abs(actual / expected - 1) <= relative, `${what}: ${actual}, expected ${expected}`);

interface Golden { model: string; protocol: string; context: number; limit: number; tokens: number; scoredTokens: number; meanLoss: number; value: number; firstLosses: number[] }
for (const expected of readJson<Golden[]>(path.join(golden, 'family_perplexity.json'))) {
  test(`${expected.model} by ${expected.protocol} at ${expected.context} is transformers' ${expected.value.toFixed(4)}`, { skip }, async () => {
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
