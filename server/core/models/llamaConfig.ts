import { activations } from '../graph/activations';
import { ConfigReader } from './graphConfig';
import { readMoe } from './moe';
import type { Moe } from './moe';
import { plainRope, readRope } from './rope';
import type { Rope } from './rope';

/** The numbers of one Llama-like configuration, defaults filled in as transformers 5 does for its model type. */
export interface LlamaConfig {
  readonly width: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly layers: number;
  readonly inner: number;
  readonly vocab: number;
  readonly epsilon: number;
  readonly activation: string;
  readonly tied: boolean;
  readonly bias: { readonly qkv: boolean; readonly out: boolean; readonly mlp: boolean };
  /** RMSNorm over each query and key head (Qwen3). */
  readonly headNorms: boolean;
  readonly rope: Rope;
  /** Rotation of the layers that slide, where it is another (Gemma 3). */
  readonly localRope: Rope | null;
  /** Multiplies the scores. */
  readonly scale: number;
  readonly gemma: Gemma | null;
  readonly moe: Moe | null;
  /** Per layer: how far attention looks back, null for all the way. */
  readonly windows: readonly (number | null)[];
}

/** What sets Gemma apart from Llama. */
export interface Gemma {
  /** Multiplies the embeddings. */
  readonly embedScale: number;
  /** Norms after each half as well as before (Gemma 2 and 3). */
  readonly fourNorms: boolean;
  /** Caps of the attention scores and of the logits. */
  readonly attentionCap: number | null;
  readonly logitCap: number | null;
}

interface Family {
  readonly width: number; readonly heads: number; readonly kvHeads: number | null; readonly headDim: number | null;
  readonly layers: number; readonly inner: number; readonly vocab: number; readonly positions: number;
}

/** transformers' defaults for keys that a configuration leaves out. */
const families: Readonly<Record<string, Family>> = {
  llama: { width: 4096, heads: 32, kvHeads: null, headDim: null, layers: 32, inner: 11008, vocab: 32000, positions: 2048 },
  mistral: { width: 4096, heads: 32, kvHeads: 8, headDim: null, layers: 32, inner: 14336, vocab: 32000, positions: 131072 },
  qwen2: { width: 4096, heads: 32, kvHeads: 32, headDim: null, layers: 32, inner: 22016, vocab: 151936, positions: 32768 },
  gemma: { width: 3072, heads: 16, kvHeads: 16, headDim: 256, layers: 28, inner: 24576, vocab: 256000, positions: 8192 },
  gemma2: { width: 2304, heads: 8, kvHeads: 4, headDim: 256, layers: 26, inner: 9216, vocab: 256000, positions: 8192 },
  gemma3_text: { width: 2304, heads: 8, kvHeads: 4, headDim: 256, layers: 26, inner: 9216, vocab: 262208, positions: 131072 },
  mixtral: { width: 4096, heads: 32, kvHeads: 8, headDim: null, layers: 32, inner: 14336, vocab: 32000, positions: 131072 },
  qwen2_moe: { width: 2048, heads: 16, kvHeads: 16, headDim: null, layers: 24, inner: 5632, vocab: 151936, positions: 32768 },
  qwen3_moe: { width: 2048, heads: 32, kvHeads: 4, headDim: null, layers: 24, inner: 6144, vocab: 151936, positions: 32768 },
  qwen3: { width: 4096, heads: 32, kvHeads: 32, headDim: 128, layers: 32, inner: 22016, vocab: 151936, positions: 32768 },
};

/** @throws CheckpointError `unsupported-config` naming the key and the value */
export function readLlamaConfig(config: ConfigReader): LlamaConfig {
  const type = config.choice('model_type', 'llama', Object.keys(families));
  const family = families[type];
  const width = config.count('hidden_size', family.width);
  const heads = config.count('num_attention_heads', family.heads);
  // A key that is there but null means "as many as query heads"; one that is missing means the family's default.
  const kvHeads = config.count('num_key_value_heads', config.json.num_key_value_heads === undefined ? family.kvHeads ?? heads : heads);
  if (heads % kvHeads) config.refuse('num_key_value_heads', `does not divide num_attention_heads ${heads}`);
  if (!config.has('head_dim') && !family.headDim && width % heads) config.refuse('num_attention_heads', `does not divide hidden_size ${width}`);
  const headDim = config.count('head_dim', family.headDim ?? width / heads, 65536);
  const layers = config.count('num_hidden_layers', family.layers, 4096);
  const qwen = type.startsWith('qwen');
  const isGemma = type.startsWith('gemma');
  const attentionBias = type === 'llama' || type.startsWith('qwen3') || isGemma ? config.flag('attention_bias', false) : false;
  return {
    width, heads, kvHeads, headDim, layers,
    inner: config.count('intermediate_size', family.inner),
    vocab: config.count('vocab_size', family.vocab),
    epsilon: config.number('rms_norm_eps', type === 'mixtral' ? 1e-5 : 1e-6, 0, 1),
    activation: isGemma ? gemmaActivation(config, type) : config.choice('hidden_act', 'silu', Object.keys(activations)),
    tied: config.flag('tie_word_embeddings', isGemma),
    bias: { qkv: type === 'qwen2' || (type === 'qwen2_moe' && config.flag('qkv_bias', true)) || attentionBias, out: attentionBias, mlp: type === 'llama' && config.flag('mlp_bias', false) },
    headNorms: type.startsWith('qwen3') || type === 'gemma3_text',
    ...(type === 'gemma3_text' ? gemma3Ropes(config, headDim, family.positions) : { rope: readRope(config, headDim, config.count('max_position_embeddings', family.positions, 2 ** 31), type === 'mixtral' ? 1_000_000 : 10_000), localRope: null }),
    scale: type === 'gemma2' || type === 'gemma3_text' ? config.number('query_pre_attn_scalar', 256, 1e-6, 1e9) ** -0.5 : headDim ** -0.5,
    moe: readMoe(config, type, layers),
    gemma: isGemma ? readGemma(config, type, width) : null,
    windows: type.endsWith('_moe') || type === 'mixtral' ? moeWindows(config, type, layers) : isGemma ? gemmaWindows(config, type, layers) : qwen ? qwenWindows(config, layers) : Array<number | null>(layers).fill(type === 'mistral' ? windowOf(config) : null),
  };
}

