import type { Architecture, Role, Stack, TensorRole } from './contract';
import { isTied } from './config';
import { roleByName } from './fallback';
import { buildT5Graph } from './t5Graph';

/** Linear weights of a block by their name below `block.N.layer.M.`; every one stores (out, in). */
const BLOCK: Readonly<Record<string, Role>> = {
  'SelfAttention.q.weight': 'attention.query', // (heads x d_kv, d)
  'SelfAttention.k.weight': 'attention.key',
  'SelfAttention.v.weight': 'attention.value',
  'SelfAttention.o.weight': 'attention.out', // (d, heads x d_kv)
  'EncDecAttention.q.weight': 'attention.query',
  'EncDecAttention.k.weight': 'attention.key',
  'EncDecAttention.v.weight': 'attention.value',
  'EncDecAttention.o.weight': 'attention.out',
  'DenseReluDense.wi.weight': 'mlp.up', // (d_ff, d)
  'DenseReluDense.wi_0.weight': 'mlp.gate',
  'DenseReluDense.wi_1.weight': 'mlp.up',
  'DenseReluDense.wo.weight': 'mlp.down', // (d, d_ff)
};

/** Relative positions have no end; this bounds what a bucket table is made for. */
const LONGEST = 16_384;

/** T5, T5 v1.1, FLAN-T5, and the multilingual ones: mT5, and UMT5 with a bias of relative positions in every block. */
export const t5: Architecture = {
  id: 't5',
  title: 'T5',
  modelTypes: ['t5', 'mt5', 'umt5'],
  kind: 'encoder-decoder',
  matchesNames: (names) => ['shared.weight', 'encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight', 'decoder.block.0.layer.1.EncDecAttention.q.weight'].every((name) => names.has(name)),
  role,
  // transformers 5 writes "tied" for v1.1 too, whose head is its own; it also says then that the output is not scaled.
  tied: (config) => [['shared.weight', 'encoder.embed_tokens.weight'], ['shared.weight', 'decoder.embed_tokens.weight'],
    ...(isTied(config, config.model_type !== 'mt5') && config.scale_decoder_outputs !== false ? [['shared.weight', 'lm_head.weight'] as const] : [])],
  maxContext: () => LONGEST,
  structure: { layers: { encoder: 'num_layers', decoder: 'num_decoder_layers' }, inner: 'd_ff', heads: { heads: 'num_heads', headDim: 'd_kv', inTransformers: true } },
  buildGraph: buildT5Graph,
};

function role(name: string, shape: readonly number[]): TensorRole {
  const outside = (what: Role, group: string, orientation: TensorRole['orientation'] = null, stack?: Stack): TensorRole =>
    ({ role: what, layer: null, ...(stack && { stack }), group, prunable: false, parameter: true, orientation });
  if (name === 'shared.weight') return outside('embedding', 'shared', 'out-in');
  if (name === 'lm_head.weight') return outside('head', 'lm_head', 'out-in');
  const place = /^(encoder|decoder)\.(.+)$/.exec(name);
  if (!place) return roleByName(name, shape);
  const stack = place[1] as Stack;
  if (place[2] === 'embed_tokens.weight') return outside('embedding', `${stack}.embed_tokens`, 'out-in', stack);
  if (place[2] === 'final_layer_norm.weight') return outside('norm', `${stack}.final_layer_norm`, null, stack);

  const block = /^block\.(\d{1,6})\.layer\.\d\.(.+)$/.exec(place[2]);
  if (!block) return roleByName(name, shape);
  const layer = Number(block[1]), rest = block[2];
  const inside = (what: Role, prunable: boolean, orientation: TensorRole['orientation'] = null): TensorRole =>
    ({ role: what, layer, stack, group: `${stack}.block.${layer}`, prunable, parameter: true, orientation });
  if (Object.hasOwn(BLOCK, rest) && shape.length === 2) return inside(BLOCK[rest], true, 'out-in');
  // (buckets, heads), looked up by row.
  if (rest.endsWith('.relative_attention_bias.weight')) return inside('position', false, 'out-in');
  if (rest === 'layer_norm.weight') return inside('norm', false);
  return { ...roleByName(name, shape), layer, stack, group: `${stack}.block.${layer}` };
}
