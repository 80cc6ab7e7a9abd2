// A model as llama.cpp would store it comes back tensor for tensor as transformers has it.
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { openTensor } from '../../../../server/core/bytes/decodedSource';
import type { Checkpoint } from '../../../../server/core/formats/contract';
import { mapNames } from '../../../../server/core/formats/gguf/names';
import { openModel } from '../../../../server/core/models/openModel';
import { valueBytes, type TensorInfo } from '../../../../server/core/tensor/tensorInfo';
import { f32Bytes, ggufFile } from './build';
import type { Sketch, Value } from './build';

const models = path.resolve(__dirname, '../../../../../shared/models'), present = existsSync(models);
if (!present) console.error('SKIPPED: ../shared/models is not here, so no model was stored as GGUF and read back');
const folder = mkdtempSync(path.join(tmpdir(), 'winnow-gguf-'));
after(() => { rmSync(folder, { recursive: true, force: true }); });

const bytesOf = (checkpoint: Checkpoint, tensor: TensorInfo): Uint8Array => {
  const source = openTensor(checkpoint.files[tensor.file], tensor, 'pread'), out = new Uint8Array(valueBytes(tensor));
  source.read(0, out.length, out);
  source.close();
  return out;
};

/** Rows of (heads, 2, half) as (heads, half, 2), as llama.cpp's converter does it. */
function paired(bytes: Uint8Array, rows: number, heads: number): Uint8Array {
  const out = new Uint8Array(bytes.length), row = bytes.length / rows, half = rows / heads / 2;
  for (let h = 0; h < heads; h++) for (let j = 0; j < 2; j++) for (let i = 0; i < half; i++) {
    const from = ((h * 2 + j) * half + i) * row;
    out.set(bytes.subarray(from, from + row), ((h * half + i) * 2 + j) * row);
  }
  return out;
}

function turned(bytes: Uint8Array, [rows, columns]: readonly number[]): Uint8Array {
  const items = new Uint32Array(bytes.slice().buffer), out = new Uint32Array(items.length);
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) out[c * rows + r] = items[r * columns + c];
  return new Uint8Array(out.buffer);
}

function readBack(name: string, metadata: Readonly<Record<string, Value>>, tensors: readonly Sketch[]): ReturnType<typeof openModel> {
  const file = path.join(folder, `${name}.gguf`);
  writeFileSync(file, ggufFile(metadata, tensors));
  return openModel(file);
}

function assertSame(given: Checkpoint, back: Checkpoint, rename: (name: string) => string): void {
  const byName = new Map(back.tensors.map((tensor) => [tensor.name, tensor]));
  assert.equal(byName.size, given.tensors.length);
  for (const tensor of given.tensors) {
    const other = byName.get(rename(tensor.name));
    assert.ok(other, tensor.name);
    assert.deepEqual([other.dtype, other.shape], [tensor.dtype, tensor.shape], tensor.name);
    assert.ok(Buffer.from(bytesOf(back, other)).equals(bytesOf(given, tensor)), `values of ${tensor.name}`);
  }
}

test('a Llama with grouped heads comes back, its query and key rows in halves again', { skip: !present }, () => {
  const { checkpoint } = openModel(path.join(models, 'stories260k-llama')), config = checkpoint.config as Record<string, number>;
  const own: Readonly<Record<string, string>> = {
    'self_attn.q_proj': 'attn_q', 'self_attn.k_proj': 'attn_k', 'self_attn.v_proj': 'attn_v', 'self_attn.o_proj': 'attn_output', 'mlp.gate_proj': 'ffn_gate', 'mlp.up_proj': 'ffn_up',
    'mlp.down_proj': 'ffn_down', input_layernorm: 'attn_norm', post_attention_layernorm: 'ffn_norm',
  };
  const sketches = checkpoint.tensors.map((tensor): Sketch => {
    const block = /^model\.layers\.(\d+)\.(.+)\.weight$/.exec(tensor.name);
    const name = block ? `blk.${block[1]}.${own[block[2]]}.weight` : { 'model.embed_tokens.weight': 'token_embd.weight', 'model.norm.weight': 'output_norm.weight', 'lm_head.weight': 'output.weight' }[tensor.name]!;
    const heads = name.includes('attn_q.') ? config.num_attention_heads : name.includes('attn_k.') ? config.num_key_value_heads : null, bytes = bytesOf(checkpoint, tensor);
    return { name, type: 'F32', shape: tensor.shape, bytes: heads === null ? bytes : paired(bytes, tensor.shape[0], heads) };
  });
  const back = readBack('llama', {
    'general.architecture': ['text', 'llama'], 'llama.block_count': ['u32', config.num_hidden_layers], 'llama.context_length': ['u32', config.max_position_embeddings],
    'llama.embedding_length': ['u32', config.hidden_size], 'llama.feed_forward_length': ['u32', config.intermediate_size], 'llama.attention.head_count': ['u32', config.num_attention_heads],
    'llama.attention.head_count_kv': ['u32', config.num_key_value_heads], 'llama.rope.freq_base': ['f32', 10000], 'llama.attention.layer_norm_rms_epsilon': ['f32', 1e-5],
  }, sketches);
  assertSame(checkpoint, back.checkpoint, (name) => name);
  const read = back.checkpoint.config as Record<string, unknown>;
  for (const key of ['num_hidden_layers', 'hidden_size', 'intermediate_size', 'num_attention_heads', 'num_key_value_heads', 'max_position_embeddings', 'vocab_size']) assert.equal(read[key], config[key], key);
  assert.equal(back.roles.filter((role) => role.role === 'attention.query' && role.prunable).length, config.num_hidden_layers);
});

