import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { CheckpointError } from '../../../server/core/errors';
import type { Architecture, Role, TensorRole } from '../../../server/core/models/contract';
import { roles } from '../../../server/core/models/contract';
import { roleByName } from '../../../server/core/models/fallback';
import { gpt2 } from '../../../server/core/models/gpt2';
import { gemma3 } from '../../../server/core/models/gemma3';
import { llama, mixtral } from '../../../server/core/models/llama';
import { architectures } from '../../../server/core/models/registry';
import { t5 } from '../../../server/core/models/t5';

type Row = readonly [name: string, shape: readonly number[], role: Role, group: string, orientation: TensorRole['orientation']];
const PRUNABLE: ReadonlySet<Role> = new Set(['attention.qkv', 'attention.query', 'attention.key', 'attention.value', 'attention.out', 'mlp.gate', 'mlp.up', 'mlp.down']);

function check(role: Architecture['role'], rows: readonly Row[]): void {
  for (const [name, shape, wanted, group, orientation] of rows) {
    const layer = /(?:^|\.)(?:h|layers?|block)\.(\d+)\./.exec(name);
    assert.deepEqual(role(name, shape), {
      role: wanted, layer: layer ? Number(layer[1]) : null, group, prunable: PRUNABLE.has(wanted), parameter: wanted !== 'buffer', orientation,
    }, name);
  }
}

const gpt2Rows: readonly Row[] = [
  ['wte.weight', [50257, 1600], 'embedding', 'wte', 'out-in'],
  ['wpe.weight', [1024, 1600], 'position', 'wpe', 'out-in'],
  ['h.0.ln_1.weight', [1600], 'norm', 'h.0', null],
  ['h.0.ln_1.bias', [1600], 'bias', 'h.0', null],
  ['h.0.attn.bias', [1, 1, 1024, 1024], 'buffer', 'h.0', null],
  ['h.0.attn.masked_bias', [], 'buffer', 'h.0', null],
  ['h.11.attn.c_attn.weight', [1600, 4800], 'attention.qkv', 'h.11', 'in-out'],
  ['h.11.attn.c_attn.bias', [4800], 'bias', 'h.11', null],
  ['h.11.attn.c_proj.weight', [1600, 1600], 'attention.out', 'h.11', 'in-out'],
  ['h.11.mlp.c_fc.weight', [1600, 6400], 'mlp.up', 'h.11', 'in-out'],
  ['h.11.mlp.c_proj.weight', [6400, 1600], 'mlp.down', 'h.11', 'in-out'],
  ['h.11.mlp.c_proj.bias', [1600], 'bias', 'h.11', null],
  ['ln_f.weight', [1600], 'norm', 'ln_f', null],
  ['ln_f.bias', [1600], 'bias', 'ln_f', null],
];

const llamaRows: readonly Row[] = [
  ['embed_tokens.weight', [512, 64], 'embedding', 'embed_tokens', 'out-in'],
  ['layers.3.self_attn.q_proj.weight', [64, 64], 'attention.query', 'layers.3', 'out-in'],
  ['layers.3.self_attn.k_proj.weight', [32, 64], 'attention.key', 'layers.3', 'out-in'],
  ['layers.3.self_attn.v_proj.weight', [32, 64], 'attention.value', 'layers.3', 'out-in'],
  ['layers.3.self_attn.o_proj.weight', [64, 64], 'attention.out', 'layers.3', 'out-in'],
  ['layers.3.self_attn.q_proj.bias', [64], 'bias', 'layers.3', null],
  ['layers.3.self_attn.q_norm.weight', [8], 'norm', 'layers.3', null],
  ['layers.3.self_attn.k_norm.weight', [8], 'norm', 'layers.3', null],
  ['layers.3.self_attn.rotary_emb.inv_freq', [4], 'buffer', 'layers.3', null],
  ['layers.3.mlp.gate_proj.weight', [172, 64], 'mlp.gate', 'layers.3', 'out-in'],
  ['layers.3.mlp.up_proj.weight', [172, 64], 'mlp.up', 'layers.3', 'out-in'],
  ['layers.3.mlp.down_proj.weight', [64, 172], 'mlp.down', 'layers.3', 'out-in'],
  ['layers.3.input_layernorm.weight', [64], 'norm', 'layers.3', null],
  ['layers.3.post_attention_layernorm.weight', [64], 'norm', 'layers.3', null],
  ['norm.weight', [64], 'norm', 'norm', null],
  ['rotary_emb.inv_freq', [4], 'buffer', 'rotary_emb', null],
];

