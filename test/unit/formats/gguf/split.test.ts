// A GGUF in parts is pruned into shards of safetensors with an index of its own making.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { openModel } from '../../../../server/core/models/openModel';
import { scratch, winnow } from '../../pruning/helpers';
import { valuesOf } from '../values';
import { f32Bytes, ggufFile } from './build';
import type { Sketch, Value } from './build';

const work = scratch('gguf-split'), folder = path.join(work, 'source');
mkdirSync(folder);
const wave = (n: number, from: number): number[] => Array.from({ length: n }, (_, i) => Math.sin(i + from) + 1.5);
const f32 = (name: string, shape: readonly number[], from: number): Sketch => ({ name, type: 'F32', shape, bytes: f32Bytes(wave(shape.reduce((a, b) => a * b, 1), from)) });

test('a Llama in two parts becomes two shards and an index that names every tensor once', async () => {
  const parts: readonly (readonly Sketch[])[] = [
    [f32('token_embd.weight', [6, 4], 0), f32('blk.0.attn_q.weight', [4, 4], 10), f32('blk.0.attn_k.weight', [4, 4], 20)],
    [f32('blk.0.ffn_up.weight', [8, 4], 30), f32('output_norm.weight', [4], 40)],
  ];
  const first: Readonly<Record<string, Value>> = {
    'general.architecture': ['text', 'llama'], 'llama.block_count': ['u32', 1], 'llama.embedding_length': ['u32', 4], 'llama.attention.head_count': ['u32', 1], 'llama.attention.head_count_kv': ['u32', 1],
  };
  for (const [i, tensors] of parts.entries()) {
    writeFileSync(path.join(folder, `tiny-0000${i + 1}-of-00002.gguf`), ggufFile({ ...(i === 0 ? first : {}), 'split.no': ['u16', i], 'split.count': ['u16', 2], 'split.tensors.count': ['i32', 5] }, tensors));
  }
  const source = openModel(path.join(folder, 'tiny-00002-of-00002.gguf')), out = path.join(work, 'out');
  const { code, err } = await winnow(['prune', path.join(folder, 'tiny-00001-of-00002.gguf'), '--sparsity', '0.5', '--out', out]);
  assert.equal(code, 0, err);
  const weights = readdirSync(out).filter((name) => /safetensors/.test(name)).sort();
  const index = JSON.parse(readFileSync(path.join(out, weights.find((name) => name.endsWith('.index.json'))!), 'utf8')) as { metadata: { total_size: number }; weight_map: Record<string, string> };
  // What transformers looks for in a folder.
  assert.ok(weights.includes('model.safetensors.index.json'), weights.join());
  assert.deepEqual(index.weight_map, {
    'model.embed_tokens.weight': 'tiny-00001-of-00002.safetensors', 'model.layers.0.self_attn.q_proj.weight': 'tiny-00001-of-00002.safetensors', 'model.layers.0.self_attn.k_proj.weight': 'tiny-00001-of-00002.safetensors',
    'model.layers.0.mlp.up_proj.weight': 'tiny-00002-of-00002.safetensors', 'model.norm.weight': 'tiny-00002-of-00002.safetensors',
  });
  assert.equal(index.metadata.total_size, 4 * (24 + 16 + 16 + 32 + 4));
  const written = openModel(out);
  assert.deepEqual(written.checkpoint.problems, []);
  assert.equal(written.checkpoint.tensors.length, 5);
  for (const name of ['model.embed_tokens.weight', 'model.norm.weight']) assert.deepEqual(valuesOf(written.checkpoint, name), valuesOf(source.checkpoint, name), name);
  const zeros = written.checkpoint.tensors.filter((_, i) => written.roles[i].prunable).flatMap(({ name }) => valuesOf(written.checkpoint, name)).filter((value) => value === 0).length;
  assert.equal(zeros, 32);
  assert.ok(existsSync(path.join(out, 'config.json')));
});
