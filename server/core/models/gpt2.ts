import type { Architecture, Role, TensorRole } from './contract';
import { contextFrom, isTied } from './config';
import { roleByName } from './fallback';
import { buildGpt2Graph } from './gpt2Graph';

/** Weights of a block by their name below `h.N.`: role and whether it is a Conv1D, which stores (in, out). */
const BLOCK: Readonly<Record<string, Role>> = {
  'attn.c_attn.weight': 'attention.qkv', // (d, 3 d)
  'attn.c_proj.weight': 'attention.out', // (d, d)
  'mlp.c_fc.weight': 'mlp.up', // (d, 4 d)
  'mlp.c_proj.weight': 'mlp.down', // (4 d, d)
  'crossattention.c_attn.weight': 'attention.qkv', // (d, 2 d): key and value
  'crossattention.q_attn.weight': 'attention.query',
  'crossattention.c_proj.weight': 'attention.out',
};

/** GPT-2. Published files have no prefix, saved language models `transformer.`. */
export const gpt2: Architecture = {
  id: 'gpt2',
  title: 'GPT-2',
  modelTypes: ['gpt2'],
  kind: 'decoder',
  matchesNames: (names) => ['', 'transformer.'].some((prefix) => names.has(`${prefix}wte.weight`) && names.has(`${prefix}wpe.weight`) && names.has(`${prefix}h.0.attn.c_attn.weight`)),
  role,
  tied: (config) => (isTied(config, true) ? [['transformer.wte.weight', 'lm_head.weight'], ['wte.weight', 'lm_head.weight']] : []),
  maxContext: (config) => contextFrom(config, ['n_positions', 'n_ctx', 'max_position_embeddings'], 1024),
  structure: { layers: 'n_layer', inner: 'n_inner', heads: { heads: 'n_head', headDim: 'head_dim', inTransformers: false } },
  buildGraph: buildGpt2Graph,
};

function role(name: string, shape: readonly number[]): TensorRole {
  const short = name.replace(/^transformer\./, '');
  const outside = (what: Role, group: string, orientation: TensorRole['orientation'] = null): TensorRole =>
    ({ role: what, layer: null, group, prunable: false, parameter: what !== 'buffer', orientation });
  // (vocab, d): looked up by row as an embedding, (out, in) as the head.
  if (short === 'wte.weight') return outside('embedding', 'wte', 'out-in');
  if (short === 'wpe.weight') return outside('position', 'wpe', 'out-in');
  if (short === 'ln_f.weight') return outside('norm', 'ln_f');
  if (short === 'ln_f.bias') return outside('bias', 'ln_f');
  if (short === 'lm_head.weight') return outside('head', 'lm_head', 'out-in');

  const block = /^h\.(\d{1,6})\.(.+)$/.exec(short);
  if (!block) return roleByName(name, shape);
  const layer = Number(block[1]), rest = block[2];
  const inside = (what: Role, prunable: boolean, orientation: TensorRole['orientation'] = null): TensorRole =>
    ({ role: what, layer, group: `h.${layer}`, prunable, parameter: what !== 'buffer', orientation });
  // The causal mask, (1, 1, context, context), and the value it masks with: not a bias.
  if (/^(cross)?attn\.(bias|masked_bias)$/.test(rest) || /^crossattention\.(bias|masked_bias)$/.test(rest)) return inside('buffer', false);
  if (Object.hasOwn(BLOCK, rest) && shape.length === 2) return inside(BLOCK[rest], true, 'in-out');
  if (/^ln_\w+\.weight$/.test(rest)) return inside('norm', false);
  if (rest.endsWith('.bias')) return inside('bias', false);
  return roleByName(name, shape);
}