test('a GPT-2 comes back, its matrices (in, out) again', { skip: !present }, () => {
  const { checkpoint } = openModel(path.join(models, 'tiny-gpt2')), config = checkpoint.config as Record<string, number>;
  const own: Readonly<Record<string, string>> = { ln_1: 'attn_norm', ln_2: 'ffn_norm', 'attn.c_attn': 'attn_qkv', 'attn.c_proj': 'attn_output', 'mlp.c_fc': 'ffn_up', 'mlp.c_proj': 'ffn_down' };
  const kept = checkpoint.tensors.filter(({ name }) => !/attn\.(masked_)?bias$|lm_head/.test(name));
  const sketches = kept.map((tensor): Sketch => {
    const short = tensor.name.replace(/^transformer\./, ''), block = /^h\.(\d+)\.(.+)\.(weight|bias)$/.exec(short), bytes = bytesOf(checkpoint, tensor);
    const name = block ? `blk.${block[1]}.${own[block[2]]}.${block[3]}` : { 'wte.weight': 'token_embd.weight', 'wpe.weight': 'position_embd.weight', 'ln_f.weight': 'output_norm.weight', 'ln_f.bias': 'output_norm.bias' }[short]!;
    const turns = block !== null && tensor.shape.length === 2;
    return { name, type: tensor.dtype, shape: turns ? [...tensor.shape].reverse() : tensor.shape, bytes: turns && tensor.dtype === 'F32' ? turned(bytes, tensor.shape) : bytes };
  });
  const back = readBack('gpt2', {
    'general.architecture': ['text', 'gpt2'], 'gpt2.block_count': ['u32', config.n_layer], 'gpt2.context_length': ['u32', config.n_positions], 'gpt2.embedding_length': ['u32', config.n_embd],
    'gpt2.feed_forward_length': ['u32', 4 * config.n_embd], 'gpt2.attention.head_count': ['u32', config.n_head], 'gpt2.attention.layer_norm_epsilon': ['f32', 1e-5],
  }, sketches);
  assert.ok(kept.every(({ dtype }) => dtype === 'F32'), 'the model is in F32');
  assertSame({ ...checkpoint, tensors: kept }, back.checkpoint, (name) => (name.startsWith('transformer.') ? name : `transformer.${name}`));
  assert.equal(back.architecture?.id, 'gpt2');
  assert.ok(back.roles.some((role) => role.role === 'mlp.up' && role.orientation === 'in-out'));
});

test('names of the Qwens and of T5 are translated, and half a translation is none', () => {
  const translate = (architecture: Parameters<typeof mapNames>[0], name: string): string | null => mapNames(architecture, [name])?.[0].name ?? null;
  assert.deepEqual(mapNames('qwen2', ['blk.1.attn_q.bias'])?.[0], { name: 'model.layers.1.self_attn.q_proj.bias' });
  assert.deepEqual(mapNames('qwen3', ['blk.1.attn_k_norm.weight'])?.[0], { name: 'model.layers.1.self_attn.k_norm.weight' });
  assert.equal(translate('t5', 'enc.blk.0.attn_rel_b.weight'), 'encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight');
  assert.equal(translate('t5', 'dec.blk.2.cross_attn_q.weight'), 'decoder.block.2.layer.1.EncDecAttention.q.weight');
  assert.equal(translate('t5', 'dec.blk.2.ffn_up.weight'), 'decoder.block.2.layer.2.DenseReluDense.wi.weight');
  assert.equal(mapNames('llama', ['blk.0.attn_q.weight', 'sz.Q4_1']), null);
});

test('the factors that llama.cpp stores for Llama 3 are read as the scaling they come from; others are refused by an evaluation', () => {
  const half = 32, theta = 500_000;
  const factors = Array.from({ length: half }, (_, i) => {
    const wavelength = 2 * Math.PI * theta ** (i / half), smooth = (8192 / wavelength - 1) / 3;
    return wavelength < 2048 ? 1 : wavelength > 8192 ? 8 : 1 / ((1 - smooth) / 8 + smooth);
  });
  const metadata: Readonly<Record<string, Value>> = { 'general.architecture': ['text', 'llama'], 'llama.rope.freq_base': ['f32', theta] };
  const scaling = (values: readonly number[], name: string): unknown => readBack(name, metadata, [{ name: 'rope_freqs.weight', type: 'F32', shape: [half], bytes: f32Bytes(values) }]).checkpoint.config?.rope_scaling;
  assert.deepEqual(scaling(factors, 'llama3'), { rope_type: 'llama3', factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192 });
  assert.deepEqual(scaling(factors.map((x) => x + 0.5), 'other'), { rope_type: 'factors' });
});

test('names that JavaScript objects are born with are names like others', () => {
  for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
    for (const architecture of ['llama', 'gpt2', 'qwen2', 'qwen3', 't5'] as const) {
      assert.equal(mapNames(architecture, [name]), null);
      const { checkpoint } = readBack('born', { 'general.architecture': ['text', architecture], [name]: ['text', 'x'], 'tokenizer.ggml.pre': ['text', name] }, [{ name, type: 'F32', shape: [2, 4], bytes: f32Bytes([1, 2, 3, 4, 5, 6, 7, 8]) }]);
      assert.deepEqual(checkpoint.tensors.map((tensor) => tensor.name), [name]);
    }
  }
});
