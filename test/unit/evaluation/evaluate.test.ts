import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { evaluateModel, textBenchmark } from '../../../server/core/evaluation/evaluate';
import type { Evaluation, EvaluationRequest } from '../../../server/core/evaluation/contract';
import { runJob } from '../../../server/core/job';
import { openModel } from '../../../server/core/models/openModel';
import { golden, readJson, root, saying, shared, sharedIsThere, skipWithout } from './material';

const skip = skipWithout(sharedIsThere, '../shared');
const defaults: EvaluationRequest = { benchmark: 'sample', protocol: null, context: null, stride: null, limit: null, provider: 'cpu', threads: 2, dataFolder: null };
const run = (folder: string, request: Partial<EvaluationRequest>): Promise<Evaluation> => runJob(evaluateModel(openModel(folder), { ...defaults, ...request }));
const near = (actual: number, expected: number, relative: number, what: string): void => assert.ok(Math.abs(actual / expected - 1) <= relative, `${what}: ${actual}, expected ${expected}`);

interface Golden { model: string; protocol: string; context: number; stride: number; limit: number; tokens: number; windows: number; scoredTokens: number; meanLoss: number; value: number; asPublished: number | null; standardErrorIid?: number; firstLosses: number[] }

for (const expected of readJson<Golden[]>(path.join(golden, 'perplexity.json'))) {
  const ships = expected.model === 'tiny-gpt2';
  test(`${expected.model} by ${expected.protocol} at ${expected.context}/${expected.stride} is transformers' ${expected.value.toFixed(4)}`, { skip: ships ? false : skip }, async () => {
    const { protocol, context, stride, limit } = expected;
    const got = await run(ships ? path.join(root, 'media/tiny-gpt2') : path.join(shared, 'models', expected.model), { protocol, context, stride, limit });
    near(got.value, expected.value, 2e-5, 'value');
    near(got.meanLoss, expected.meanLoss, 2e-5, 'mean loss');
    assert.deepEqual([got.tokens, got.windows, got.scoredTokens], [expected.tokens, expected.windows, expected.scoredTokens]);
    expected.firstLosses.forEach((loss, i) => assert.ok(Math.abs(got.losses[i] - loss) < 1e-4, `loss ${i}: ${got.losses[i]}, expected ${loss}`));
    if (expected.asPublished === null) assert.equal(got.asPublished, null);
    else near(got.asPublished ?? NaN, expected.asPublished, 2e-5, 'as published');
    if (expected.standardErrorIid !== undefined) near(got.standardErrorIid ?? NaN, expected.standardErrorIid, 1e-4, 'error as llama.cpp prints it');
  });
}

interface Case { id: string; file: string; kind: string; expect: string; facts: Record<string, number | string> }
const cases = new Map((sharedIsThere ? readJson<{ cases: Case[] }>(path.join(shared, 'cases/manifest.json')).cases : []).map((one) => [one.id, one]));
function entry(id: string): { facts: Case['facts']; folder: string; text: string } {
  const found = cases.get(id);
  assert.ok(found, `${id} is not in the manifest`);
  const folder = path.join(shared, 'cases', found.file);
  return { facts: found.facts, folder, text: textBenchmark(path.join(folder, 'text.txt')) };
}

test('case eval-gpt2-exact: every protocol gives its own convention\'s value, at any stride', { skip }, async () => {
  const { facts, folder, text } = entry('eval-gpt2-exact');
  for (const stride of [1, 7, 16, 31]) {
    const got = await run(folder, { benchmark: text, protocol: 'hf-stride', context: 32, stride });
    near(got.value, facts.ppl_first_token_not_scored as number, 1e-4, `stride ${stride}`);
    assert.deepEqual([got.tokens, got.scoredTokens], [facts.n_tokens, facts.n_scored_first_not], `stride ${stride}`);
  }
  const disjoint = await run(folder, { benchmark: text, protocol: 'hf-stride', context: 32, stride: 32 });
  near(disjoint.value, facts.ppl_windows_of_32_first_of_each_dropped as number, 1e-4, 'stride 32');
  assert.equal(disjoint.scoredTokens, facts.n_scored_windows);
  assert.equal(disjoint.tokenizer.includes('no begin token'), true);
});

test('case eval-inf-ppl: the mean loss is finite, the perplexity infinite', { skip }, async () => {
  const { facts, folder, text } = entry('eval-inf-ppl');
  const got = await run(folder, { benchmark: text });
  near(got.meanLoss, facts.mean_nll as number, 1e-5, 'mean loss');
  assert.equal(got.value, Infinity);
});

test('case eval-nan-json: not a number is an error that names the first bad tensor', { skip }, async () => {
  const { folder, text } = entry('eval-nan-json');
  await assert.rejects(run(folder, { benchmark: text }), saying('not-finite', 'transformer.wte.weight'));
});

test('case eval-no-tokenizer: says what was looked for', { skip }, async () => {
  const { folder } = entry('eval-no-tokenizer');
  await assert.rejects(run(folder, {}), saying('no-tokenizer', 'tokenizer.json', 'vocab.json', 'merges.txt'));
});

test('case eval-token-out-of-range: names the token and both sizes before anything runs', { skip }, async () => {
  const { facts, folder, text } = entry('eval-token-out-of-range');
  await assert.rejects(run(folder, { benchmark: text }), saying('token-out-of-range', '257 (<tool>)', `${facts.embedding_rows} rows`, `${facts.tokenizer_size} entries`));
  const unused = await run(folder, { benchmark: textBenchmark(path.join(entry('eval-gpt2-exact').folder, 'text.txt')) });
  assert.deepEqual(unused.problems.map((problem) => problem.code), ['tokens-without-rows'], 'tokens that the text does not use are a remark');
});

test('case eval-odd-texts: each text is scored or refused as its entry says', { skip }, async () => {
  const { facts, folder } = entry('eval-odd-texts'), model = entry('eval-gpt2-exact').folder;
  const codes: Record<string, 'too-few-tokens' | 'text-not-utf8'> = { empty: 'too-few-tokens', 'one-char': 'too-few-tokens', utf16: 'text-not-utf8', latin1: 'text-not-utf8' };
  for (const [name, expected] of Object.entries(facts)) {
    const attempt = run(model, { benchmark: textBenchmark(path.join(folder, `${name}.txt`)) });
    if (String(expected).startsWith('error')) await assert.rejects(attempt, saying(codes[name], `${name}.txt`), name);
    else assert.ok((await attempt).scoredTokens > 0, name);
  }
  await assert.rejects(run(model, { benchmark: textBenchmark(path.join(folder, 'one-char.txt')) }), saying('too-few-tokens', '1 token'));
  const marked = await run(model, { benchmark: textBenchmark(path.join(folder, 'bom-crlf.txt')) });
  assert.deepEqual(marked.problems.map((problem) => problem.code), ['byte-order-mark']);
});
