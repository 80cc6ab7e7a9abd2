import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import Ajv from 'ajv';
import { evaluateAll } from '../../../server/core/evaluation/evaluate';
import type { EvaluationRequest } from '../../../server/core/evaluation/contract';
import { explain, readingOf } from '../../../server/core/evaluation/explain';
import { makeForecast } from '../../../server/core/evaluation/forecast';
import { prepareText } from '../../../server/core/evaluation/prepareText';
import { makeRunningNote } from '../../../server/core/evaluation/runningNote';
import { standardErrorIid } from '../../../server/core/evaluation/uncertainty';
import { runJob } from '../../../server/core/job';
import { openModel } from '../../../server/core/models/openModel';
import schemas from '../../../server/protocol/schemas.json';
import type { EvalJson, EvalSeveralJson } from '../../../server/protocol/verbs';
import { commonFlags, parseArguments } from '../../../server/rpc/arguments';
import { encodeJson } from '../../../server/rpc/encode';
import { evaluate } from '../../../server/rpc/verbs/eval';
import { root, saying, shared, sharedIsThere, skipWithout } from './material';

const folder = path.join(root, 'media/tiny-gpt2'), model = openModel(folder);
const request: EvaluationRequest = { benchmark: 'sample', protocol: null, context: null, stride: null, limit: 8, provider: 'cpu', threads: 2, dataFolder: null };
const context = { cwd: root, threads: 2, io: 'pread', force: false, verbose: false, dataFolder: sharedIsThere ? path.join(shared, 'data') : null, signal: new AbortController().signal } as const;
const run = (...words: string[]) => runJob(evaluate.run(parseArguments(words, [...evaluate.flags, ...commonFlags]), context));
const fits = (output: unknown): void => {
  const validate = new Ajv({ strict: false }).compile({ ...schemas, $ref: '#/definitions/EvalOutputJson' });
  assert.ok(validate(JSON.parse(encodeJson(output))), JSON.stringify(validate.errors));
};

test('a reading counts what stands before each scored token, and what is read for it', () => {
  const reading = (protocol: string) => readingOf(prepareText(model, { ...request, protocol, context: 64 }));
  const gptq = reading('gptq'), llama = reading('llama-cpp'), stride = reading('hf-stride');
  assert.deepEqual([gptq.meanBefore, gptq.leastBefore, gptq.readPerScored], [32, 1, 64 / 63], 'targets 1 to 63');
  assert.deepEqual([llama.meanBefore, llama.leastBefore, llama.readPerScored], [48, 33, 64 / 31], 'targets 33 to 63');
  // The first window scores 1 to 63, seven others 32 to 63.
  assert.deepEqual([stride.meanBefore, stride.leastBefore], [(63 * 32 + 7 * 32 * 47.5) / (63 + 7 * 32), 1]);
});

test('one model by several protocols gives each its own value, and says why they differ', async () => {
  const output = await run('media/tiny-gpt2', '--benchmark', 'sample', '--protocol', 'hf-stride,gptq', '--protocol', 'llama-cpp', '--limit', '8', '--provider', 'cpu') as EvalSeveralJson;
  fits(output);
  assert.deepEqual(output.runs.map(({ protocol }) => protocol), ['hf-stride', 'gptq', 'llama-cpp']);
  for (const each of output.runs) {
    const alone = await run('media/tiny-gpt2', '--benchmark', 'sample', '--protocol', each.protocol, '--limit', '8', '--provider', 'cpu') as EvalJson;
    fits(alone);
    assert.deepEqual([alone.value, alone.windows, alone.scoredTokens], [each.value, each.windows, each.scoredTokens], each.protocol);
  }
  const said = output.explanation.join('\n');
  for (const words of [/known when one is scored.*llama-cpp 192 \(129\).*gptq 128 \(1\)/, /Not the same tokens are scored.*gptq 2,040 in 8 windows/, /% apart/]) assert.match(said, words);
  assert.doesNotMatch(said, /cut into the same tokens|do not measure the same/, 'what does not differ is not said');
  const text = evaluate.text(output);
  for (const words of [/^protocol +value ± SE/m, /^gptq +\d/m, /^- Tokens that are known/m]) assert.match(text, words);
});

