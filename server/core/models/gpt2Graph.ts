import { CheckpointError } from '../errors';
import type { Checkpoint } from '../formats/contract';
import { activationBytesPerToken } from '../graph/activationBytes';
import { activations } from '../graph/activations';
import { attention, attentionContext } from '../graph/attention';
import { GraphBuilder } from '../graph/builder';
import type { Value } from '../graph/builder';
import type { GraphOptions, ModelGraph } from '../graph/contract';
import { decoderInputs, lossOutputs } from '../graph/lossHead';
import { Weights, modelGraph } from '../graph/weights';
import { ConfigReader } from './graphConfig';
import { tiedTables } from './tiedTables';

/** The numbers of a GPT-2 configuration, with transformers' defaults. */
function readConfig(config: ConfigReader) {
  const width = config.count('n_embd', 768);
  const heads = config.count('n_head', 12);
  if (width % heads && !config.has('head_dim')) config.refuse('n_head', `does not divide n_embd ${width}`);
  if (config.flag('add_cross_attention', false)) config.refuse('add_cross_attention', 'cross attention is not evaluated');
  return {
    // Not a key of transformers: `prune --method heads` writes it, since fewer heads are no longer as wide as the model together.
    width, heads, headDim: config.count('head_dim', width / heads, 65536),
    layers: config.count('n_layer', 12, 4096),
    positions: config.count('n_positions', 1024),
    inner: config.count('n_inner', 4 * width),
    vocab: config.count('vocab_size', 50257),
    epsilon: config.number('layer_norm_epsilon', 1e-5, 0, 1),
    activation: config.choice('activation_function', 'gelu_new', Object.keys(activations)),
    scaleWeights: config.flag('scale_attn_weights', true),
    scaleByLayer: config.flag('scale_attn_by_inverse_layer_idx', false),
    tied: config.flag('tie_word_embeddings', true),
  };
}

/**
 * GPT-2: learned positions, LayerNorm before each half, Conv1D matrices stored (in, out). `reorder_and_upcast_attn` is
 * the same mathematics in F32.
 *
 * @throws CheckpointError `no-config`, `unsupported-config`, `tensor-missing`, `tensor-shape-differs`, `context-too-long`
 */
export function buildGpt2Graph(checkpoint: Checkpoint, options: GraphOptions): ModelGraph {
  const c = readConfig(ConfigReader.of(checkpoint));
  if (options.context > c.positions) throw new CheckpointError('context-too-long', { file: checkpoint.path }, `context ${options.context}, the model has ${c.positions} positions`);
  const g = new GraphBuilder('gpt2');
  const weights = new Weights(g, checkpoint, options);
  const prefix = weights.has('transformer.wpe.weight') ? 'transformer.' : '';
  const tables = tiedTables(checkpoint, `${prefix}wte.weight`, 'lm_head.weight', c.tied);
  const inputs = decoderInputs(g);
  const context = attentionContext(g, inputs.inputIds, inputs.length, options.plainAttention ?? false);
  const norm = (x: Value, name: string): Value =>
    g.op('LayerNormalization', [x, weights.f32(`${name}.weight`, [c.width]), weights.f32(`${name}.bias`, [c.width])], { axis: { i: -1 }, epsilon: { f: c.epsilon } });
  const conv1d = (x: Value, name: string, from: number, to: number): Value =>
    weights.linear(x, `${name}.weight`, `${name}.bias`, { in: from, out: to }, 'in-out');

  const tokens = weights.rows(tables.embedding, [c.vocab, c.width], inputs.inputIds);
  const range = g.op('Range', [g.ints64([0], []), g.op('Squeeze', [inputs.length]), g.ints64([1], [])]);
  const positions = weights.rows(`${prefix}wpe.weight`, [c.positions, c.width], range);
  let hidden = g.reshape(g.op('Add', [tokens, positions]), [-1, c.width]);

  for (let layer = 0; layer < c.layers; layer++) {
    g.boundary(hidden);
    const block = `${prefix}h.${layer}`;
    const scale = (c.scaleWeights ? 1 / Math.sqrt(c.headDim) : 1) / (c.scaleByLayer ? layer + 1 : 1);
    const qkv = conv1d(norm(hidden, `${block}.ln_1`), `${block}.attn.c_attn`, c.width, 3 * c.heads * c.headDim);
    const [q, k, v] = g.ops('Split', [qkv], 3, { axis: { i: 1 }, num_outputs: { i: 3 } });
    const mixed = attention(g, context, q, k, v, { heads: c.heads, kvHeads: c.heads, headDim: c.headDim, scale, slidingWindow: null });
    hidden = g.op('Add', [hidden, conv1d(mixed, `${block}.attn.c_proj`, c.heads * c.headDim, c.width)]);
    const up = conv1d(norm(hidden, `${block}.ln_2`), `${block}.mlp.c_fc`, c.width, c.inner);
    hidden = g.op('Add', [hidden, conv1d(activations[c.activation](g, up), `${block}.mlp.c_proj`, c.inner, c.width)]);
  }
  g.boundary(hidden);

  const head = (rows: Value): Value => weights.linear(norm(rows, `${prefix}ln_f`), tables.head, null, { in: c.width, out: c.vocab }, 'out-in');
  lossOutputs(g, inputs, hidden, head, c, options);
  return modelGraph(g, weights, {
    ...(!options.plainAttention && { portableBytes: () => buildGpt2Graph(checkpoint, { ...options, plainAttention: true }).bytes }),
    activationBytesPerToken: activationBytesPerToken({ ...c, context: options.context, plainAttention: options.plainAttention ?? false }),
    vocabSize: c.vocab,
  });
}