describe('roles', () => {
  test('GPT-2, with and without its prefix', () => {
    check(gpt2.role, gpt2Rows);
    check(gpt2.role, gpt2Rows.map(([name, ...rest]) => [`transformer.${name}`, ...rest]));
    check(gpt2.role, [['lm_head.weight', [50257, 1600], 'head', 'lm_head', 'out-in']]);
  });

  test('Llama and its kin, with and without their prefix', () => {
    check(llama.role, llamaRows);
    check(llama.role, llamaRows.map(([name, ...rest]) => [`model.${name}`, ...rest]));
    check(llama.role, [['lm_head.weight', [512, 64], 'head', 'lm_head', 'out-in']]);
    assert.deepEqual([...llama.modelTypes].sort(), ['llama', 'mistral', 'qwen2', 'qwen3']);
  });

  test('T5: two rows of blocks, and cross attention in the decoder\'s', () => {
    const rows: readonly (readonly [string, readonly number[], Role, 'encoder' | 'decoder' | undefined, number | null, string])[] = [
      ['shared.weight', [99, 8], 'embedding', undefined, null, 'shared'],
      ['lm_head.weight', [99, 8], 'head', undefined, null, 'lm_head'],
      ['encoder.block.0.layer.0.SelfAttention.q.weight', [8, 8], 'attention.query', 'encoder', 0, 'encoder.block.0'],
      ['encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight', [32, 2], 'position', 'encoder', 0, 'encoder.block.0'],
      ['encoder.block.11.layer.1.DenseReluDense.wi.weight', [16, 8], 'mlp.up', 'encoder', 11, 'encoder.block.11'],
      ['encoder.block.11.layer.1.layer_norm.weight', [8], 'norm', 'encoder', 11, 'encoder.block.11'],
      ['encoder.final_layer_norm.weight', [8], 'norm', 'encoder', null, 'encoder.final_layer_norm'],
      ['decoder.block.0.layer.1.EncDecAttention.o.weight', [8, 8], 'attention.out', 'decoder', 0, 'decoder.block.0'],
      ['decoder.block.0.layer.2.DenseReluDense.wi_0.weight', [16, 8], 'mlp.gate', 'decoder', 0, 'decoder.block.0'],
      ['decoder.block.0.layer.2.DenseReluDense.wo.weight', [8, 16], 'mlp.down', 'decoder', 0, 'decoder.block.0'],
    ];
    for (const [name, shape, role, stack, layer, group] of rows) {
      const found = t5.role(name, shape);
      assert.deepEqual([found.role, found.stack, found.layer, found.group, found.prunable], [role, stack, layer, group, PRUNABLE.has(role)], name);
    }
  });

  test('experts and routers have roles of their own; a router is not prunable', () => {
    const rows: readonly (readonly [string, Role, boolean])[] = [
      ['model.layers.2.block_sparse_moe.experts.7.w1.weight', 'expert.gate', true], ['model.layers.2.block_sparse_moe.experts.7.w2.weight', 'expert.down', true],
      ['model.layers.2.block_sparse_moe.experts.7.w3.weight', 'expert.up', true], ['model.layers.2.block_sparse_moe.gate.weight', 'router', false],
      ['model.layers.2.mlp.experts.63.gate_proj.weight', 'expert.gate', true], ['model.layers.2.mlp.shared_expert.down_proj.weight', 'expert.down', true],
      ['model.layers.2.mlp.gate.weight', 'router', false], ['model.layers.2.mlp.shared_expert_gate.weight', 'router', false], ['model.layers.2.mlp.up_proj.weight', 'mlp.up', true],
    ];
    for (const [name, role, prunable] of rows) assert.deepEqual([mixtral.role(name, [8, 8]).role, mixtral.role(name, [8, 8]).prunable, mixtral.role(name, [8, 8]).layer], [role, prunable, 2], name);
  });

  test('what sees in a model with vision has a role of its own and is not prunable; its text part has the roles of text', () => {
    const rows: readonly (readonly [string, Role, number | null, boolean])[] = [
      ['language_model.model.layers.3.mlp.up_proj.weight', 'mlp.up', 3, true], ['model.language_model.layers.3.self_attn.q_proj.weight', 'attention.query', 3, true],
      ['language_model.model.embed_tokens.weight', 'embedding', null, false], ['language_model.lm_head.weight', 'head', null, false], ['lm_head.weight', 'head', null, false],
      ['vision_tower.vision_model.encoder.layers.3.self_attn.q_proj.weight', 'vision', null, false], ['model.multi_modal_projector.mm_input_projection_weight', 'vision', null, false],
    ];
    for (const [name, role, layer, prunable] of rows) { const found = gemma3.role(name, [8, 8]); assert.deepEqual([found.role, found.layer, found.prunable], [role, layer, prunable], name); }
  });

  test('families that are not known are read by their names', () => {
    const named: readonly (readonly [string, readonly number[], Role])[] = [
      ['encoder.block.0.layer.0.SelfAttention.q.weight', [8, 8], 'attention.query'],
      ['decoder.block.7.layer.1.EncDecAttention.o.weight', [8, 8], 'attention.out'],
      ['encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight', [32, 4], 'position'],
      ['decoder.block.0.layer.2.DenseReluDense.wi_0.weight', [8, 8], 'mlp.gate'],
      ['decoder.block.0.layer.2.DenseReluDense.wi_1.weight', [8, 8], 'mlp.up'],
      ['decoder.block.0.layer.2.DenseReluDense.wo.weight', [8, 8], 'mlp.down'],
      ['decoder.block.0.layer.2.layer_norm.weight', [8], 'norm'],
      ['shared.weight', [99, 8], 'embedding'],
      ['deberta.encoder.layer.3.attention.self.query_proj.weight', [8, 8], 'attention.query'],
      ['deberta.encoder.layer.3.attention.output.dense.weight', [8, 8], 'attention.out'],
      ['deberta.encoder.layer.3.attention.output.LayerNorm.weight', [8], 'norm'],
      ['deberta.encoder.layer.3.intermediate.dense.weight', [8, 8], 'mlp.up'],
      ['deberta.encoder.layer.3.output.dense.weight', [8, 8], 'mlp.down'],
      ['deberta.encoder.layer.3.output.dense.bias', [8], 'bias'],
      ['deberta.encoder.rel_embeddings.weight', [8, 8], 'position'],
      ['deberta.encoder.conv.conv.weight', [8, 8, 3], 'other'],
      ['deberta.embeddings.position_embeddings.weight', [8, 8], 'position'],
      ['deberta.embeddings.position_ids', [1, 8], 'buffer'],
      ['lm_predictions.lm_head.dense.weight', [8, 8], 'head'],
      ['cls.predictions.transform.dense.weight', [8, 8], 'head'],
      ['bert.pooler.dense.weight', [8, 8], 'head'],
      ['albert.encoder.albert_layer_groups.0.albert_layers.0.ffn.weight', [8, 8], 'mlp.up'],
      ['gpt_neox.layers.1.attention.query_key_value.weight', [24, 8], 'attention.qkv'],
      ['gpt_neox.layers.1.mlp.dense_4h_to_h.weight', [8, 32], 'mlp.down'],
      ['model.layers.1.block_sparse_moe.gate.weight', [8, 8], 'other'],
      ['model.layers.1.mlp.gate.weight', [8, 8], 'other'],
    ];
    for (const [name, shape, wanted] of named) {
      const found = roleByName(name, shape);
      assert.deepEqual([found.role, found.prunable, found.parameter], [wanted, PRUNABLE.has(wanted), wanted !== 'buffer'], name);
    }
    assert.deepEqual(['model.encoder.layers.0.fc1.weight', 'model.decoder.layers.0.fc1.weight', 'bert.encoder.layer.0.output.dense.weight', 'model.layers.0.mlp.up_proj.weight'].map((name) => roleByName(name, [8, 8]).stack), ['encoder', 'decoder', undefined, undefined]);
    // A matrix that no pattern knows is prunable still: its name speaks of nothing that forbids it.
    assert.deepEqual(roleByName('thing.7.weight', [4, 4]), { role: 'other', layer: null, group: 'thing.7', prunable: true, parameter: true, orientation: 'out-in' });
    assert.equal(roleByName('thing.7.weight', [4]).prunable, false);
  });

  test('any name at all gets a role of the list', () => {
    const word = fc.constantFrom('attn', 'attention', 'layers', '3', 'weight', 'bias', 'norm', 'q', '', 'dense', 'output', '__proto__');
    fc.assert(fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.array(word, { maxLength: 9 }).map((words) => words.join('.'))), fc.array(fc.nat(9), { maxLength: 4 }), (name, shape) => {
      for (const role of [...architectures.map((one) => one.role), roleByName]) {
        const found = role(name, shape);
        assert.ok(roles.includes(found.role));
        assert.ok(!found.prunable || (found.parameter && found.orientation !== null && shape.length >= 2));
      }
    }));
    // Patterns that took quadratic time in a name of megabytes would not come back from this.
    for (const part of ['attention.', 'layers.', 'h.0.', 'a_', '.']) {
      for (const role of [...architectures.map((one) => one.role), roleByName]) assert.ok(roles.includes(role(part.repeat(1_000_000), [2, 2]).role));
    }
  });
});

