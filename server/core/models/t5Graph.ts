import type { Checkpoint } from '../formats/contract';
import { activationBytesPerToken } from '../graph/activationBytes';
import { activations } from '../graph/activations';
import { LOWEST_FLOAT, attend, relativePositions } from '../graph/attend';
import { GraphBuilder } from '../graph/builder';
import type { Value } from '../graph/builder';
import type { GraphOptions, ModelGraph } from '../graph/contract';
import { decoderInputs, lossOutputs } from '../graph/lossHead';
import { Weights, modelGraph } from '../graph/weights';
import { ConfigReader } from './graphConfig';
import { tiedTables } from './tiedTables';

const f = Math.fround;

/** What transformers assumes of each model type where a configuration is silent. */
const families = {
  t5: { vocab: 32128, layers: 6, heads: 8, inner: 2048, feedForward: 'relu' },
  mt5: { vocab: 250112, layers: 8, heads: 6, inner: 1024, feedForward: 'gated-gelu' },
  umt5: { vocab: 250112, layers: 8, heads: 6, inner: 1024, feedForward: 'gated-gelu' },
} as const;

/** The numbers of a T5 configuration, with transformers' defaults. */
function readConfig(config: ConfigReader) {
  const type = config.choice('model_type', 't5', Object.keys(families)) as keyof typeof families, family = families[type];
  const layers = config.count('num_layers', family.layers, 4096);
  const feedForward = config.choice('feed_forward_proj', family.feedForward, [...Object.keys(activations), ...Object.keys(activations).map((name) => `gated-${name}`)]);
  const gated = feedForward.startsWith('gated-');
  const buckets = config.count('relative_attention_num_buckets', 32, 65536);
  const distance = config.count('relative_attention_max_distance', 128);
  if (buckets % 4) config.refuse('relative_attention_num_buckets', 'is not divisible by 4: two directions, each half exact');
  if (distance <= buckets / 2) config.refuse('relative_attention_max_distance', `is not above half of the ${buckets} buckets`);
  return {
    width: config.count('d_model', 512), headDim: config.count('d_kv', 64, 65536), heads: config.count('num_heads', family.heads, 65536),
    inner: config.count('d_ff', family.inner), vocab: config.count('vocab_size', family.vocab), layers,
    decoderLayers: config.count('num_decoder_layers', layers, 4096),
    buckets, distance, gated,
    epsilon: config.number('layer_norm_epsilon', 1e-6, 0, 1),
    // "gated-gelu" has always meant the tanh form.
    activation: feedForward === 'gated-gelu' ? 'gelu_new' : feedForward.replace('gated-', ''),
    /** A bias of relative positions in every block, not in the first alone. */
    biasInEach: type === 'umt5',
    // transformers 5 writes the rule down; before, a tied head said it. Multilingual T5's head is never scaled.
    scaled: type === 'mt5' ? false : config.has('scale_decoder_outputs') ? config.flag('scale_decoder_outputs', true) : config.flag('tie_word_embeddings', true),
  };
}

/**
 * The bucket of every relative position (key less query) from 1 - span to span - 1: half of them exact, the rest by
 * logarithm up to `distance`. Rounded to F32 where transformers rounds.
 */
export function relativeBuckets(span: number, buckets: number, distance: number, bothWays: boolean): number[] {
  const count = bothWays ? buckets / 2 : buckets, exact = Math.floor(count / 2);
  const steps = f(Math.log(distance / exact));
  return Array.from({ length: 2 * span - 1 }, (_, at) => {
    const relative = at - (span - 1);
    const far = bothWays ? Math.abs(relative) : Math.max(0, -relative);
    const large = exact + Math.trunc(f(f(f(Math.log(f(far / exact))) / steps) * (count - exact)));
    return (bothWays && relative > 0 ? count : 0) + (far < exact ? far : Math.min(large, count - 1));
  });
}

/**
 * T5: encoder and decoder in one graph. RMSNorm before each half, unscaled scores plus one learned bias by relative
 * position (that of block 0, shared by all of a stack), plain or gated MLP, no biases. F16 weights are widened: their
 * products overflow F16 (in `wo`), not F32.
 *
 * @throws CheckpointError `no-config`, `unsupported-config`, `tensor-missing`, `tensor-shape-differs`, `unsupported-dtype`
 */