/** Mixtral and Qwen3's mixtures slide in every layer or in none; how Qwen2's would is not evaluated. */
function moeWindows(config: ConfigReader, type: string, layers: number): readonly (number | null)[] {
  const slides = type === 'mixtral' ? config.has('sliding_window') : config.flag('use_sliding_window', false);
  if (slides && type === 'qwen2_moe') config.refuse('use_sliding_window', 'sliding windows are not evaluated in this family');
  return Array<number | null>(layers).fill(slides ? windowOf(config) : null);
}

function readGemma(config: ConfigReader, type: string, width: number): Gemma {
  if (config.has('use_bidirectional_attention') && config.flag('use_bidirectional_attention', false)) config.refuse('use_bidirectional_attention', 'an embedding model, not a language model');
  /** A missing key has the family's cap, null has none. */
  const cap = (key: string, otherwise: number | null): number | null => (config.json[key] === undefined ? otherwise : config.has(key) ? config.number(key, undefined, 1e-6, 1e9) : null);
  const second = type === 'gemma2';
  return {
    embedScale: width ** 0.5, fourNorms: type !== 'gemma',
    attentionCap: type === 'gemma' ? null : cap('attn_logit_softcapping', second ? 50 : null),
    logitCap: type === 'gemma' ? null : cap('final_logit_softcapping', second ? 30 : null),
  };
}

/** The first Gemma's files say `gelu` and mean its tanh form, as transformers warns; `hidden_activation` is the newer key. */
function gemmaActivation(config: ConfigReader, type: string): string {
  const chosen = config.choice(config.has('hidden_activation') ? 'hidden_activation' : 'hidden_act', 'gelu_pytorch_tanh', Object.keys(activations));
  return type === 'gemma' && chosen === 'gelu' ? 'gelu_pytorch_tanh' : chosen;
}

/** Gemma 2 slides in every other layer, Gemma 3 in five of six, or as `layer_types` says. */
function gemmaWindows(config: ConfigReader, type: string, layers: number): readonly (number | null)[] {
  if (type === 'gemma') return Array<number | null>(layers).fill(null);
  const every = type === 'gemma2' ? 2 : config.count('sliding_window_pattern', 6), window = windowOf(config);
  const types = config.names('layer_types', layers, ['full_attention', 'sliding_attention']);
  return Array.from({ length: layers }, (_, layer) => ((types ? types[layer] === 'sliding_attention' : (layer + 1) % every !== 0) ? window : null));
}

/** Gemma 3 rotates layers that slide by a base of their own, and scales only the others. */
function gemma3Ropes(config: ConfigReader, headDim: number, positions: number): { readonly rope: Rope; readonly localRope: Rope } {
  const longest = config.count('max_position_embeddings', positions, 2 ** 31), byType = config.object('rope_parameters');
  const of = (key: string): ConfigReader | null => byType?.object(key) ?? null;
  const full = of('full_attention'), sliding = of('sliding_attention');
  if (full || sliding) {
    const read = (source: ConfigReader | null, theta: number): Rope => readRope(new ConfigReader({ ...(source && { rope_parameters: source.json }) }, config.file), headDim, longest, theta);
    return { rope: read(full, 1_000_000), localRope: read(sliding, 10_000) };
  }
  return { rope: readRope(config, headDim, longest, 1_000_000), localRope: plainRope(config.number('rope_local_base_freq', 10_000, 1e-3, 1e15), headDim) };
}

/** `sliding_window`: null when the key says so, 4096 when it is missing. */
function windowOf(config: ConfigReader): number | null {
  return config.json.sliding_window === null ? null : config.count('sliding_window', 4096, 2 ** 31);
}

/** Qwen slides only where `use_sliding_window` is set: in layers from `max_window_layers` on, or as `layer_types` says. */
function qwenWindows(config: ConfigReader, layers: number): readonly (number | null)[] {
  const window = config.flag('use_sliding_window', false) ? windowOf(config) : null;
  const types = config.names('layer_types', layers, ['full_attention', 'sliding_attention']);
  if (!types) {
    const first = config.json.max_window_layers === 0 ? 0 : config.count('max_window_layers', 28, 2 ** 31);
    return Array.from({ length: layers }, (_, layer) => (layer >= first ? window : null));
  }
  if (window === null && types.includes('sliding_attention')) config.refuse('layer_types', 'slides, but no sliding window is in use');
  return types.map((type) => (type === 'sliding_attention' ? window : null));
}
