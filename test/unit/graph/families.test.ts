import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { CheckpointError } from '../../../server/core/errors';
import { embeddingRows } from '../../../server/core/evaluation/prepareText';
import type { GraphOptions } from '../../../server/core/graph/contract';
import { relativeRows } from '../../../server/core/models/debertaConfig';
import { buildDebertaGraph, debertaDecoder } from '../../../server/core/models/debertaGraph';
import { applyArchitecture } from '../../../server/core/models/openModel';
import { relativeBuckets } from '../../../server/core/models/t5Graph';
import type { WindowBatch } from '../../../server/core/runtime/contract';
import { withSession } from '../runtime/fixture';
import { familyCheckpoint as open, familyWindow as windowOf, golden as folder } from './familyCases';
import type { Family } from './familyCases';
import { f32Tensors } from './smallCheckpoint';

/** The same window twice, to see that windows of a batch do not see each other. */
const twice = (one: WindowBatch): WindowBatch => {
  const double = (values: BigInt64Array): BigInt64Array => BigInt64Array.of(...values, ...values);
  return { batch: 2, length: one.length, inputIds: double(one.inputIds), positions: double(one.positions), targets: double(one.targets), ...(one.encoder && { encoder: { ids: double(one.encoder.ids), length: one.encoder.length } }) };
};

test('names alone tell every family but those that only a configuration tells apart', () => {
  const told = new Map<string, Set<string | null>>();
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.json'))) {
    const family = path.basename(file, '.json'), { cases } = JSON.parse(readFileSync(path.join(folder, file), 'utf8')) as Family;
    told.set(family, new Set(cases.map((one) => applyArchitecture({ ...open(family, one), config: null }).architecture?.id ?? null)));
  }
  const only = (id: string | null): Set<string | null> => new Set([id]);
  for (const [family, ids] of told) {
    // The first Gemma has Llama's names, and so has a Qwen whose first block has no experts. How many experts a token visits is in no name.
    assert.deepEqual(ids, family === 'gemma' ? new Set(['llama', 'gemma']) : family === 'moe' ? new Set(['mixtral', null, 'llama']) : only(family), family);
  }
});

test('the token embedding is told from embeddings of types and from maps to another width', () => {
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.json'))) {
    const family = path.basename(file, '.json'), { cases } = JSON.parse(readFileSync(path.join(folder, file), 'utf8')) as Family;
    for (const one of cases) assert.equal(embeddingRows(applyArchitecture(open(family, one))), one.config.vocab_size, one.name);
  }
});

describe('a hostile configuration is refused by a code, whatever the key', () => {
  const hostile: readonly unknown[] = [-1, 0, 1.5, 1e30, NaN, 'eight', [2], {}, true, null];
  const refused = new Set(['unsupported-config', 'tensor-shape-differs', 'tensor-missing', 'context-too-long', 'head-missing']);
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.json'))) {
    const family = path.basename(file, '.json');
    test(family, () => {
      const { cases: [one] } = JSON.parse(readFileSync(path.join(folder, file), 'utf8')) as Family, whole = open(family, one), { architecture } = applyArchitecture(whole);
      for (const key of [...Object.keys(one.config), 'rope_parameters', 'rope_scaling', 'layer_types', 'pos_att_type', 'hidden_act', 'mlp_only_layers']) {
        if (key === 'model_type') continue;
        for (const value of hostile) {
          try {
            architecture!.buildGraph!({ ...whole, config: { ...one.config, [key]: value } }, { masking: 'none', maskable: [], context: 8 });
          } catch (error) {
            assert.ok(error instanceof CheckpointError && refused.has(error.code), `${key} ${JSON.stringify(value)}: ${String(error)}`);
          }
        }
      }
      for (const key of Object.keys(one.config).filter((name) => /^(vocab_size|hidden_size|n_embd|d_model|num_hidden_layers|n_layer|num_layers|num_attention_heads|n_head|num_heads|intermediate_size|d_ff|ffn_dim)$/.test(name))) {
        for (const value of hostile.slice(0, -1)) {
          assert.throws(() => architecture!.buildGraph!({ ...whole, config: { ...one.config, [key]: value } }, { masking: 'none', maskable: [], context: 8 }),
            (error: unknown) => error instanceof CheckpointError && error.code === 'unsupported-config' && error.where.key === key, `${key} ${JSON.stringify(value)}`);
        }
      }
    });
  }
});

test('relative positions fall into the buckets of transformers', () => {
  const found = JSON.parse(readFileSync(path.join(folder, 'buckets.txt'), 'utf8')) as {
    t5: { span: number; buckets: number; distance: number; bothWays: boolean; values: number[] }[]; deberta: { length: number; buckets: number; maxRelative: number; span: number; values: number[] }[];
  };
  for (const { span, buckets, distance, bothWays, values } of found.t5) assert.deepEqual(relativeBuckets(span, buckets, distance, bothWays), values);
  for (const { length, values, ...sizes } of found.deberta) assert.deepEqual(relativeRows(length, sizes), values);
});