export function buildT5Graph(checkpoint: Checkpoint, options: GraphOptions): ModelGraph {
  const c = readConfig(ConfigReader.of(checkpoint));
  const g = new GraphBuilder('t5');
  const weights = new Weights(g, checkpoint, options);
  const table = ['shared.weight', 'encoder.embed_tokens.weight', 'decoder.embed_tokens.weight'].find((name) => weights.has(name)) ?? 'shared.weight';
  const tables = tiedTables(checkpoint, table, 'lm_head.weight', true);
  const encoderIds = g.input('encoder_ids', 'I64', ['batch', 'encoder_length']);
  const inputs = decoderInputs(g);
  const encoderLength = g.op('Shape', [encoderIds], { start: { i: 1 }, end: { i: 2 } });
  const batch = g.op('Shape', [encoderIds], { start: { i: 0 }, end: { i: 1 } });
  const plain = options.plainAttention ?? false, qWidth = c.heads * c.headDim;
  const norm = (x: Value, name: string): Value => g.op('SimplifiedLayerNormalization', [x, weights.f32(`${name}.weight`, [c.width])], { axis: { i: -1 }, epsilon: { f: c.epsilon } });
  const linear = (x: Value, name: string, from: number, to: number): Value => weights.linear(x, `${name}.weight`, null, { in: from, out: to }, 'out-in');
  const embed = (ids: Value): Value => g.reshape(weights.rows(tables.embedding, [c.vocab, c.width], ids), [-1, c.width]);

  /** (1, heads, length, length) */
  const positionBias = (stack: 'encoder' | 'decoder', length: Value, layer = 0): Value => {
    // One more than the window: the encoder's end token.
    const span = options.context + 1;
    const relative = relativePositions(g, length, length);
    const lookup = g.ints64(relativeBuckets(span, c.buckets, c.distance, stack === 'encoder'));
    const bucket = g.op('Gather', [lookup, g.op('Add', [relative, g.ints64([span - 1], [])])]);
    const bias = weights.rows(`${stack}.block.${layer}.layer.0.SelfAttention.relative_attention_bias.weight`, [c.buckets, c.heads], bucket);
    const byHead = g.op('Unsqueeze', [g.op('Transpose', [bias], { perm: { is: [2, 0, 1] } }), g.ints64([0])]);
    return stack === 'encoder' ? byHead : g.op('Where', [g.op('Greater', [relative, g.ints64([0], [])]), g.float(LOWEST_FLOAT), byHead]);
  };
  const attention = (x: Value, name: string, kind: string, length: Value, bias: Value | null, others?: Value): Value => {
    const normed = norm(x, `${name}.layer_norm`), source = others ?? normed, at = `${name}.${kind}`;
    const mixed = attend(g, linear(normed, `${at}.q`, c.width, qWidth), linear(source, `${at}.k`, c.width, qWidth), linear(source, `${at}.v`, c.width, qWidth),
      { batch, queries: length, keys: others ? encoderLength : length, heads: c.heads, headDim: c.headDim, scale: 1, plain, ...(bias && { bias }) });
    return g.op('Add', [x, linear(mixed, `${at}.o`, qWidth, c.width)]);
  };
  const feedForward = (x: Value, name: string): Value => {
    const normed = norm(x, `${name}.layer_norm`), at = `${name}.DenseReluDense`;
    const first = activations[c.activation](g, linear(normed, c.gated ? `${at}.wi_0` : `${at}.wi`, c.width, c.inner));
    const inner = c.gated ? g.op('Mul', [first, linear(normed, `${at}.wi_1`, c.width, c.inner)]) : first;
    return g.op('Add', [x, linear(inner, `${at}.wo`, c.inner, c.width)]);
  };

  let encoded = embed(encoderIds);
  const encoderBias = positionBias('encoder', encoderLength);
  for (let layer = 0; layer < c.layers; layer++) {
    g.boundary(encoded);
    const block = `encoder.block.${layer}`;
    encoded = feedForward(attention(encoded, `${block}.layer.0`, 'SelfAttention', encoderLength, layer > 0 && c.biasInEach ? positionBias('encoder', encoderLength, layer) : encoderBias), `${block}.layer.1`);
  }
  encoded = norm(encoded, 'encoder.final_layer_norm');

  let hidden = embed(inputs.inputIds);
  const decoderBias = positionBias('decoder', inputs.length);
  for (let layer = 0; layer < c.decoderLayers; layer++) {
    g.boundary(hidden, encoded);
    const block = `decoder.block.${layer}`;
    hidden = attention(hidden, `${block}.layer.0`, 'SelfAttention', inputs.length, layer > 0 && c.biasInEach ? positionBias('decoder', inputs.length, layer) : decoderBias);
    hidden = attention(hidden, `${block}.layer.1`, 'EncDecAttention', inputs.length, null, encoded);
    hidden = feedForward(hidden, `${block}.layer.2`);
  }
  g.boundary(hidden);

  const head = (rows: Value): Value => {
    const normed = norm(rows, 'decoder.final_layer_norm');
    return weights.linear(c.scaled ? g.op('Mul', [normed, g.float(c.width ** -0.5)]) : normed, tables.head, null, { in: c.width, out: c.vocab }, 'out-in');
  };
  lossOutputs(g, inputs, hidden, head, c, options);
  return modelGraph(g, weights, {
    ...(!plain && { portableBytes: () => buildT5Graph(checkpoint, { ...options, plainAttention: true }).bytes }),
    takesEncoder: true,
    activationBytesPerToken: activationBytesPerToken({ ...c, inner: (c.gated ? 2 : 1) * c.inner, width: Math.max(c.width, qWidth), context: options.context, plainAttention: true }),
    vocabSize: c.vocab,
  });
}
