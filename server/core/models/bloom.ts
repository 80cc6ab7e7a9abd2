import type { Architecture } from './contract';
import { rolesOf } from './blockRoles';
import { buildClassicGraph } from './classicGraph';
import type { ClassicModel } from './classicGraph';
import { contextFrom, isTied } from './config';
import { ConfigReader } from './graphConfig';

/** ALiBi has no end; published BLOOM models were trained with this (`seq_length`). */
const TRAINED_CONTEXT = 2048;
const f = Math.fround;

/** BLOOM. */
export const bloom: Architecture = {
  id: 'bloom',
  title: 'BLOOM',
  modelTypes: ['bloom'],
  kind: 'decoder',
  matchesNames: (names) => ['', 'transformer.'].some((at) => names.has(`${at}word_embeddings.weight`) && names.has(`${at}word_embeddings_layernorm.weight`) && names.has(`${at}h.0.self_attention.query_key_value.weight`)),
  role: rolesOf({
    prefix: /^transformer\./, blocks: 'h', buffers: /(?!)/,
    matrices: { 'self_attention.query_key_value': 'attention.qkv', 'self_attention.dense': 'attention.out', 'mlp.dense_h_to_4h': 'mlp.up', 'mlp.dense_4h_to_h': 'mlp.down' },
    outside: { word_embeddings: 'embedding', word_embeddings_layernorm: 'norm', ln_f: 'norm', lm_head: 'head' },
  }),
  tied: (config) => (isTied(config, true) ? [['transformer.word_embeddings.weight', 'lm_head.weight'], ['word_embeddings.weight', 'lm_head.weight']] : []),
  maxContext: (config) => contextFrom(config, ['seq_length'], TRAINED_CONTEXT),
  structure: { layers: 'n_layer', inner: null, heads: null },
  buildGraph: (checkpoint, options) => buildClassicGraph((has) => readBloom(ConfigReader.of(checkpoint), has), checkpoint, options),
};

function readBloom(config: ConfigReader, has: (name: string) => boolean): ClassicModel {
  const first = (keys: readonly string[], fallback: number): number => config.count(keys.find((key) => config.has(key)) ?? keys[0], fallback);
  const width = first(['hidden_size', 'n_embed'], 64), heads = first(['n_head', 'num_attention_heads'], 8);
  if (width % heads) config.refuse('n_head', `does not divide hidden_size ${width}`);
  const at = has('transformer.word_embeddings.weight') ? 'transformer.' : '';
  return {
    id: 'bloom', width, heads, kvHeads: heads, inner: 4 * width, layers: first(['n_layer', 'num_hidden_layers'], 2), vocab: config.count('vocab_size', 250880),
    epsilon: config.number('layer_norm_epsilon', 1e-5, 0, 1), activation: 'gelu_new',
    embedding: `${at}word_embeddings`, embeddingWidth: width, projections: null, embeddingNorm: `${at}word_embeddings_layernorm`, finalNorm: `${at}ln_f`,
    head: 'lm_head', headBias: false, tied: config.flag('tie_word_embeddings', true),
    positions: null, rotary: null, alibi: alibiSlopes(heads), bias: { qkv: true, out: true, mlp: true },
    residual: 'sequential', residualOfNorm: config.flag('apply_residual_connection_post_layernorm', false),
    block: (layer) => {
      const block = `${at}h.${layer}.`;
      return { attentionNorm: `${block}input_layernorm`, mlpNorm: `${block}post_attention_layernorm`, qkv: `${block}self_attention.query_key_value`, out: `${block}self_attention.dense`, up: `${block}mlp.dense_h_to_4h`, down: `${block}mlp.dense_4h_to_h` };
    },
  };
}

/** A geometric row for the largest power of two, then every other step of the next one's. Rounded to F32 as transformers does. */
function alibiSlopes(heads: number): Float32Array {
  const power = 2 ** Math.floor(Math.log2(heads));
  const base = (count: number): number => f(2 ** -(2 ** -(Math.log2(count) - 3)));
  return Float32Array.from({ length: heads }, (_, i) => (i < power ? f(base(power) ** (i + 1)) : f(base(2 * power) ** (2 * (i - power) + 1))));
}
