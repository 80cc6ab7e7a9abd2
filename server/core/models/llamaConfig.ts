import { activations } from '../graph/activations';
import type { ConfigReader } from './graphConfig';
import { readRope } from './rope';
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
  /** Per layer: how far attention looks back, null for all the way. */
  readonly windows: readonly (number | null)[];
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
  const attentionBias = type === 'llama' || type === 'qwen3' ? config.flag('attention_bias', false) : false;
  return {
    width, heads, kvHeads, headDim, layers,
    inner: config.count('intermediate_size', family.inner),
    vocab: config.count('vocab_size', family.vocab),
    epsilon: config.number('rms_norm_eps', 1e-6, 0, 1),
    activation: config.choice('hidden_act', 'silu', Object.keys(activations)),
    tied: config.flag('tie_word_embeddings', false),
    bias: { qkv: type === 'qwen2' || attentionBias, out: attentionBias, mlp: type === 'llama' && config.flag('mlp_bias', false) },
    headNorms: type === 'qwen3',
    rope: readRope(config, headDim, config.count('max_position_embeddings', family.positions, 2 ** 31)),
    windows: qwen ? qwenWindows(config, layers) : Array<number | null>(layers).fill(type === 'mistral' ? windowOf(config) : null),
  };
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
