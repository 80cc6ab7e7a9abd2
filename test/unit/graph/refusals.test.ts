import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { CheckpointError } from '../../../server/core/errors';
import type { Checkpoint } from '../../../server/core/formats/contract';
import { buildGpt2Graph } from '../../../server/core/models/gpt2Graph';
import { buildLlamaGraph } from '../../../server/core/models/llamaGraph';
import { golden, someIds, withSession } from '../runtime/fixture';
import { smallCheckpoint, wholeWindow } from './smallCheckpoint';

type Config = Record<string, unknown>;
const cases = JSON.parse(readFileSync(path.join(golden, 'cases.json'), 'utf8')) as readonly { name: string; weights: string; config: Config }[];
const open = (name: string, changes: Config = {}): Checkpoint => {
  const { weights, config } = cases.find((one) => one.name === name)!;
  return smallCheckpoint(golden, `${weights}.safetensors`, { ...config, ...changes });
};
const options = { masking: 'none', maskable: [], context: 16 } as const;
const build = (checkpoint: Checkpoint) => (checkpoint.config?.model_type === 'gpt2' ? buildGpt2Graph : buildLlamaGraph)(checkpoint, options);

const hostile: readonly unknown[] = [-1, 0, 1.5, 1e30, NaN, 'eight', [2], {}, true];
const refused: readonly (readonly [string, string, Config])[] = [
  ...['n_embd', 'n_head', 'n_layer', 'n_positions', 'vocab_size', 'n_inner'].flatMap((key) => hostile.map((value) => ['gpt2', key, { [key]: value }] as const)),
  ['gpt2', 'n_head', { n_head: 5 }],
  ['gpt2', 'activation_function', { activation_function: 'xielu' }],
  ['gpt2', 'activation_function', { activation_function: 'toString' }],
  ['gpt2', 'add_cross_attention', { add_cross_attention: true }],
  ['gpt2', 'layer_norm_epsilon', { layer_norm_epsilon: 'small' }],
  ['gpt2', 'tie_word_embeddings', { tie_word_embeddings: 'yes' }],
  ...['hidden_size', 'num_attention_heads', 'num_key_value_heads', 'num_hidden_layers', 'intermediate_size', 'vocab_size', 'head_dim', 'max_position_embeddings'].flatMap((key) => hostile.map((value) => ['llama', key, { [key]: value }] as const)),
  ['llama', 'num_key_value_heads', { num_attention_heads: 4, num_key_value_heads: 3 }],
  ['llama', 'head_dim', { head_dim: 7 }],
  ['llama', 'model_type', { model_type: 'falcon' }],
  ['llama', 'hidden_act', { hidden_act: 'xielu' }],
  ['llama', 'rope_theta', { rope_theta: 0 }],
  ['llama', 'rope_scaling', { rope_scaling: 'linear' }],
  ['llama', 'rope_scaling.type', { rope_scaling: { type: 'longrope', factor: 2 } }],
  ['llama', 'rope_parameters.rope_type', { rope_parameters: { rope_type: 'longrope', factor: 2 } }],
  ['llama', 'rope_scaling.factor', { rope_scaling: { type: 'linear' } }],
  ['llama', 'rope_scaling.factor', { rope_scaling: { type: 'dynamic', factor: -2 } }],
  ['llama', 'rope_scaling.low_freq_factor', { rope_scaling: { rope_type: 'llama3', factor: 2, high_freq_factor: 4 } }],
  ['llama', 'rope_scaling.high_freq_factor', { rope_scaling: { rope_type: 'llama3', factor: 2, low_freq_factor: 4, high_freq_factor: 4 } }],
  ['llama', 'partial_rotary_factor', { partial_rotary_factor: 0.5, rope_scaling: { type: 'linear', factor: 2 } }],
  ['llama', 'rope_parameters.full_attention', { rope_parameters: { full_attention: { rope_type: 'default' } } }],
  ['mistral', 'sliding_window', { sliding_window: 0 }],
  ['qwen2', 'layer_types', { layer_types: ['full_attention'] }],
  ['qwen2', 'layer_types', { layer_types: ['full_attention', 'chunked_attention'] }],
  ['qwen2', 'layer_types', { layer_types: ['full_attention', 'sliding_attention'], use_sliding_window: false }],
];

