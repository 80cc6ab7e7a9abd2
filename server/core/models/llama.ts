import type { Architecture, Role, StructureKeys, TensorRole } from './contract';
import { contextFrom, isTied } from './config';
import { roleByName } from './fallback';
import { buildLlamaGraph } from './llamaGraph';

/** Linear weights of a block by their name below `layers.N.`; every one stores (out, in). */
const BLOCK: Readonly<Record<string, Role>> = {
  'self_attn.q_proj.weight': 'attention.query', // (heads x head, d)
  'self_attn.k_proj.weight': 'attention.key', // (kv heads x head, d)
  'self_attn.v_proj.weight': 'attention.value',
  'self_attn.o_proj.weight': 'attention.out', // (d, heads x head)
  'mlp.gate_proj.weight': 'mlp.gate', // (ff, d)
  'mlp.up_proj.weight': 'mlp.up', // (ff, d)
  'mlp.down_proj.weight': 'mlp.down', // (d, ff)
};

const NORMS = /^(input_layernorm|post_attention_layernorm|pre_feedforward_layernorm|post_feedforward_layernorm|self_attn\.q_norm|self_attn\.k_norm)\.weight$/;

const STRUCTURE: StructureKeys = {
  layers: 'num_hidden_layers', inner: 'intermediate_size',
  heads: { heads: 'num_attention_heads', keyValueHeads: 'num_key_value_heads', headDim: 'head_dim', inTransformers: true },
};

/** What transformers assumes where a config is silent. */
const DEFAULT_CONTEXT: ReadonlyMap<unknown, number> = new Map([['llama', 2048], ['mistral', 131_072], ['qwen2', 32_768], ['qwen3', 32_768], ['mixtral', 131_072], ['qwen2_moe', 32_768], ['qwen3_moe', 32_768], ['gemma', 8192], ['gemma2', 8192], ['gemma3_text', 131_072]]);

/** Llama and the families that share its block: Mistral, Qwen2, Qwen3; SmolLM calls itself llama. */
export const llama: Architecture = {
  id: 'llama',
  title: 'Llama',
  modelTypes: ['llama', 'mistral', 'qwen2', 'qwen3'],
  kind: 'decoder',
  matchesNames: (names) => ['', 'model.'].some((prefix) => names.has(`${prefix}embed_tokens.weight`) && names.has(`${prefix}norm.weight`)
    && [...Object.keys(BLOCK), 'input_layernorm.weight', 'post_attention_layernorm.weight'].every((rest) => names.has(`${prefix}layers.0.${rest}`))
    // Gemma 2 and its kin have more norms in the block, and another block.
    && !names.has(`${prefix}layers.0.pre_feedforward_layernorm.weight`)),
  role: llamaRole,
  tied: (config) => (isTied(config, false) ? [['model.embed_tokens.weight', 'lm_head.weight'], ['embed_tokens.weight', 'lm_head.weight']] : []),
  maxContext: (config) => contextFrom(config, ['max_position_embeddings'], DEFAULT_CONTEXT.get(config.model_type) ?? 2048),
  structure: STRUCTURE,
  buildGraph: buildLlamaGraph,
};

/** Gemma 1, 2 and 3 (text): Llama's block with scaled embeddings, norms that are stored less one, caps and local layers. */
export const gemma: Architecture = {
  id: 'gemma',
  title: 'Gemma',
  modelTypes: ['gemma', 'gemma2', 'gemma3_text'],
  kind: 'decoder',
  // The first Gemma has the names of Llama; only a configuration tells them apart.
  matchesNames: (names) => ['', 'model.'].some((prefix) => names.has(`${prefix}embed_tokens.weight`) && names.has(`${prefix}layers.0.self_attn.q_proj.weight`) && names.has(`${prefix}layers.0.pre_feedforward_layernorm.weight`)),
  role: llamaRole,
  tied: (config) => (isTied(config, true) ? [['model.embed_tokens.weight', 'lm_head.weight'], ['embed_tokens.weight', 'lm_head.weight']] : []),
  maxContext: (config) => contextFrom(config, ['max_position_embeddings'], DEFAULT_CONTEXT.get(config.model_type) ?? 8192),
  structure: STRUCTURE,
  buildGraph: buildLlamaGraph,
};

