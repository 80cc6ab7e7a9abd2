import type { Architecture } from './contract';
import { activations } from '../graph/activations';
import { rolesOf } from './blockRoles';
import { buildClassicGraph } from './classicGraph';
import type { ClassicModel } from './classicGraph';
import { contextFrom, isTied } from './config';
import { ConfigReader } from './graphConfig';
import { plainRope } from './rope';

/** GPT-J. */
export const gptj: Architecture = {
  id: 'gptj',
  title: 'GPT-J',
  modelTypes: ['gptj'],
  kind: 'decoder',
  matchesNames: (names) => names.has('transformer.wte.weight') && names.has('transformer.h.0.attn.q_proj.weight') && names.has('transformer.h.0.mlp.fc_in.weight') && !names.has('transformer.h.0.ln_2.weight'),
  role: rolesOf({
    prefix: /^transformer\./, blocks: 'h', buffers: /^attn\.(bias|masked_bias|embed_positions)$/,
    matrices: { 'attn.q_proj': 'attention.query', 'attn.k_proj': 'attention.key', 'attn.v_proj': 'attention.value', 'attn.out_proj': 'attention.out', 'mlp.fc_in': 'mlp.up', 'mlp.fc_out': 'mlp.down' },
    outside: { wte: 'embedding', ln_f: 'norm', lm_head: 'head' },
  }),
  tied: (config) => (isTied(config, false) ? [['transformer.wte.weight', 'lm_head.weight']] : []),
  maxContext: (config) => contextFrom(config, ['n_positions', 'max_position_embeddings'], 2048),
  structure: { layers: 'n_layer', inner: 'n_inner', heads: null },
  buildGraph: (checkpoint, options) => buildClassicGraph((has) => readGptj(ConfigReader.of(checkpoint), has), checkpoint, options),
};

function readGptj(config: ConfigReader, has: (name: string) => boolean): ClassicModel {
  const width = config.count('n_embd', 4096), heads = config.count('n_head', 16), headDim = width / heads;
  if (width % heads) config.refuse('n_head', `does not divide n_embd ${width}`);
  const dim = config.count('rotary_dim', config.json.rotary_dim === null ? headDim : 64);
  if (dim > headDim || dim % 2) config.refuse('rotary_dim', `expected an even number up to the head's ${headDim}`);
  const at = has('transformer.wte.weight') ? 'transformer.' : '';
  return {
    id: 'gptj', width, heads, kvHeads: heads, inner: config.count('n_inner', 4 * width), layers: config.count('n_layer', 28, 4096), vocab: config.count('vocab_size', 50400),
    epsilon: config.number('layer_norm_epsilon', 1e-5, 0, 1), activation: config.choice('activation_function', 'gelu_new', Object.keys(activations)),
    embedding: `${at}wte`, embeddingWidth: width, projections: null, embeddingNorm: null, finalNorm: `${at}ln_f`,
    head: 'lm_head', headBias: true, tied: config.flag('tie_word_embeddings', false),
    positions: null, rotary: { rope: plainRope(10000, dim), style: 'pairs' }, alibi: null, bias: { qkv: false, out: false, mlp: true }, residual: 'parallel', residualOfNorm: false,
    block: (layer) => {
      const block = `${at}h.${layer}.`, self = `${block}attn.`;
      return { attentionNorm: `${block}ln_1`, mlpNorm: null, qkv: [`${self}q_proj`, `${self}k_proj`, `${self}v_proj`], out: `${self}out_proj`, up: `${block}mlp.fc_in`, down: `${block}mlp.fc_out` };
    },
  };
}