describe('a configuration that cannot be evaluated is unsupported-config with its key and value', () => {
  for (const [name, key, changes] of refused) {
    test(`${name}: ${key} in ${JSON.stringify(changes)}`, () => {
      assert.throws(() => build(open(name, changes)), (error: unknown) => {
        assert.ok(error instanceof CheckpointError, String(error));
        assert.equal(error.code, 'unsupported-config');
        assert.equal(error.where.key, key);
        assert.match(error.detail, new RegExp(`^${key.replaceAll('.', '\\.')} is `));
        return true;
      });
    });
  }
});

describe('what the files lack is said by name', () => {
  test('no config.json', () => {
    assert.throws(() => build({ ...open('gpt2'), config: null }), { code: 'no-config' });
  });
  test('a tensor is missing', () => {
    const whole = open('llama');
    for (const name of ['lm_head.weight', 'model.layers.1.self_attn.k_proj.weight', 'model.layers.0.input_layernorm.weight', 'model.embed_tokens.weight']) {
      const tensors = whole.tensors.filter((tensor) => tensor.name !== name);
      assert.throws(() => build({ ...whole, tensors }), (error: unknown) => error instanceof CheckpointError && error.code === 'tensor-missing' && error.where.tensor === name);
    }
  });
  test('a tensor has another shape than the configuration says', () => {
    assert.throws(() => build(open('gpt2', { n_inner: 100 })), (error: unknown) => error instanceof CheckpointError && error.code === 'tensor-shape-differs' && error.where.tensor === 'transformer.h.0.mlp.c_fc.weight');
    assert.throws(() => build(open('llama', { vocab_size: 60 })), { code: 'tensor-shape-differs' });
  });
  test('a tensor is of a type that cannot be widened', () => {
    const whole = open('gpt2');
    const tensors = whole.tensors.map((tensor) => (tensor.name.endsWith('h.1.attn.c_attn.weight') ? { ...tensor, dtype: 'I32' as const } : tensor));
    assert.throws(() => build({ ...whole, tensors }), { code: 'unsupported-dtype' });
  });
  test('the window is longer than the learned positions', () => {
    assert.throws(() => buildGpt2Graph(open('gpt2'), { ...options, context: 49 }), { code: 'context-too-long' });
  });
});

describe('tied tables', () => {
  const scratch = mkdtempSync(path.join(tmpdir(), 'winnow-tied-'));
  after(() => rmSync(scratch, { recursive: true }));
  const config = cases.find((one) => one.name === 'gpt2 untied')!.config;
  const loss = async (checkpoint: Checkpoint): Promise<Float32Array> => withSession(build(checkpoint), async (session) => (await session.run(wholeWindow(someIds(16)), null)).losses);

  test('two tables that differ are not tied, whatever the configuration says; two that are equal are one', async () => {
    const untied = smallCheckpoint(golden, 'gpt2-untied.safetensors', config);
    const claimed = smallCheckpoint(golden, 'gpt2-untied.safetensors', { ...config, tie_word_embeddings: true });
    assert.deepEqual(await loss(claimed), await loss(untied));
    // The same file with the head made equal to the embedding, and with either of the two alone.
    const bytes = readFileSync(untied.files[0].path);
    const [table, head] = ['transformer.wte.weight', 'lm_head.weight'].map((name) => untied.tensors.find((tensor) => tensor.name === name)!);
    bytes.copy(bytes, head.from, table.from, table.to);
    writeFileSync(path.join(scratch, 'equal.safetensors'), bytes);
    const equal = smallCheckpoint(scratch, 'equal.safetensors', { ...config, tie_word_embeddings: true });
    const want = await loss(equal);
    assert.notDeepEqual(want, await loss(untied));
    for (const gone of [table, head]) {
      assert.deepEqual(await loss({ ...equal, tensors: equal.tensors.filter(({ name }) => name !== gone.name) }), want, `without ${gone.name}`);
    }
    const graph = build(equal);
    assert.equal(graph.weightBytes, build(untied).weightBytes - (head.to - head.from), 'counted once');
  });
});