test('a protocol that the model does not have stops before anything runs', async () => {
  await assert.rejects(run('media/tiny-gpt2', '--benchmark', 'sample', '--protocol', 'gptq,prefix-lm'), saying('metric-makes-no-sense'));
});

test('rows that one protocol joins and another takes as they are are told', { skip: skipWithout(sharedIsThere, '../shared') }, async () => {
  const evaluated = await runJob(evaluateAll(model, ['gptq', 'llama-cpp'].map((protocol) => ({ ...request, benchmark: 'wikitext-2-raw', protocol, limit: 2, dataFolder: context.dataFolder })), null));
  assert.match(explain(evaluated).join('\n'), /cut into the same tokens: gptq [\d,]+, rows joined .*; llama-cpp [\d,]+, the file as it is/);
});

test('a comparison is printed with its reference, and its text names all of it', async () => {
  const output = await run('media/tiny-gpt2', '--against', 'media/tiny-gpt2', '--benchmark', 'sample', '--limit', '2', '--provider', 'cpu') as EvalJson;
  fits(output);
  assert.deepEqual([output.against?.klDivergence.mean, output.against?.sameTop1.value, output.against?.ratio.value, output.against?.value], [0, 1, 1, output.value]);
  for (const words of [/^ {2}against +.*tiny-gpt2: /m, /^ {2}KL +0 ± 0 .*nats a token/m, /^ {2}same top +100.0 %/m]) assert.match(evaluate.text(output), words);
});

test('time is told from the first two requests by what windows cost, memory before the run', async () => {
  const windows = Array.from({ length: 10 }, (_, i) => ({ ids: new Uint32Array(i === 9 ? 50 : 100), scoreFrom: i === 0 ? 1 : 50, scoreTo: i === 9 ? 50 : 100 }));
  const forecast = makeForecast(windows.slice(0, 9), { read: 2, scored: 1 });
  assert.equal(forecast.seconds, null);
  forecast.after(1, 3);
  // 200 + 99 for the first window, 200 + 50 for each other.
  assert.ok(Math.abs(forecast.seconds! - 3 * (299 + 8 * 250) / 299) < 1e-12);
  forecast.after(2, 4);
  assert.ok(Math.abs(forecast.seconds! - 11) < 1e-12, 'a second for each of the seven that are left');
  forecast.after(3, 100);
  assert.ok(Math.abs(forecast.seconds! - 11) < 1e-12, 'it is not corrected afterwards');
  const alone = makeForecast(windows.slice(0, 1), { read: 2, scored: 1 });
  alone.after(1, 3);
  assert.equal(alone.seconds, null, 'nothing is left to predict');

  const [{ evaluation }] = await runJob(evaluateAll(model, [{ ...request, limit: 40 }], null));
  assert.ok(evaluation.predicted!.seconds! > evaluation.seconds / 10 && evaluation.predicted!.seconds! < 10 * evaluation.seconds, `${evaluation.predicted!.seconds} s predicted, ${evaluation.seconds} s taken`);
  const weights = model.checkpoint.tensors.reduce((sum, { from, to }) => sum + to - from, 0);
  assert.ok(evaluation.peakMemoryBytes! > weights && evaluation.peakMemoryBytes! < 3 * evaluation.predicted!.memoryBytes!, `${evaluation.peakMemoryBytes} bytes held, ${evaluation.predicted!.memoryBytes} predicted`);
});

test('progress carries the value with its error, the speed, and the time that was predicted', () => {
  const losses = Float32Array.from({ length: 100 }, (_, i) => 3 + (i % 3)), note = makeRunningNote(prepareText(model, { ...request, protocol: 'gptq' }), losses, () => 0);
  const error = Number(standardErrorIid(losses.subarray(0, 90))!.toPrecision(2));
  assert.equal(note({ scored: 90, sum: 360, fed: 300, seconds: 2, predicted: 41 }), `perplexity ${Math.exp(4).toPrecision(5)} ± ${error}, 150 tokens/s, 41 s predicted`);
});