describe('families', () => {
  test('names alone tell a family, and only a whole block does', () => {
    const all = (rows: readonly Row[], prefix: string): Set<string> => new Set(rows.map(([name]) => prefix + name.replace(/\.(3|11)\./, '.0.')));
    for (const prefix of ['', 'transformer.']) assert.equal(gpt2.matchesNames(all(gpt2Rows, prefix)), true);
    for (const prefix of ['', 'model.']) assert.equal(llama.matchesNames(all(llamaRows, prefix)), true);
    assert.equal(gpt2.matchesNames(all(llamaRows, 'model.')), false);
    assert.equal(llama.matchesNames(all(gpt2Rows, '')), false);
    assert.equal(llama.matchesNames(new Set(['model.layers.0.mlp.up_proj.weight'])), false);
    assert.equal(llama.matchesNames(new Set([...all(llamaRows, 'model.'), 'model.layers.0.pre_feedforward_layernorm.weight'])), false);
  });

  test('ids and model types belong to one family each', () => {
    for (const pick of [(one: Architecture) => [one.id], (one: Architecture) => one.modelTypes]) {
      const every = architectures.flatMap(pick);
      assert.equal(new Set(every).size, every.length);
    }
  });

  test('ties follow the config, with each family\'s own default', () => {
    for (const [family, config, tied] of [[gpt2, {}, true], [gpt2, { tie_word_embeddings: false }, false], [llama, {}, false], [llama, { tie_word_embeddings: true }, true], [llama, { tie_word_embeddings: 'yes' }, false]] as const) {
      assert.equal(family.tied(config).length > 0, tied, `${family.id} ${JSON.stringify(config)}`);
    }
  });

  test('the longest context comes from the config and is bounded', () => {
    assert.equal(gpt2.maxContext({ n_positions: 256, n_ctx: 8 }), 256);
    assert.equal(gpt2.maxContext({ n_ctx: 8 }), 8);
    assert.equal(gpt2.maxContext({}), 1024);
    assert.equal(llama.maxContext({ max_position_embeddings: 40 }), 40);
    assert.equal(llama.maxContext({ model_type: 'qwen2' }), 32768);
    assert.equal(llama.maxContext({ model_type: 'toString' }), 2048);
    for (const value of [0, -1, 1.5, '8', [8], 1e12]) {
      assert.throws(() => llama.maxContext({ max_position_embeddings: value }), (error) => error instanceof CheckpointError && error.code === 'unsupported-config' && error.detail.includes('max_position_embeddings'));
    }
  });
});

