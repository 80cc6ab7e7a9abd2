import { activations } from '../graph/activations';
import type { ConfigReader } from './graphConfig';

const f = Math.fround;

/** The numbers of a DeBERTa-v2 configuration, with transformers' defaults; as transformers and as Microsoft write it. */
export function readDebertaConfig(config: ConfigReader) {
  const width = config.count('hidden_size', 1536), heads = config.count('num_attention_heads', 24);
  if (width % heads) config.refuse('num_attention_heads', `does not divide hidden_size ${width}`);
  if (config.count('attention_head_size', width / heads) !== width / heads) config.refuse('attention_head_size', `times num_attention_heads ${heads} is not hidden_size ${width}`);
  const positions = config.count('max_position_embeddings', 512);
  /** Below 1 (-1 in published files) means "not set". */
  const optional = (key: string, fallback: number): number => (config.number(key, -1, -(2 ** 31), 2 ** 24) < 1 ? fallback : config.count(key));
  const maxRelative = optional('max_relative_positions', positions), buckets = optional('position_buckets', 0);
  if (buckets > 0 && Math.floor(buckets / 2) >= maxRelative - 1) config.refuse('position_buckets', `leaves nothing to bucket below max_relative_positions ${maxRelative}`);
  const relative = config.flag('relative_attention', false), types = positionTypes(config);
  const kernel = config.number('conv_kernel_size', 0, 0, 65535);
  if (kernel > 0 && (!Number.isInteger(kernel) || kernel % 2 === 0)) config.refuse('conv_kernel_size', 'expected an odd number, or 0 for none');
  const groups = config.count('conv_groups', 1);
  if (width % groups) config.refuse('conv_groups', `does not divide hidden_size ${width}`);
  return {
    width, heads, headDim: width / heads, positions, maxRelative, buckets, relative,
    layers: config.count('num_hidden_layers', 24, 4096),
    inner: config.count('intermediate_size', 6144),
    vocab: config.count('vocab_size', 128100),
    types: config.has('type_vocab_size') && config.json.type_vocab_size !== 0 ? config.count('type_vocab_size') : 0,
    embedding: config.count('embedding_size', width),
    epsilon: config.number('layer_norm_eps', 1e-7, 0, 1),
    activation: config.choice('hidden_act', 'gelu', Object.keys(activations)),
    biasedInput: config.flag('position_biased_input', true),
    contentToPosition: types.has('c2p'), positionToContent: types.has('p2c'),
    shareKey: config.flag('share_att_key', false),
    normRelative: typeof config.json.norm_rel_ebd === 'string' && config.json.norm_rel_ebd.toLowerCase().split('|').some((part) => part.trim() === 'layer_norm'),
    conv: kernel === 0 ? null : { kernel, groups, activation: config.choice('conv_act', 'tanh', Object.keys(activations)) },
    /** Number of distances on one side: half of the rows of the table of relative positions. */
    span: buckets > 0 ? buckets : maxRelative,
  };
}
export type DebertaConfig = ReturnType<typeof readDebertaConfig>;

/** `pos_att_type`: a list, or one text with bars as Microsoft's files have it. */
function positionTypes(config: ConfigReader): ReadonlySet<string> {
  const given = config.json.pos_att_type ?? [];
  const parts: unknown[] = typeof given === 'string' ? given.toLowerCase().split('|').map((part) => part.trim()) : Array.isArray(given) ? given : config.refuse('pos_att_type', 'expected a list or a text');
  for (const part of parts) if (part !== 'c2p' && part !== 'p2c' && part !== '') config.refuse('pos_att_type', 'only c2p and p2c are evaluated');
  return new Set(parts as string[]);
}

/**
 * The row of the relative table for every difference (query less key) from 1 - length to length - 1: exact up to half of
 * the buckets, then by logarithm, shifted by `span` and kept within the table. Rounded to F32 where transformers rounds.
 */
export function relativeRows(length: number, c: Pick<DebertaConfig, 'buckets' | 'maxRelative' | 'span'>): number[] {
  const middle = Math.floor(c.buckets / 2), steps = f(Math.log(f((c.maxRelative - 1) / middle)));
  const bucket = (difference: number): number => {
    const distance = Math.abs(difference);
    if (c.buckets === 0 || distance <= middle) return difference;
    return Math.sign(difference) * (Math.ceil(f(f(f(Math.log(f(distance / middle))) / steps) * (middle - 1))) + middle);
  };
  return Array.from({ length: 2 * length - 1 }, (_, at) => Math.min(Math.max(bucket(at - (length - 1)) + c.span, 0), 2 * c.span - 1));
}
