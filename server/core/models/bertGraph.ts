import { CheckpointError } from '../errors';
import type { Checkpoint } from '../formats/contract';
import { activationBytesPerToken } from '../graph/activationBytes';
import { activations } from '../graph/activations';
import { attend, range } from '../graph/attend';
import { GraphBuilder } from '../graph/builder';
import type { Value } from '../graph/builder';
import type { GraphOptions, ModelGraph } from '../graph/contract';
import { decoderInputs, lossOutputs } from '../graph/lossHead';
import { Weights, modelGraph } from '../graph/weights';
import { ConfigReader } from './graphConfig';
import { findMaskedHead, layerNorm, maskedHead } from './maskedHead';
import type { HeadNames } from './maskedHead';

/** transformers' defaults for keys that a configuration leaves out. */
interface Family {
  readonly prefix: string;
  readonly head: HeadNames;
  readonly vocab: number; readonly width: number; readonly heads: number; readonly layers: number; readonly inner: number;
  readonly activation: string;
  /** The head's activation where it is not the model's. */
  readonly headActivation?: string;
  /** Positions begin after the padding id, counted over the tokens that are not padding (RoBERTa). */
  readonly padding: number | null;
}

const families = {
  bert: {
    prefix: 'bert.', vocab: 30522, width: 768, heads: 12, layers: 12, inner: 3072, activation: 'gelu', padding: null,
    head: { dense: 'cls.predictions.transform.dense', norm: 'cls.predictions.transform.LayerNorm', table: 'cls.predictions.decoder.weight', bias: ['cls.predictions.decoder.bias', 'cls.predictions.bias'] },
  },
  roberta: {
    prefix: 'roberta.', vocab: 50265, width: 768, heads: 12, layers: 12, inner: 3072, activation: 'gelu', headActivation: 'gelu', padding: 1,
    head: { dense: 'lm_head.dense', norm: 'lm_head.layer_norm', table: 'lm_head.decoder.weight', bias: ['lm_head.decoder.bias', 'lm_head.bias'] },
  },
  albert: {
    prefix: 'albert.', vocab: 30000, width: 4096, heads: 64, layers: 12, inner: 16384, activation: 'gelu_new', padding: null,
    head: { dense: 'predictions.dense', norm: 'predictions.LayerNorm', table: 'predictions.decoder.weight', bias: ['predictions.decoder.bias', 'predictions.bias'] },
  },
} satisfies Record<string, Family>;
export type BertFamily = keyof typeof families;

function readConfig(config: ConfigReader, family: Family, isAlbert: boolean) {
  const width = config.count('hidden_size', family.width), heads = config.count('num_attention_heads', family.heads);
  if (width % heads) config.refuse('num_attention_heads', `does not divide hidden_size ${width}`);
  config.choice('position_embedding_type', 'absolute', ['absolute']);
  if (config.flag('is_decoder', false)) config.refuse('is_decoder', 'only masked language models of this family are evaluated');
  const layers = config.count('num_hidden_layers', family.layers, 4096), groups = isAlbert ? config.count('num_hidden_groups', 1, 4096) : layers;
  if (groups > layers) config.refuse('num_hidden_groups', `is above num_hidden_layers ${layers}`);
  return {
    width, heads, headDim: width / heads, layers, groups,
    embedding: isAlbert ? config.count('embedding_size', 128) : width,
    innerGroups: isAlbert ? config.count('inner_group_num', 1, 4096) : 1,
    inner: config.count('intermediate_size', family.inner),
    vocab: config.count('vocab_size', family.vocab),
    positions: config.count('max_position_embeddings', 512),
    types: config.count('type_vocab_size', 2),
    epsilon: config.number('layer_norm_eps', 1e-12, 0, 1),
    activation: config.choice('hidden_act', family.activation, Object.keys(activations)),
    padding: family.padding === null ? null : config.json.pad_token_id === 0 ? 0 : config.count('pad_token_id', family.padding),
  };
}

/** The names of one block's parts. */
interface Block { readonly self: string; readonly out: string; readonly outNorm: string; readonly up: string; readonly down: string; readonly norm: string }

const bertBlock = (at: string): Block =>
  ({ self: `${at}.attention.self`, out: `${at}.attention.output.dense`, outNorm: `${at}.attention.output.LayerNorm`, up: `${at}.intermediate.dense`, down: `${at}.output.dense`, norm: `${at}.output.LayerNorm` });
const albertBlock = (at: string): Block =>
  ({ self: `${at}.attention`, out: `${at}.attention.dense`, outNorm: `${at}.attention.LayerNorm`, up: `${at}.ffn`, down: `${at}.ffn_output`, norm: `${at}.full_layer_layer_norm` });

