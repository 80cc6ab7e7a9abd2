/** What one stored tensor is in the names that transformers uses. */
export interface Mapped {
  readonly name: string;
  /** How the values are laid out differently: rotary halves interleaved (rows of query and key), or (out, in) for (in, out). */
  readonly layout?: 'query' | 'key' | 'transposed';
}

type Block = Readonly<Record<string, string>>;

const LLAMA_BLOCK: Block = {
  attn_norm: 'input_layernorm', ffn_norm: 'post_attention_layernorm',
  attn_q: 'self_attn.q_proj', attn_k: 'self_attn.k_proj', attn_v: 'self_attn.v_proj', attn_output: 'self_attn.o_proj',
  attn_q_norm: 'self_attn.q_norm', attn_k_norm: 'self_attn.k_norm',
  ffn_gate: 'mlp.gate_proj', ffn_up: 'mlp.up_proj', ffn_down: 'mlp.down_proj',
};
const GPT2_BLOCK: Block = {
  attn_norm: 'ln_1', ffn_norm: 'ln_2', attn_qkv: 'attn.c_attn', attn_output: 'attn.c_proj', ffn_up: 'mlp.c_fc', ffn_down: 'mlp.c_proj',
};

/** A tensor that belongs to no module of transformers: factors that the config says in its own words. */
export const ROPE_FACTORS = 'rope_freqs.weight';

// Maps, not objects: a file may call a tensor `constructor`.
const LLAMA_OUTSIDE: ReadonlyMap<string, string> = new Map([
  ['token_embd.weight', 'model.embed_tokens.weight'], ['output_norm.weight', 'model.norm.weight'], ['output.weight', 'lm_head.weight'], [ROPE_FACTORS, ROPE_FACTORS],
]);
const GPT2_OUTSIDE: ReadonlyMap<string, string> = new Map([
  ['token_embd.weight', 'transformer.wte.weight'], ['position_embd.weight', 'transformer.wpe.weight'], ['output_norm.weight', 'transformer.ln_f.weight'],
  ['output_norm.bias', 'transformer.ln_f.bias'], ['output.weight', 'lm_head.weight'],
]);
const T5_OUTSIDE: ReadonlyMap<string, string> = new Map([
  ['token_embd.weight', 'shared.weight'], ['output.weight', 'lm_head.weight'], ['enc.output_norm.weight', 'encoder.final_layer_norm.weight'], ['dec.output_norm.weight', 'decoder.final_layer_norm.weight'],
]);

function llamaName(name: string, permuted: boolean): Mapped | null {
  const outside = LLAMA_OUTSIDE.get(name);
  if (outside !== undefined) return { name: outside };
  const block = inBlock(name, /^blk\.(\d{1,6})\.(\w+)\.(weight|bias)$/, LLAMA_BLOCK);
  if (!block) return null;
  const mapped = `model.layers.${block.layer}.${block.module}.${block.parameter}`;
  return permuted && (block.own === 'attn_q' || block.own === 'attn_k') ? { name: mapped, layout: block.own === 'attn_q' ? 'query' : 'key' } : { name: mapped };
}

function gpt2Name(name: string): Mapped | null {
  const outside = GPT2_OUTSIDE.get(name);
  if (outside !== undefined) return { name: outside };
  const block = inBlock(name, /^blk\.(\d{1,6})\.(\w+)\.(weight|bias)$/, GPT2_BLOCK);
  if (!block) return null;
  const mapped = `transformer.h.${block.layer}.${block.module}.${block.parameter}`;
  return block.parameter === 'weight' && !block.module.startsWith('ln_') ? { name: mapped, layout: 'transposed' } : { name: mapped };
}

const t5Self: Block = { attn_q: 'SelfAttention.q', attn_k: 'SelfAttention.k', attn_v: 'SelfAttention.v', attn_o: 'SelfAttention.o', attn_rel_b: 'SelfAttention.relative_attention_bias', attn_norm: 'layer_norm' };
const t5Cross: Block = { cross_attn_q: 'EncDecAttention.q', cross_attn_k: 'EncDecAttention.k', cross_attn_v: 'EncDecAttention.v', cross_attn_o: 'EncDecAttention.o', cross_attn_norm: 'layer_norm' };
const below = (layer: number, modules: Block): Block => Object.fromEntries(Object.entries(modules).map(([own, module]) => [own, `layer.${layer}.${module}`]));
const t5Feed = (gated: boolean): Block => ({ ffn_up: gated ? 'DenseReluDense.wi_1' : 'DenseReluDense.wi', ffn_gate: 'DenseReluDense.wi_0', ffn_down: 'DenseReluDense.wo', ffn_norm: 'layer_norm' });

function t5Name(name: string, gated: boolean): Mapped | null {
  const outside = T5_OUTSIDE.get(name);
  if (outside !== undefined) return { name: outside };
  const half = name.startsWith('enc.') ? 'encoder' : 'decoder';
  const modules = half === 'encoder' ? { ...below(0, t5Self), ...below(1, t5Feed(gated)) } : { ...below(0, t5Self), ...below(1, t5Cross), ...below(2, t5Feed(gated)) };
  const block = inBlock(name, /^(?:enc|dec)\.blk\.(\d{1,6})\.(\w+)\.(weight)$/, modules);
  return block && { name: `${half}.block.${block.layer}.${block.module}.${block.parameter}` };
}

function inBlock(name: string, pattern: RegExp, modules: Block): { layer: number; own: string; module: string; parameter: string } | null {
  const match = pattern.exec(name);
  if (!match || !Object.hasOwn(modules, match[2])) return null;
  return { layer: Number(match[1]), own: match[2], module: modules[match[2]], parameter: match[3] };
}

/** Architectures whose names are known. Of these, `llama` stores the rows of query and key as its rotary code pairs them. */
export const mappedArchitectures = ['llama', 'gpt2', 'qwen2', 'qwen3', 't5'] as const;
export type MappedArchitecture = (typeof mappedArchitectures)[number];
export const isMapped = (text: string | undefined): text is MappedArchitecture => (mappedArchitectures as readonly (string | undefined)[]).includes(text);

/**
 * Every name of a file in transformers' words, or null when one of them is not known: half a translation helps nobody.
 */
export function mapNames(architecture: MappedArchitecture, names: readonly string[]): readonly Mapped[] | null {
  const gated = names.some((name) => /\.ffn_gate\.weight$/.test(name));
  const one = (name: string): Mapped | null => (architecture === 'gpt2' ? gpt2Name(name) : architecture === 't5' ? t5Name(name, gated) : llamaName(name, architecture === 'llama'));
  const mapped = names.map(one);
  return mapped.every((entry) => entry !== null) ? mapped : null;
}