test('DeBERTa: emd is what the checkpoint was made for, is not plain, and needs positions that are stored and not in the input', async () => {
  const one = (JSON.parse(readFileSync(path.join(folder, 'deberta-v2.json'), 'utf8')) as Family).cases.find(({ name }) => name.includes('enhanced'))!;
  const whole = open('deberta-v2', one), losses = async (decoder?: 'emd' | 'plain'): Promise<Float32Array> =>
    withSession(buildDebertaGraph(whole, { masking: 'none', maskable: [], context: 40, ...(decoder && { decoder }) }), async (session) => (await session.run(windowOf('encoder', one), null)).losses);
  const [made, emd, plain] = [await losses(), await losses('emd'), await losses('plain')];
  assert.deepEqual(made, emd);
  assert.ok(relative(emd, plain) > 0.01);
  assert.equal(debertaDecoder(whole), 'emd');
  assert.equal(debertaDecoder({ ...whole, config: { ...whole.config, position_biased_input: true } }), 'plain');
  for (const gone of ['deberta.embeddings.position_embeddings.weight', 'lm_predictions.lm_head.dense.weight']) {
    assert.equal(debertaDecoder({ ...whole, tensors: whole.tensors.filter((tensor) => tensor.name !== gone) }), 'plain', gone);
  }
});

describe('a masked-LM head that is not in the file is refused by the names looked for', () => {
  const looked: Readonly<Record<string, readonly string[]>> = {
    bert: ['cls.predictions.transform.dense.weight'], roberta: ['lm_head.dense.weight'], albert: ['predictions.dense.weight'],
    'deberta-v2': ['lm_predictions.lm_head.dense.weight', 'cls.predictions.transform.dense.weight'],
  };
  for (const [family, names] of Object.entries(looked)) {
    test(family, () => {
      const { cases } = JSON.parse(readFileSync(path.join(folder, `${family}.json`), 'utf8')) as Family, whole = open(family, cases[0]);
      const bare = { ...whole, tensors: whole.tensors.filter(({ name }) => !/^(cls|lm_head|predictions|lm_predictions)\./.test(name)) };
      assert.ok(bare.tensors.length < whole.tensors.length);
      assert.throws(() => applyArchitecture(bare).architecture!.buildGraph!(bare, { masking: 'none', maskable: [], context: 8 }),
        (error: unknown) => error instanceof CheckpointError && error.code === 'head-missing' && names.every((name) => error.detail.includes(name)));
    });
  }
});

const relative = (a: ArrayLike<number>, b: ArrayLike<number>): number => Array.from(a).reduce((worst, x, i) => Math.max(worst, Math.abs(x - b[i]) / Math.max(1, Math.abs(b[i]))), 0);
const mean = (losses: Float32Array): number => losses.reduce((sum, loss) => sum + loss, 0) / losses.length;

for (const file of readdirSync(folder).filter((name) => name.endsWith('.json'))) {
  const family = path.basename(file, '.json');
  const { kind, cases } = JSON.parse(readFileSync(path.join(folder, file), 'utf8')) as Family;
  const expected = f32Tensors(folder, `${family}.safetensors`);
  describe(`${family}: losses and logits are those of transformers`, { concurrency: 2 }, () => {
    for (const one of cases) for (const plainAttention of [false, true]) {
      test(`${one.name} (${plainAttention ? 'plain' : 'fused'} attention)`, async () => {
        const model = applyArchitecture(open(family, one));
        assert.equal(model.architecture?.kind, kind);
        assert.deepEqual(model.checkpoint.tensors.filter((tensor, i) => model.roles[i].role === 'other' && !tensor.name.includes('.conv.')).map((tensor) => tensor.name), [], 'every tensor has a role');
        const build = (options: Partial<GraphOptions>) => model.architecture!.buildGraph!(model.checkpoint, { masking: 'none', maskable: [], context: Math.max(one.ids.length, one.encoderIds?.length ?? 0), plainAttention, ...(one.decoder && { decoder: one.decoder }), ...options });
        const window = windowOf(kind, one), vocab = one.config.vocab_size as number;
        await withSession(build({ withLogits: true }), async (session) => {
          const got = await session.run(window, null);
          const logits = expected[`expected/${one.name}/logits`], losses = expected[`expected/${one.name}/losses`];
          assert.equal(got.logits!.length, one.ids.length * vocab);
          assert.ok(relative(got.logits!, logits) <= 1e-4, `logits differ by ${relative(got.logits!, logits)}`);
          assert.ok(relative(got.losses, losses) <= 2e-5, `losses differ by ${relative(got.losses, losses)}`);
          assert.ok(Math.abs(Math.exp(mean(got.losses) - mean(losses)) - 1) <= 2e-5, 'perplexity differs');
          const both = await session.run(twice(window), null);
          assert.ok(relative(both.losses, [...losses, ...losses]) <= 2e-5, 'a batch of two differs');
        });
      });
    }
  });

  test(`${family}: thresholds mask every prunable tensor as zeros in the file would, and below zero nothing`, async () => {
    const one = cases[0], model = applyArchitecture(open(family, one));
    const maskable = model.checkpoint.tensors.filter((_, i) => model.roles[i].prunable).map((tensor) => tensor.name);
    const graph = model.architecture!.buildGraph!(model.checkpoint, { masking: 'thresholds', maskable, context: Math.max(one.ids.length, one.encoderIds?.length ?? 0) });
    await withSession(graph, async (session) => {
      const window = windowOf(kind, one), losses = expected[`expected/${one.name}/losses`];
      assert.ok(relative((await session.run(window, null)).losses, losses) <= 2e-5);
      for (let at = 0; at < maskable.length; at++) {
        const masked = await session.run(window, Float32Array.from(maskable, (_, i) => (i === at ? 10 : -1)));
        const moved = relative(masked.losses, losses);
        assert.ok(moved > 5e-6, `${maskable[at]} is not in the graph: ${moved}`);
      }
    });
  });
}
