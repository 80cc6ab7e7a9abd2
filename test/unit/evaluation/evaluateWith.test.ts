import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { BATCH_TOKENS, evaluateWith, toBatch, tokensAtOnce } from '../../../server/core/evaluation/evaluateWith';
import { prepareText, weightDtypeOf } from '../../../server/core/evaluation/prepareText';
import type { EvaluationRequest, PreparedText } from '../../../server/core/evaluation/contract';
import { runJob } from '../../../server/core/job';
import type { Progress } from '../../../server/core/job';
import { openModel } from '../../../server/core/models/openModel';
import type { Session, WindowBatch } from '../../../server/core/runtime/contract';
import { root, saying } from './material';

const request: EvaluationRequest = { benchmark: 'sample', protocol: 'hf-stride', context: 256, stride: 128, limit: 9, provider: 'cpu', threads: 1, dataFolder: null };
const model = openModel(path.join(root, 'media/tiny-gpt2'));

/** A session whose loss is a function of target and position, and which remembers what it was asked. */
class FakeSession implements Session {
  readonly provider = 'cpu';
  readonly batches: WindowBatch[] = [];
  constructor(private readonly loss: (target: number, position: number) => number = (target, position) => (target % 97) / 10 + position / 1000) {}
  run(batch: WindowBatch) {
    this.batches.push(batch);
    return Promise.resolve({ losses: Float32Array.from(batch.targets, (target, i) => this.loss(Number(target), Number(batch.positions[i]))), ms: 1 });
  }
  close() { return Promise.resolve(); }
}

test('losses come in text order, one a scored token, whatever the batches', async () => {
  const prepared = prepareText(model, request), session = new FakeSession();
  const evaluation = await runJob(evaluateWith(session, prepared, null));
  const expected = prepared.windows.flatMap((window) => Array.from({ length: window.scoreTo - window.scoreFrom }, (_, i) => Math.fround((window.ids[window.scoreFrom + i] % 97) / 10 + (window.scoreFrom + i - 1) / 1000)));
  assert.deepEqual([...evaluation.losses], expected);
  assert.equal(evaluation.scoredTokens, 255 + 8 * 128);
  assert.ok(session.batches.length < prepared.windows.length, 'nothing was batched');
  for (const batch of session.batches) assert.ok(batch.batch * batch.length <= Math.max(BATCH_TOKENS, tokensAtOnce(prepared)));
  assert.ok(Math.abs(evaluation.meanLoss - expected.reduce((a, b) => a + b) / expected.length) < 1e-12);
});

test('a batch predicts each target from the position before it', () => {
  const window = { ids: Uint32Array.of(5, 6, 7, 8), scoreFrom: 2, scoreTo: 4 };
  assert.deepEqual(toBatch([window, window]), { inputIds: BigInt64Array.of(5n, 6n, 7n, 8n, 5n, 6n, 7n, 8n), batch: 2, length: 4, positions: BigInt64Array.of(1n, 2n, 1n, 2n), targets: BigInt64Array.of(7n, 8n, 7n, 8n) });
});

test('progress counts windows to the end and carries the perplexity so far', async () => {
  const seen: Progress[] = [];
  await runJob(evaluateWith(new FakeSession(), prepareText(model, request), null), (progress) => seen.push(progress));
  assert.deepEqual([seen.at(-1)?.done, seen.at(-1)?.total, seen.at(-1)?.unit], [9, 9, 'windows']);
  assert.match(seen[0].note ?? '', /^perplexity [\d.]+ ± [\d.]+, \d+ tokens\/s, [\d.e-]+ s predicted$/);
});

test('a perplexity that overflows is Infinity with its mean loss, a NaN loss is an error that says where', async () => {
  const prepared = prepareText(model, request);
  const ruined = await runJob(evaluateWith(new FakeSession(() => 2000), prepared, null));
  assert.deepEqual([ruined.value, ruined.meanLoss, ruined.standardErrorIid], [Infinity, 2000, 0]);
  await assert.rejects(runJob(evaluateWith(new FakeSession((_, position) => (position === 200 ? NaN : 1)), prepared, null)), saying('not-finite', 'scored token 200 of 1279'));
});

