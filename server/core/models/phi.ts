import type { Architecture } from './contract';
import { activations } from '../graph/activations';
import { rolesOf } from './blockRoles';
import { buildClassicGraph } from './classicGraph';
import type { ClassicModel } from './classicGraph';
import { contextFrom, isTied } from './config';
import { ConfigReader } from './graphConfig';
import { partialRope } from './rope';

/** Phi 1, 1.5 and 2. */
export const phi: Architecture = {
  id: 'phi',
  title: 'Phi',
  modelTypes: ['phi'],
  kind: 'decoder',
  matchesNames: (names) => ['embed_tokens.weight', 'final_layernorm.weight', 'layers.0.self_attn.dense.weight', 'layers.0.mlp.fc1.weight'].every((name) => names.has(`model.${name}`)),
  role: rolesOf({
    prefix: /^model\./, blocks: 'layers', buffers: /^self_attn\.rotary_emb\.inv_freq$/,
    matrices: { 'self_attn.q_proj': 'attention.query', 'self_attn.k_proj': 'attention.key', 'self_attn.v_proj': 'attention.value', 'self_attn.dense': 'attention.out', 'mlp.fc1': 'mlp.up', 'mlp.fc2': 'mlp.down' },
    outside: { embed_tokens: 'embedding', final_layernorm: 'norm', lm_head: 'head' },
  }),
  tied: (config) => (isTied(config, false) ? [['model.embed_tokens.weight', 'lm_head.weight']] : []),
  maxContext: (config) => contextFrom(config, ['max_position_embeddings'], 2048),
  structure: { layers: 'num_hidden_layers', inner: 'intermediate_size', heads: null },
  buildGraph: (checkpoint, options) => buildClassicGraph((has) => readPhi(ConfigReader.of(checkpoint), has), checkpoint, options),
};

function readPhi(config: ConfigReader, has: (name: string) => boolean): ClassicModel {
  const width = config.count('hidden_size', 2048), heads = config.count('num_attention_heads', 32), kvHeads = config.count('num_key_value_heads', heads);
  if (width % heads) config.refuse('num_attention_heads', `does not divide hidden_size ${width}`);
  if (heads % kvHeads) config.refuse('num_key_value_heads', `does not divide num_attention_heads ${heads}`);
  if (config.flag('qk_layernorm', false)) config.refuse('qk_layernorm', 'norms of queries and keys are not evaluated in this family');
  const at = has('model.embed_tokens.weight') ? 'model.' : '';
  const rope = partialRope(config, width / heads, config.count('max_position_embeddings', 2048, 2 ** 31), { theta: 'rope_theta', factor: 'partial_rotary_factor', share: 0.5 });
  return {
    id: 'phi', width, heads, kvHeads, inner: config.count('intermediate_size', 8192), layers: config.count('num_hidden_layers', 24, 4096), vocab: config.count('vocab_size', 51200),
    epsilon: config.number('layer_norm_eps', 1e-5, 0, 1), activation: config.choice('hidden_act', 'gelu_new', Object.keys(activations)),
    embedding: `${at}embed_tokens`, embeddingWidth: width, projections: null, embeddingNorm: null, finalNorm: `${at}final_layernorm`,
    head: 'lm_head', headBias: true, tied: config.flag('tie_word_embeddings', false),
    positions: null, rotary: rope ? { rope, style: 'halves' } : null, alibi: null, bias: { qkv: true, out: true, mlp: true }, residual: 'parallel', residualOfNorm: false,
    block: (layer) => {
      const block = `${at}layers.${layer}.`, self = `${block}self_attn.`;
      return { attentionNorm: `${block}input_layernorm`, mlpNorm: null, qkv: [`${self}q_proj`, `${self}k_proj`, `${self}v_proj`], out: `${self}dense`, up: `${block}mlp.fc1`, down: `${block}mlp.fc2` };
    },
  };
}
