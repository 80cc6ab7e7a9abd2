import { CheckpointError } from '../errors';
import type { Checkpoint } from '../formats/contract';
import { activationBytesPerToken } from '../graph/activationBytes';
import { activations } from '../graph/activations';
import { range, relativePositions, splitHeads, weighValues } from '../graph/attend';
import { GraphBuilder } from '../graph/builder';
import type { Value } from '../graph/builder';
import type { GraphOptions, ModelGraph } from '../graph/contract';
import { decoderInputs, lossOutputs } from '../graph/lossHead';
import { Weights, modelGraph } from '../graph/weights';
import { readDebertaConfig, relativeRows } from './debertaConfig';
import { ConfigReader } from './graphConfig';
import { findMaskedHead, layerNorm, maskedHead } from './maskedHead';
import type { HeadNames } from './maskedHead';

/** The head as Microsoft's files name it, and as transformers' `legacy` class does. */
const MICROSOFT: HeadNames = { dense: 'lm_predictions.lm_head.dense', norm: 'lm_predictions.lm_head.LayerNorm', table: null, bias: ['lm_predictions.lm_head.bias'] };
const LEGACY: HeadNames = { dense: 'cls.predictions.transform.dense', norm: 'cls.predictions.transform.LayerNorm', table: 'cls.predictions.decoder.weight', bias: ['cls.predictions.decoder.bias', 'cls.predictions.bias'] };

const prefixOf = (has: (name: string) => boolean): string => (has('deberta.embeddings.word_embeddings.weight') ? 'deberta.' : '');

/**
 * `emd` where the checkpoint was made for the Enhanced Mask Decoder: positions are not part of the input, but are stored,
 * beside a head of Microsoft's naming.
 */
export function debertaDecoder(checkpoint: Checkpoint): 'emd' | 'plain' {
  const names = new Set(checkpoint.tensors.map((tensor) => tensor.name)), has = (name: string): boolean => names.has(name);
  const positions = has(`${prefixOf(has)}embeddings.position_embeddings.weight`);
  return checkpoint.config?.position_biased_input === false && positions && has(`${MICROSOFT.dense}.weight`) ? 'emd' : 'plain';
}

/**
 * DeBERTa-v2: attention scores are content to content, content to relative position and position to content, over a
 * shared table of relative positions; a convolution beside the first block; LayerNorm after each half.
 *
 * The Enhanced Mask Decoder, from Microsoft's masked-language-model application: the query is the last block's input
 * plus the absolute positions; the last block runs twice with that query (the second time with its own answer) over its
 * input as keys and values. transformers has no such decoder and takes the last block's plain output.
 *
 * @throws CheckpointError `no-config`, `unsupported-config`, `head-missing`, `tensor-missing`, `tensor-shape-differs`, `context-too-long`
 */