/**
 * BERT, RoBERTa and ALBERT as masked language models: learned positions, LayerNorm after each half, attention both ways.
 * ALBERT embeds narrowly and runs few blocks many times.
 *
 * @throws CheckpointError `no-config`, `unsupported-config`, `head-missing`, `tensor-missing`, `tensor-shape-differs`, `context-too-long`
 */
export function buildBertGraph(id: BertFamily, checkpoint: Checkpoint, options: GraphOptions): ModelGraph {
  const family: Family = families[id], isAlbert = id === 'albert';
  const c = readConfig(ConfigReader.of(checkpoint), family, isAlbert);
  const longest = c.positions - (c.padding === null ? 0 : c.padding + 1);
  if (options.context > longest) throw new CheckpointError('context-too-long', { file: checkpoint.path }, `context ${options.context}, the model has ${longest} positions`);
  const g = new GraphBuilder(id);
  const weights = new Weights(g, checkpoint, options);
  const prefix = weights.has(`${family.prefix}embeddings.word_embeddings.weight`) ? family.prefix : '';
  const headNames = findMaskedHead(checkpoint, weights, [family.head]);
  const inputs = decoderInputs(g), plain = options.plainAttention ?? false;
  const batch = g.op('Shape', [inputs.inputIds], { start: { i: 0 }, end: { i: 1 } });
  const norm = (x: Value, name: string, width = c.width): Value => layerNorm(g, weights, x, name, width, c.epsilon);
  const linear = (x: Value, name: string, from: number, to: number): Value => weights.linear(x, `${name}.weight`, `${name}.bias`, { in: from, out: to }, 'out-in');

  const table = `${prefix}embeddings.word_embeddings.weight`;
  const tokens = weights.rows(table, [c.vocab, c.embedding], inputs.inputIds);
  const positions = weights.rows(`${prefix}embeddings.position_embeddings.weight`, [c.positions, c.embedding], positionIds(g, inputs, c.padding));
  // A lone text is all of the first type.
  const type = weights.rows(`${prefix}embeddings.token_type_embeddings.weight`, [c.types, c.embedding], g.ints64([0]));
  const summed = g.reshape(g.op('Add', [g.op('Add', [tokens, type]), positions]), [-1, c.embedding]);
  let hidden = norm(summed, `${prefix}embeddings.LayerNorm`, c.embedding);
  if (isAlbert) hidden = linear(hidden, `${prefix}encoder.embedding_hidden_mapping_in`, c.embedding, c.width);

  const run = (x: Value, block: Block): Value => {
    const [q, k, v] = ['query', 'key', 'value'].map((part) => linear(x, `${block.self}.${part}`, c.width, c.width));
    const mixed = attend(g, q, k, v, { batch, queries: inputs.length, keys: inputs.length, heads: c.heads, headDim: c.headDim, scale: c.headDim ** -0.5, plain });
    const seen = norm(g.op('Add', [linear(mixed, block.out, c.width, c.width), x]), block.outNorm);
    const up = activations[c.activation](g, linear(seen, block.up, c.width, c.inner));
    return norm(g.op('Add', [linear(up, block.down, c.inner, c.width), seen]), block.norm);
  };
  const groupOf = (layer: number): number => Math.floor(layer / (c.layers / c.groups));
  for (let layer = 0; layer < c.layers; layer++) {
    const at = `${prefix}encoder.`;
    // Layers that share their weights are one block.
    if (layer === 0 || groupOf(layer) !== groupOf(layer - 1)) g.boundary(hidden);
    if (!isAlbert) hidden = run(hidden, bertBlock(`${at}layer.${layer}`));
    else for (let inner = 0; inner < c.innerGroups; inner++) hidden = run(hidden, albertBlock(`${at}albert_layer_groups.${groupOf(layer)}.albert_layers.${inner}`));
  }
  g.boundary(hidden);

  const head = maskedHead(g, checkpoint, weights, headNames, table, { ...c, activation: family.headActivation ?? c.activation });
  lossOutputs(g, inputs, hidden, head, c, options);
  return modelGraph(g, weights, {
    ...(!plain && { portableBytes: () => buildBertGraph(id, checkpoint, { ...options, plainAttention: true }).bytes }),
    activationBytesPerToken: activationBytesPerToken({ ...c, context: options.context, plainAttention: plain }),
    vocabSize: c.vocab,
  });
}

/** (length), or (batch, length) where padding is counted around. */
function positionIds(g: GraphBuilder, inputs: { inputIds: Value; length: Value }, padding: number | null): Value {
  if (padding === null) return range(g, inputs.length);
  const real = g.cast(g.op('Not', [g.op('Equal', [inputs.inputIds, g.ints64([padding], [])])]), 'I64');
  return g.op('Add', [g.op('Mul', [g.op('CumSum', [real, g.ints64([1], [])]), real]), g.ints64([padding], [])]);
}
