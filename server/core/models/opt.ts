import type { Architecture } from './contract';
import { activations } from '../graph/activations';
import { rolesOf } from './blockRoles';
import { buildClassicGraph } from './classicGraph';
import type { ClassicModel } from './classicGraph';
import { contextFrom, isTied } from './config';
import { ConfigReader } from './graphConfig';

/** Learned positions begin at row 2. */
const OFFSET = 2;

/** OPT. */
export const opt: Architecture = {
  id: 'opt',
  title: 'OPT',
  modelTypes: ['opt'],
  kind: 'decoder',
  matchesNames: (names) => ['model.decoder.', 'decoder.'].some((at) => ['embed_tokens.weight', 'embed_positions.weight', 'layers.0.self_attn.q_proj.weight', 'layers.0.fc1.weight'].every((name) => names.has(at + name))
    && !names.has(`${at}layers.0.encoder_attn.q_proj.weight`)),
  role: rolesOf({
    prefix: /^(model\.)?decoder\./, blocks: 'layers', buffers: /(?!)/,
    matrices: { 'self_attn.q_proj': 'attention.query', 'self_attn.k_proj': 'attention.key', 'self_attn.v_proj': 'attention.value', 'self_attn.out_proj': 'attention.out', fc1: 'mlp.up', fc2: 'mlp.down' },
    outside: { embed_tokens: 'embedding', embed_positions: 'position', final_layer_norm: 'norm', project_in: 'embedding', project_out: 'head', lm_head: 'head' },
  }),
  tied: (config) => (isTied(config, true) ? [['model.decoder.embed_tokens.weight', 'lm_head.weight'], ['decoder.embed_tokens.weight', 'lm_head.weight']] : []),
  maxContext: (config) => contextFrom(config, ['max_position_embeddings'], 2048),
  structure: { layers: 'num_hidden_layers', inner: 'ffn_dim', heads: null },
  buildGraph: (checkpoint, options) => buildClassicGraph((has) => readOpt(ConfigReader.of(checkpoint), has), checkpoint, options),
};

function readOpt(config: ConfigReader, has: (name: string) => boolean): ClassicModel {
  const width = config.count('hidden_size', 768), heads = config.count('num_attention_heads', 12);
  if (width % heads) config.refuse('num_attention_heads', `does not divide hidden_size ${width}`);
  if (!config.flag('layer_norm_elementwise_affine', true)) config.refuse('layer_norm_elementwise_affine', 'norms without weights are not evaluated');
  const at = has('model.decoder.embed_positions.weight') ? 'model.decoder.' : 'decoder.', bias = config.flag('enable_bias', true);
  const before = config.flag('do_layer_norm_before', true);
  return {
    id: 'opt', width, heads, kvHeads: heads, inner: config.count('ffn_dim', 3072), layers: config.count('num_hidden_layers', 12, 4096), vocab: config.count('vocab_size', 50272),
    epsilon: 1e-5, activation: config.choice('activation_function', 'relu', Object.keys(activations)),
    embedding: `${at}embed_tokens`, embeddingWidth: config.count('word_embed_proj_dim', width), projections: { in: `${at}project_in`, out: `${at}project_out` },
    embeddingNorm: null, finalNorm: before && !config.flag('_remove_final_layer_norm', false) ? `${at}final_layer_norm` : null,
    head: 'lm_head', headBias: false, tied: config.flag('tie_word_embeddings', true),
    positions: { name: `${at}embed_positions`, rows: config.count('max_position_embeddings', 2048) + OFFSET, offset: OFFSET },
    rotary: null, alibi: null, bias: { qkv: bias, out: bias, mlp: bias }, residual: before ? 'sequential' : 'post', residualOfNorm: false,
    block: (layer) => {
      const block = `${at}layers.${layer}.`, self = `${block}self_attn.`;
      return { attentionNorm: `${block}self_attn_layer_norm`, mlpNorm: `${block}final_layer_norm`, qkv: [`${self}q_proj`, `${self}k_proj`, `${self}v_proj`], out: `${self}out_proj`, up: `${block}fc1`, down: `${block}fc2` };
    },
  };
}