test('a cancel ends between batches', async () => {
  const abort = new AbortController(), session = new FakeSession();
  const job = evaluateWith(session, prepareText(model, request), null, abort.signal);
  await job.next();
  const before = session.batches.length;
  abort.abort();
  await assert.rejects(async () => job.next(), saying('cancelled'));
  assert.equal(session.batches.length, before);
});

test('a result carries its whole setup', async () => {
  const { losses: _losses, seconds: _seconds, tokensPerSecond: _speed, predicted, ...rest } = await runJob(evaluateWith(new FakeSession(() => 1), prepareText(model, request), null));
  assert.deepEqual(rest, {
    benchmark: 'sample', protocol: 'hf-stride', context: 256, stride: 128, metric: 'perplexity', provider: 'cpu', weightDtype: 'F32', computeDtype: 'F32', limit: 9,
    textSha256: '1bcf55fb8179ee1849e4141cd844ebb1e41eecffe894d1194959bc7a75894a3c', tokenizer: 'tokenizer.json BPE 2048, no begin token',
    value: Math.E, meanLoss: 1, asPublished: null, standardError: null, standardErrorIid: 0, tokens: 57332, scoredTokens: 1279, windows: 9, unknownWords: null, problems: [], peakMemoryBytes: null,
  });
  assert.ok(predicted!.seconds! > 0 && predicted!.memoryBytes === null);
});

test('defaults are the protocol\'s for this model, a stride goes with its context', () => {
  const setup = (more: Partial<EvaluationRequest>): PreparedText['setup'] => prepareText(model, { ...request, protocol: null, context: null, stride: null, ...more }).setup;
  const picked = ({ protocol, context, stride }: PreparedText['setup']): unknown[] => [protocol, context, stride];
  assert.deepEqual(picked(setup({})), ['hf-stride', 256, 128]);
  assert.deepEqual(picked(setup({ context: 100 })), ['hf-stride', 100, 50]);
  assert.deepEqual(picked(setup({ protocol: 'gptq' })), ['gptq', 256, 256]);
  assert.deepEqual(picked(setup({ protocol: 'llama-cpp', context: 64 })), ['llama-cpp', 64, 64]);
});

test('a context longer than the model, and windows that cannot be, are refused before anything runs', () => {
  assert.throws(() => prepareText(model, { ...request, context: 257 }), saying('context-too-long', '257', '256'));
  assert.throws(() => prepareText(model, { ...request, context: 1 }), saying('bad-window'));
  assert.throws(() => prepareText(model, { ...request, stride: 0 }), saying('bad-window'));
  assert.throws(() => prepareText(model, { ...request, stride: 257 }), saying('bad-window'));
});

test('a checkpoint without a config or of an unknown architecture is refused for evaluation, with the reason', () => {
  const bare = { ...model, checkpoint: { ...model.checkpoint, config: null } };
  assert.throws(() => prepareText(bare, request), saying('no-config'));
  assert.throws(() => prepareText({ ...bare, architecture: null }, request), saying('no-config'));
  assert.throws(() => prepareText({ ...model, architecture: null }, request), saying('unknown-architecture', 'gpt2'));
  assert.throws(() => prepareText({ ...model, architecture: { ...model.architecture!, buildGraph: null } }, request), saying('metric-makes-no-sense'));
  assert.throws(() => prepareText({ ...model, architecture: { ...model.architecture!, kind: 'encoder' } }, request), saying('metric-makes-no-sense'));
});

test('the weight dtype is that of the parameters, or mixed', () => {
  const half = (i: number) => model.checkpoint.tensors.map((tensor, k) => (k <= i ? { ...tensor, dtype: 'F16' as const } : tensor));
  assert.equal(weightDtypeOf(model), 'F32');
  assert.equal(weightDtypeOf({ ...model, checkpoint: { ...model.checkpoint, tensors: half(3) } }), 'mixed');
  assert.equal(weightDtypeOf({ ...model, checkpoint: { ...model.checkpoint, tensors: half(1000) } }), 'F16');
});