const big = path.resolve(__dirname, '../../../../shared/big');
if (!existsSync(big)) console.log('SKIPPED: ../shared/big is not here, so no full-size name list was counted');

test('full-size name lists count as published', { skip: !existsSync(big) }, () => {
  const rows = [
    { folder: 'gpt2-xl', role: gpt2.role, prunable: 1_474_560_000, parameters: 1_557_611_200 },
    // Two stacks of 24 blocks: q, k, v, o (2048 x 2048) in each, twice in the decoder, and three MLP matrices (2048 x 5120).
    { folder: 'flan-t5-xl', role: roleByName, prunable: 24 * (12 * 2048 * 2048 + 6 * 2048 * 5120), parameters: 2_849_757_184 + 2 * 32128 * 2048 },
    // 48 blocks of four (1536 x 1536) and two (1536 x 6144).
    { folder: 'deberta-v2-xxlarge', role: roleByName, prunable: 48 * (4 * 1536 * 1536 + 2 * 1536 * 6144), parameters: null },
  ];
  for (const { folder, role, prunable, parameters } of rows) {
    const { tensors } = JSON.parse(readFileSync(path.join(big, folder, 'tensors.json'), 'utf8')) as { tensors: Record<string, number[] | { shape: number[] }> };
    let cut = 0, counted = 0;
    for (const [name, value] of Object.entries(tensors)) {
      const shape = Array.isArray(value) ? value : value.shape, found = role(name, shape);
      const elements = shape.reduce((product, size) => product * size, 1);
      if (found.prunable) cut += elements;
      if (found.parameter) counted += elements;
    }
    assert.equal(cut, prunable, folder);
    if (parameters !== null) assert.equal(counted, parameters, folder);
  }
});
