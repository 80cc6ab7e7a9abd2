import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { evaluateAll } from '../../../server/core/evaluation/evaluate';
import type { EvaluationRequest } from '../../../server/core/evaluation/contract';
import { divergenceOf, recordComparison } from '../../../server/core/evaluation/divergence';
import type { Divergence } from '../../../server/core/evaluation/divergence';
import { besideReference } from '../../../server/core/graph/besideReference';
import type { ModelGraph } from '../../../server/core/graph/contract';
import { runJob } from '../../../server/core/job';
import { buildGpt2Graph } from '../../../server/core/models/gpt2Graph';
import { buildLlamaGraph } from '../../../server/core/models/llamaGraph';
import { openModel } from '../../../server/core/models/openModel';
import { smallCheckpoint, wholeWindow } from '../graph/smallCheckpoint';
import { golden as graphGolden, withSession } from '../runtime/fixture';
import { skipWebGpu, withSoftwareGpu } from '../runtime/software';
import { golden, readJson, root, saying, shared, sharedIsThere, skipWithout } from './material';

interface Figures { scoredTokens: number; mean: number; errorIid: number; median: number; p99: number; max: number; sameTop1: number; sameTop1ErrorIid: number; changeMean: number; changeRms: number; referenceLoss: number; first: number[] }
interface Case { name: string; weights: string; config: Record<string, unknown>; ids: number[] }
const { pairs, sample } = readJson<{ pairs: (Figures & { model: string; reference: string })[]; sample: (Figures & { threshold: number })[] }>(path.join(golden, 'divergence.json'));
const cases = new Map(readJson<Case[]>(path.join(graphGolden, 'cases.json')).map((one) => [one.name, one]));

const scratch = mkdtempSync(path.join(tmpdir(), 'winnow-divergence-'));
after(() => rmSync(scratch, { recursive: true }));

/** 1e-4 of the value, and what F32 log-probabilities leave of a value that is nearly zero. */
const FLOOR = 2e-8;
const near = (got: number, want: number, what: string, floor = FLOOR): void => assert.ok(Math.abs(got - want) <= 1e-4 * Math.abs(want) + floor, `${what}: ${got}, expected ${want}`);

function assertFigures({ klDivergence: kl, sameTop1, probabilityChange }: Divergence, want: Figures): void {
  near(kl.mean, want.mean, 'mean');
  near(kl.standardErrorIid!, want.errorIid, 'error');
  near(kl.median, want.median, 'median', 1e-7);
  near(kl.p99, want.p99, '99 %', 1e-6);
  near(kl.max, want.max, 'largest', 1e-6);
  assert.equal(sameTop1.value, want.sameTop1);
  near(sameTop1.standardErrorIid!, want.sameTop1ErrorIid, 'error of the same top token');
  near(probabilityChange.mean, want.changeMean, 'mean change', 1e-6);
  near(probabilityChange.rms, want.changeRms, 'RMS change', 1e-6);
}

function graphOf(name: string): ModelGraph {
  const { weights, config, ids } = cases.get(name)!;
  return (config.model_type === 'gpt2' ? buildGpt2Graph : buildLlamaGraph)(smallCheckpoint(graphGolden, `${weights}.safetensors`, config), { masking: 'none', maskable: [], context: Math.max(48, ids.length), withLogProbabilities: true });
}

for (const want of pairs) {
  test(`${want.model} lies as far from ${want.reference} as transformers says in F64`, async () => {
    await withSession(besideReference(graphOf(want.model), graphOf(want.reference)), async (session) => {
      const run = recordComparison(session, want.scoredTokens);
      await run.session.run(wholeWindow(cases.get(want.reference)!.ids), null);
      want.first.forEach((value, i) => near(run.divergence[i], value, `token ${i}`, 1e-6));
      assertFigures(divergenceOf(run, { context: 1000 }), want);
      near(run.referenceLosses.reduce((a, b) => a + b) / want.scoredTokens, want.referenceLoss, 'loss of the reference');
    });
  });
}

test('a model does not lie apart from itself, shares its weights with itself, and has the losses of a graph of its own', async () => {
  const alone = graphOf('gpt2'), both = besideReference(alone, graphOf('gpt2'));
  assert.equal(both.weightBytes, alone.weightBytes, 'the same bytes are one initializer');
  assert.equal(besideReference(graphOf('gpt2 bf16'), alone).weightBytes, 1.5 * alone.weightBytes);
  const window = wholeWindow(cases.get('gpt2')!.ids), { losses } = await withSession(alone, (session) => session.run(window, null));
  const answer = await withSession(both, (session) => session.run(window, null));
  assert.deepEqual(answer.losses, losses);
  assert.deepEqual(answer.compared!.referenceLosses, losses);
  assert.ok(answer.compared!.divergence.every((value) => value === 0) && answer.compared!.sameTop.every((value) => value === 1));
});