/** Mixtral, Qwen2-MoE and Qwen3-MoE: Llama's block with many MLPs, of which each token visits a few. */
export const mixtral: Architecture = {
  id: 'mixtral',
  title: 'Mixture of experts',
  modelTypes: ['mixtral', 'qwen2_moe', 'qwen3_moe'],
  kind: 'decoder',
  // Qwen's two generations differ in more than names say (which layers, how many experts a token): those need a configuration.
  matchesNames: (names) => ['', 'model.'].some((prefix) => names.has(`${prefix}embed_tokens.weight`) && names.has(`${prefix}layers.0.self_attn.q_proj.weight`) && names.has(`${prefix}layers.0.block_sparse_moe.experts.0.w1.weight`)),
  role: llamaRole,
  tied: (config) => (isTied(config, false) ? [['model.embed_tokens.weight', 'lm_head.weight'], ['embed_tokens.weight', 'lm_head.weight']] : []),
  maxContext: (config) => contextFrom(config, ['max_position_embeddings'], DEFAULT_CONTEXT.get(config.model_type) ?? 32_768),
  buildGraph: buildLlamaGraph,
};

/** The matrix of an expert, by the name of its part. */
const EXPERT: Readonly<Record<string, Role>> = {
  w1: 'expert.gate', w3: 'expert.up', w2: 'expert.down', gate_proj: 'expert.gate', up_proj: 'expert.up', down_proj: 'expert.down',
};
const EXPERT_NAME = /^(?:block_sparse_moe|mlp)\.(?:experts\.\d{1,6}|shared_expert)\.(\w+)\.weight$/;
const ROUTER = /^(block_sparse_moe\.gate|mlp\.gate|mlp\.shared_expert_gate)\.weight$/;

/** Roles of Llama's names, with or without `model.` before them. */
export function llamaRole(name: string, shape: readonly number[]): TensorRole {
  const short = name.replace(/^model\./, '');
  const outside = (what: Role, group: string, orientation: TensorRole['orientation'] = null): TensorRole =>
    ({ role: what, layer: null, group, prunable: false, parameter: what !== 'buffer', orientation });
  if (short === 'embed_tokens.weight') return outside('embedding', 'embed_tokens', 'out-in');
  if (short === 'norm.weight') return outside('norm', 'norm');
  if (short === 'lm_head.weight') return outside('head', 'lm_head', 'out-in');
  if (short === 'rotary_emb.inv_freq') return outside('buffer', 'rotary_emb');

  const block = /^layers\.(\d{1,6})\.(.+)$/.exec(short);
  if (!block) return roleByName(name, shape);
  const layer = Number(block[1]), rest = block[2];
  const inside = (what: Role, prunable: boolean, orientation: TensorRole['orientation'] = null): TensorRole =>
    ({ role: what, layer, group: `layers.${layer}`, prunable, parameter: what !== 'buffer', orientation });
  if (rest === 'self_attn.rotary_emb.inv_freq') return inside('buffer', false);
  if (Object.hasOwn(BLOCK, rest) && shape.length === 2) return inside(BLOCK[rest], true, 'out-in');
  const expert = EXPERT_NAME.exec(rest)?.[1];
  if (expert !== undefined && Object.hasOwn(EXPERT, expert) && shape.length === 2) return inside(EXPERT[expert], true, 'out-in');
  if (ROUTER.test(rest)) return inside('router', false, 'out-in');
  if (NORMS.test(rest)) return inside('norm', false);
  if (rest.endsWith('.bias')) return inside('bias', false);
  return roleByName(name, shape);
}
