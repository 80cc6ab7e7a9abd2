import type { MappedArchitecture } from './names';
import { ROPE_FACTORS } from './names';

type Values = Readonly<Record<string, string>>;
type Json = Record<string, unknown>;

interface Shapes { has(name: string): boolean; shape(name: string): readonly number[] | null }

/** Reads `<architecture>.<key>` of the metadata. */
class Settings {
  constructor(private readonly values: Values, private readonly architecture: string) {}

  text(key: string): string | undefined {
    return this.values[`${this.architecture}.${key}`];
  }

  /** A number, of an array the one that all its items are (some files repeat a number for each layer). */
  number(key: string): number | undefined {
    const text = this.text(key);
    if (text === undefined) return undefined;
    const list = /^\[(-?[\d.e+-]+)(?:,\1)*\]$/.exec(text);
    const value = Number(list ? list[1] : text);
    return Number.isNaN(value) ? undefined : value;
  }

  /** Keys with their values, those that are missing left out. */
  named(keys: Readonly<Record<string, string>>): Json {
    return Object.fromEntries(Object.entries(keys).map(([name, key]) => [name, this.number(key)]).filter(([, value]) => value !== undefined));
  }
}

/**
 * config.json as transformers would have it, from the metadata and the shapes. What the metadata leave out is left out here,
 * so that the same defaults hold.
 *
 * @param stored tensors by their stored names
 */
export function configFrom(architecture: MappedArchitecture, values: Values, stored: Shapes): Json {
  const settings = new Settings(values, architecture), rows = stored.shape('token_embd.weight')?.[0] ?? settings.number('vocab_size');
  const tokens = ['bos', 'eos', 'padding'].map((name): [string, number] => [`${name === 'padding' ? 'pad' : name}_token_id`, Number(values[`tokenizer.ggml.${name}_token_id`])]).filter(([, id]) => Number.isInteger(id));
  const common = { ...(rows !== undefined && { vocab_size: rows }), ...Object.fromEntries(tokens), tie_word_embeddings: !stored.has('output.weight') };
  if (architecture === 'gpt2') return { ...gpt2Config(settings), ...common };
  if (architecture === 't5') return { ...t5Config(settings, stored), ...common };
  return { ...llamaConfig(architecture, settings, stored), ...common };
}

function gpt2Config(settings: Settings): Json {
  return {
    architectures: ['GPT2LMHeadModel'], model_type: 'gpt2', activation_function: 'gelu_new',
    ...settings.named({
      n_layer: 'block_count', n_positions: 'context_length', n_ctx: 'context_length', n_embd: 'embedding_length', n_inner: 'feed_forward_length',
      n_head: 'attention.head_count', layer_norm_epsilon: 'attention.layer_norm_epsilon',
    }),
  };
}

function t5Config(settings: Settings, stored: Shapes): Json {
  return {
    architectures: ['T5ForConditionalGeneration'], model_type: 't5', is_encoder_decoder: true,
    feed_forward_proj: stored.has('enc.blk.0.ffn_gate.weight') ? 'gated-gelu' : 'relu',
    ...settings.named({
      num_layers: 'block_count', num_decoder_layers: 'decoder_block_count', d_model: 'embedding_length', d_ff: 'feed_forward_length', num_heads: 'attention.head_count',
      d_kv: 'attention.key_length', layer_norm_epsilon: 'attention.layer_norm_rms_epsilon', relative_attention_num_buckets: 'attention.relative_buckets_count',
      decoder_start_token_id: 'decoder_start_token_id',
    }),
  };
}

const CLASSES = { llama: 'LlamaForCausalLM', qwen2: 'Qwen2ForCausalLM', qwen3: 'Qwen3ForCausalLM' } as const;

function llamaConfig(architecture: 'llama' | 'qwen2' | 'qwen3', settings: Settings, stored: Shapes): Json {
  const headDim = settings.number('attention.key_length') ?? settings.number('rope.dimension_count');
  const heads = settings.number('attention.head_count');
  return {
    architectures: [CLASSES[architecture]], model_type: architecture, hidden_act: 'silu',
    ...settings.named({
      num_hidden_layers: 'block_count', max_position_embeddings: 'context_length', hidden_size: 'embedding_length', intermediate_size: 'feed_forward_length',
      num_attention_heads: 'attention.head_count', rms_norm_eps: 'attention.layer_norm_rms_epsilon', rope_theta: 'rope.freq_base',
    }),
    // Missing means one for each query head, whatever the family's default is.
    ...(heads !== undefined && { num_key_value_heads: settings.number('attention.head_count_kv') ?? heads }),
    ...(headDim !== undefined && { head_dim: headDim }),
    ...(architecture !== 'qwen2' && stored.has('blk.0.attn_q.bias') && { attention_bias: true }),
    ...(stored.has('blk.0.ffn_up.bias') && { mlp_bias: true }),
    ...ropeScaling(settings, headDim, stored),
  };
}

/** `rope_scaling` where the metadata scale, and what cannot be said in it, so that an evaluation refuses it by name. */
function ropeScaling(settings: Settings, headDim: number | undefined, stored: Shapes): Json {
  const rotated = settings.number('rope.dimension_count');
  if (rotated !== undefined && headDim !== undefined && rotated !== headDim) return { rope_scaling: { rope_type: `${rotated} of ${headDim} dimensions` } };
  // Llama 3.1 and later: llama.cpp keeps the outcome of the scaling, a factor for each frequency (see interpret.ts).
  if (stored.has(ROPE_FACTORS)) return { rope_scaling: { rope_type: 'factors' } };
  const type = settings.text('rope.scaling.type'), old = settings.number('rope.scale_linear');
  if (type === undefined) return old !== undefined && old !== 1 ? { rope_scaling: { rope_type: 'linear', factor: old } } : {};
  if (type === 'none') return {};
  return {
    rope_scaling: {
      rope_type: type,
      ...settings.named({
        factor: 'rope.scaling.factor', original_max_position_embeddings: 'rope.scaling.original_context_length', attention_factor: 'rope.scaling.attn_factor',
        beta_fast: 'rope.scaling.yarn_beta_fast', beta_slow: 'rope.scaling.yarn_beta_slow',
      }),
    },
  };
}