test('on WebGPU, where the graph is the portable one, the figures are those of the CPU', { skip: skipWebGpu, timeout: 120_000 }, () => withSoftwareGpu(async () => {
  const want = pairs.find(({ model }) => model === 'llama rms_norm_eps')!, window = wholeWindow(cases.get(want.reference)!.ids);
  const { compared } = await withSession(besideReference(graphOf(want.model), graphOf(want.reference)), (session) => session.run(window, null), { provider: 'webgpu' });
  want.first.forEach((value, i) => assert.ok(Math.abs(compared!.divergence[i] - value) <= 1e-3 * value + 1e-6, `token ${i}: ${compared!.divergence[i]}, expected ${value}`));
  assert.equal(compared!.sameTop.reduce((a, b) => a + b) / want.scoredTokens, want.sameTop1);
}));

test('models of different vocabularies are refused', () => {
  const other = smallCheckpoint(path.join(root, 'media/tiny-gpt2'));
  assert.throws(() => besideReference(graphOf('gpt2'), buildGpt2Graph(other, { masking: 'none', maskable: [], context: 48, withLogProbabilities: true })), saying('models-not-comparable', '61', '2048'));
});

const request: EvaluationRequest = { benchmark: 'sample', protocol: 'hf-stride', context: 256, stride: 128, limit: 4, provider: 'cpu', threads: 2, dataFolder: null };
const sampleFolder = path.join(root, 'media/tiny-gpt2');

/** The sample with every |w| <= threshold in the matrices of its blocks gone. */
function prunedSample(threshold: number): string {
  const folder = mkdtempSync(path.join(scratch, 'pruned-')), { checkpoint } = openModel(sampleFolder);
  const bytes = readFileSync(checkpoint.files[0].path), view = new DataView(bytes.buffer, bytes.byteOffset);
  for (const { name, shape, from, to } of checkpoint.tensors) {
    if (!name.includes('h.') || shape.length !== 2) continue;
    for (let at = from; at < to; at += 4) if (Math.abs(view.getFloat32(at, true)) <= threshold) view.setFloat32(at, 0, true);
  }
  writeFileSync(path.join(folder, 'model.safetensors'), bytes);
  for (const file of ['config.json', 'tokenizer.json']) writeFileSync(path.join(folder, file), readFileSync(path.join(sampleFolder, file)));
  return folder;
}

for (const want of sample) {
  test(`the sample pruned at ${want.threshold} lies as far from the dense one as transformers says in F64`, async () => {
    const [{ evaluation, against }] = await runJob(evaluateAll(openModel(prunedSample(want.threshold)), [request], openModel(sampleFolder)));
    assert.equal(evaluation.scoredTokens, want.scoredTokens);
    assertFigures(against!, want);
    near(against!.meanLoss, want.referenceLoss, 'loss of the reference');
    near(against!.ratio.value, Math.exp(evaluation.meanLoss - want.referenceLoss), 'ratio');
    assert.deepEqual([against!.klDivergence.standardError, against!.ratio.low], [null, 0], 'four windows are too few for blocks');
  });
}

test('one that reads other tokens is refused, and so is a reference that cannot be evaluated that way', async () => {
  const folder = mkdtempSync(path.join(scratch, 'other-')), bytes = readFileSync(path.join(sampleFolder, 'tokenizer.json'), 'utf8');
  for (const file of ['config.json', 'model.safetensors']) writeFileSync(path.join(folder, file), readFileSync(path.join(sampleFolder, file)));
  const tokenizer = JSON.parse(bytes) as { model: { merges: unknown[] } };
  tokenizer.model.merges = tokenizer.model.merges.slice(0, 100);
  writeFileSync(path.join(folder, 'tokenizer.json'), JSON.stringify(tokenizer));
  await assert.rejects(runJob(evaluateAll(openModel(sampleFolder), [request], openModel(folder))), saying('models-not-comparable', 'tokenizers'));
});

test('encoder-decoders and masked models are compared too', { skip: skipWithout(sharedIsThere, '../shared') }, async () => {
  for (const [name, protocol] of [['tiny-t5', 'prefix-lm'], ['tiny-deberta-v2', 'mlm-pll']] as const) {
    const model = openModel(path.join(shared, 'models', name));
    const [{ evaluation, against }] = await runJob(evaluateAll(model, [{ ...request, protocol, context: 16, stride: null, limit: 2 }], model));
    assert.deepEqual([against!.klDivergence.max, against!.sameTop1.value, against!.value], [0, 1, evaluation.value], `${name} ${protocol}`);
  }
});
