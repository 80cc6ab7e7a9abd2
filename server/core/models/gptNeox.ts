import type { Architecture } from './contract';
import { activations } from '../graph/activations';
import { rolesOf } from './blockRoles';
import { buildClassicGraph } from './classicGraph';
import type { ClassicModel } from './classicGraph';
import { contextFrom, isTied } from './config';
import { ConfigReader } from './graphConfig';
import { partialRope } from './rope';

/** GPT-NeoX: GPT-NeoX-20B, Pythia. */
export const gptNeox: Architecture = {
  id: 'gpt-neox',
  title: 'GPT-NeoX',
  modelTypes: ['gpt_neox'],
  kind: 'decoder',
  matchesNames: (names) => names.has('gpt_neox.embed_in.weight') && names.has('gpt_neox.layers.0.attention.query_key_value.weight'),
  role: rolesOf({
    prefix: /^gpt_neox\./, blocks: 'layers', buffers: /^attention\.(bias|masked_bias|rotary_emb\.inv_freq)$/,
    matrices: { 'attention.query_key_value': 'attention.qkv', 'attention.dense': 'attention.out', 'mlp.dense_h_to_4h': 'mlp.up', 'mlp.dense_4h_to_h': 'mlp.down' },
    outside: { embed_in: 'embedding', final_layer_norm: 'norm', embed_out: 'head', lm_head: 'head' },
  }),
  tied: (config) => (isTied(config, false) ? [['gpt_neox.embed_in.weight', 'embed_out.weight'], ['gpt_neox.embed_in.weight', 'lm_head.weight']] : []),
  maxContext: (config) => contextFrom(config, ['max_position_embeddings'], 2048),
  structure: { layers: 'num_hidden_layers', inner: 'intermediate_size', heads: null },
  buildGraph: (checkpoint, options) => buildClassicGraph((has) => readNeox(ConfigReader.of(checkpoint), has), checkpoint, options),
};

function readNeox(config: ConfigReader, has: (name: string) => boolean): ClassicModel {
  const width = config.count('hidden_size', 6144), heads = config.count('num_attention_heads', 64);
  if (width % heads) config.refuse('num_attention_heads', `does not divide hidden_size ${width}`);
  const at = has('gpt_neox.embed_in.weight') ? 'gpt_neox.' : '', bias = config.flag('attention_bias', true);
  const rope = partialRope(config, width / heads, config.count('max_position_embeddings', 2048, 2 ** 31), { theta: 'rotary_emb_base', factor: 'rotary_pct', share: 0.25 });
  return {
    id: 'gpt-neox', width, heads, kvHeads: heads, inner: config.count('intermediate_size', 24576), layers: config.count('num_hidden_layers', 44, 4096), vocab: config.count('vocab_size', 50432),
    epsilon: config.number('layer_norm_eps', 1e-5, 0, 1), activation: config.choice('hidden_act', 'gelu', Object.keys(activations)),
    embedding: `${at}embed_in`, embeddingWidth: width, projections: null, embeddingNorm: null, finalNorm: `${at}final_layer_norm`,
    // Published files say `embed_out`, transformers 5 calls it `lm_head`.
    head: has('lm_head.weight') ? 'lm_head' : 'embed_out', headBias: false, tied: config.flag('tie_word_embeddings', false),
    positions: null, rotary: rope ? { rope, style: 'halves' } : null, alibi: null, bias: { qkv: bias, out: bias, mlp: true },
    residual: config.flag('use_parallel_residual', true) ? 'parallel' : 'sequential', residualOfNorm: false,
    block: (layer) => {
      const block = `${at}layers.${layer}.`;
      return { attentionNorm: `${block}input_layernorm`, mlpNorm: `${block}post_attention_layernorm`, qkv: `${block}attention.query_key_value`, out: `${block}attention.dense`, up: `${block}mlp.dense_h_to_4h`, down: `${block}mlp.dense_4h_to_h` };
    },
  };
}