export function buildDebertaGraph(checkpoint: Checkpoint, options: GraphOptions): ModelGraph {
  const config = ConfigReader.of(checkpoint), c = readDebertaConfig(config), decoder = options.decoder ?? debertaDecoder(checkpoint);
  if (options.context > c.positions) throw new CheckpointError('context-too-long', { file: checkpoint.path }, `context ${options.context}, the model has ${c.positions} positions`);
  const g = new GraphBuilder('deberta-v2');
  const weights = new Weights(g, checkpoint, options);
  const prefix = prefixOf((name) => weights.has(name)), all = c.heads * c.headDim;
  const names = findMaskedHead(checkpoint, weights, config.json.legacy === true ? [LEGACY, MICROSOFT] : [MICROSOFT, LEGACY]);
  const inputs = decoderInputs(g), { length } = inputs;
  const batch = g.op('Shape', [inputs.inputIds], { start: { i: 0 }, end: { i: 1 } });
  const norm = (x: Value, name: string): Value => layerNorm(g, weights, x, name, c.width, c.epsilon);
  const linear = (x: Value, name: string, from: number, to: number): Value => weights.linear(x, `${name}.weight`, `${name}.bias`, { in: from, out: to }, 'out-in');
  const rows = (kind: string, count: number, ids: Value): Value => weights.rows(`${prefix}embeddings.${kind}_embeddings.weight`, [count, c.embedding], ids);

  const embed = (): Value => {
    let sum = rows('word', c.vocab, inputs.inputIds);
    if (c.biasedInput) sum = g.op('Add', [sum, rows('position', c.positions, range(g, length))]);
    if (c.types > 0) sum = g.op('Add', [sum, rows('token_type', c.types, g.ints64([0]))]);
    const flat = g.reshape(sum, [-1, c.embedding]);
    return norm(c.embedding === c.width ? flat : weights.linear(flat, `${prefix}embeddings.embed_proj.weight`, null, { in: c.embedding, out: c.width }, 'out-in'), `${prefix}embeddings.LayerNorm`);
  };

  // (2 span, width): one row a distance, the same for every block; and for each query and key, which row.
  const stored = 2 * c.span;
  const table = c.relative ? weights.f32(`${prefix}encoder.rel_embeddings.weight`, [stored, c.width]) : null;
  const relative = table !== null && c.normRelative ? norm(table, `${prefix}encoder.LayerNorm`) : table;
  const lookup = g.ints64(relativeRows(options.context, c));
  // relativePositions is key less query; the table goes by query less key.
  const which = g.op('Gather', [lookup, g.op('Sub', [g.ints64([options.context - 1], []), relativePositions(g, length, length)])]);
  const byHead = g.op('Expand', [which, g.op('Concat', [batch, g.ints64([c.heads, 1, 1])], { axis: { i: 0 } })]);
  const byKey = g.op('Transpose', [byHead], { perm: { is: [0, 1, 3, 2] } });
  const scale = 1 / Math.sqrt(c.headDim * (1 + Number(c.contentToPosition) + Number(c.positionToContent)));

  const heads = (x: Value, swapped = false): Value => splitHeads(g, x, { ...c, batch }, length, swapped);
  /** (2 span, all) -> (1, heads, headDim, 2 span) */
  const tableHeads = (x: Value): Value => splitHeads(g, x, { ...c, batch: g.ints64([1]) }, g.ints64([stored]), true);
  const attention = (states: Value, query: Value, at: string): Value => {
    const q = heads(linear(query, `${at}.query_proj`, c.width, all)), keys = linear(states, `${at}.key_proj`, c.width, all);
    let scores = g.op('MatMul', [q, heads(keys, true)]);
    const distances = (shared: string, own: string): Value => tableHeads(linear(relative!, `${at}.${c.shareKey ? shared : own}`, c.width, all));
    if (relative !== null && c.contentToPosition) {
      const all2span = g.op('MatMul', [q, distances('key_proj', 'pos_key_proj')]);
      scores = g.op('Add', [scores, g.op('GatherElements', [all2span, byHead], { axis: { i: 3 } })]);
    }
    if (relative !== null && c.positionToContent) {
      const all2span = g.op('MatMul', [heads(keys), distances('query_proj', 'pos_query_proj')]);
      scores = g.op('Add', [scores, g.op('Transpose', [g.op('GatherElements', [all2span, byKey], { axis: { i: 3 } })], { perm: { is: [0, 1, 3, 2] } })]);
    }
    return weighValues(g, g.op('Mul', [scores, g.float(scale)]), heads(linear(states, `${at}.value_proj`, c.width, all)), all);
  };
  /** One block over `states`; asked by `query`, which is the states themselves but in the Enhanced Mask Decoder. */
  const run = (layer: number, states: Value, query = states): Value => {
    const at = `${prefix}encoder.layer.${layer}`;
    const mixed = linear(attention(states, query, `${at}.attention.self`), `${at}.attention.output.dense`, all, c.width);
    const seen = norm(g.op('Add', [mixed, query]), `${at}.attention.output.LayerNorm`);
    const up = activations[c.activation](g, linear(seen, `${at}.intermediate.dense`, c.width, c.inner));
    return norm(g.op('Add', [linear(up, `${at}.output.dense`, c.inner, c.width), seen]), `${at}.output.LayerNorm`);
  };
  /** The convolution over the embeddings, added to the first block's answer. */
  const convolve = (embedded: Value, answer: Value, conv: NonNullable<typeof c.conv>): Value => {
    const at = `${prefix}encoder.conv`;
    const dims = g.op('Concat', [batch, length, g.ints64([c.width])], { axis: { i: 0 } });
    const columns = g.op('Transpose', [g.op('Reshape', [embedded, dims])], { perm: { is: [0, 2, 1] } });
    const filter = weights.f32(`${at}.conv.weight`, [c.width, c.width / conv.groups, conv.kernel]), padding = (conv.kernel - 1) / 2;
    const out = g.op('Conv', [columns, filter, weights.f32(`${at}.conv.bias`, [c.width])], { pads: { is: [padding, padding] }, group: { i: conv.groups }, kernel_shape: { is: [conv.kernel] } });
    const flat = g.reshape(g.op('Transpose', [activations[conv.activation](g, out)], { perm: { is: [0, 2, 1] } }), [-1, c.width]);
    return norm(g.op('Add', [answer, flat]), `${at}.LayerNorm`);
  };

  const embedded = embed();
  let hidden = embedded;
  const emd = decoder === 'emd';
  for (let layer = 0; layer < (emd ? c.layers - 1 : c.layers); layer++) {
    g.boundary(hidden);
    hidden = run(layer, hidden);
    if (layer === 0 && c.conv) hidden = convolve(embedded, hidden, c.conv);
  }
  if (emd) {
    g.boundary(hidden);
    const positions = rows('position', c.positions, range(g, length));
    const dims = g.op('Concat', [batch, length, g.ints64([c.width])], { axis: { i: 0 } });
    const asked = g.reshape(g.op('Add', [g.op('Reshape', [hidden, dims]), positions]), [-1, c.width]);
    hidden = run(c.layers - 1, hidden, run(c.layers - 1, hidden, asked));
  }

  g.boundary(hidden);
  const shape = names === LEGACY ? c : { ...c, embedding: c.width };
  lossOutputs(g, inputs, hidden, maskedHead(g, checkpoint, weights, names, `${prefix}embeddings.word_embeddings.weight`, shape), c, options);
  return modelGraph(g, weights, {
    // Three kinds of scores, and indices of eight bytes for two of them.
    activationBytesPerToken: 2 * activationBytesPerToken({ ...c, context: options.context + stored, plainAttention: true }),
    vocabSize: c.vocab,
  });
}
