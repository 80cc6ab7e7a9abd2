import { CheckpointError } from '../errors';
import type { Checkpoint } from '../formats/contract';
import { activationBytesPerToken } from '../graph/activationBytes';
import { activations } from '../graph/activations';
import { attend, causalBias, range, relativePositions } from '../graph/attend';
import { attention, attentionContext } from '../graph/attention';
import { GraphBuilder } from '../graph/builder';
import type { Value } from '../graph/builder';
import type { GraphOptions, ModelGraph } from '../graph/contract';
import { decoderInputs, lossOutputs } from '../graph/lossHead';
import { Weights, modelGraph } from '../graph/weights';
import { layerNorm } from './maskedHead';
import { ropeTables } from './rope';
import type { Rope } from './rope';
import { tiedTables } from './tiedTables';

/** One block's parts, by full name without `.weight`. */
export interface ClassicBlock {
  readonly attentionNorm: string;
  /** Null where both halves read the same norm. */
  readonly mlpNorm: string | null;
  /** Three matrices, or one whose outputs are (heads, 3, headDim). */
  readonly qkv: readonly [string, string, string] | string;
  readonly out: string;
  readonly up: string;
  readonly down: string;
}

/** A decoder with LayerNorm, a plain MLP and full attention: what OPT, GPT-NeoX, GPT-J, BLOOM and Phi have in common and where they differ. */
export interface ClassicModel {
  readonly id: string;
  readonly width: number; readonly heads: number; readonly kvHeads: number; readonly inner: number; readonly layers: number; readonly vocab: number;
  readonly epsilon: number;
  readonly activation: string;
  readonly embedding: string;
  /** Width of the embedding and the head, mapped to the width of the blocks and back where it is another. */
  readonly embeddingWidth: number;
  readonly projections: { readonly in: string; readonly out: string } | null;
  readonly embeddingNorm: string | null;
  readonly finalNorm: string | null;
  readonly head: string;
  readonly headBias: boolean;
  readonly tied: boolean;
  /** Learned positions: the table, its rows, and the row of the first token. */
  readonly positions: { readonly name: string; readonly rows: number; readonly offset: number } | null;
  readonly rotary: { readonly rope: Rope; readonly style: 'halves' | 'pairs' } | null;
  /** A slope a head, times the key's position, added to the scores. */
  readonly alibi: Float32Array | null;
  readonly bias: { readonly qkv: boolean; readonly out: boolean; readonly mlp: boolean };
  /** `sequential`: the MLP reads what attention made; `parallel`: both read the same; `post`: norms come after each half. */
  readonly residual: 'sequential' | 'parallel' | 'post';
  /** The sum takes the norm's output in place of its input (BLOOM, optionally). */
  readonly residualOfNorm: boolean;
  block(layer: number): ClassicBlock;
}

/** @throws CheckpointError `tensor-missing`, `tensor-shape-differs`, `unsupported-dtype`, `context-too-long` */
export function buildClassicGraph(read: (has: (name: string) => boolean) => ClassicModel, checkpoint: Checkpoint, options: GraphOptions): ModelGraph {
  const names = new Set(checkpoint.tensors.map((tensor) => tensor.name));
  const c = read((name) => names.has(name)), headDim = c.width / c.heads, kvWidth = c.kvHeads * headDim;
  const g = new GraphBuilder(c.id);
  const weights = new Weights(g, checkpoint, options);
  const tables = tiedTables(checkpoint, `${c.embedding}.weight`, `${c.head}.weight`, c.tied);
  const inputs = decoderInputs(g), plain = options.plainAttention ?? false;
  const context = attentionContext(g, inputs.inputIds, inputs.length, plain);
  const norm = (x: Value, name: string, width = c.width): Value => layerNorm(g, weights, x, name, width, c.epsilon);
  const linear = (x: Value, name: string, bias: boolean, from: number, to: number): Value => weights.linear(x, `${name}.weight`, bias ? `${name}.bias` : null, { in: from, out: to }, 'out-in');
  const rope = c.rotary ? ropeTables(g, c.rotary.rope, options.context, inputs.length) : null;
  const bias = c.alibi ? alibiBias(g, inputs.length, c.alibi) : null;

  const rotated = (x: Value, heads: number): Value => {
    if (!c.rotary || !rope) return x;
    const dims = g.op('Concat', [context.batch, context.length, g.ints64([heads, headDim])], { axis: { i: 0 } });
    return g.reshape(rotatePart(g, g.op('Reshape', [x, dims]), rope, c.rotary.rope.dim, headDim, c.rotary.style, context.length), [-1, heads * headDim]);
  };
  const qkv = (x: Value, names: ClassicBlock['qkv']): readonly Value[] => {
    if (typeof names !== 'string') return names.map((name, i) => linear(x, name, c.bias.qkv, c.width, i === 0 ? c.width : kvWidth));
    const parts = g.ops('Split', [g.reshape(linear(x, names, c.bias.qkv, c.width, 3 * c.width), [-1, c.heads, 3, headDim])], 3, { axis: { i: 2 }, num_outputs: { i: 3 } });
    return parts.map((part) => g.reshape(part, [-1, c.width]));
  };
  const mix = (x: Value, block: ClassicBlock): Value => {
    const [q, k, v] = qkv(x, block.qkv);
    const mixed = bias !== null
      ? attend(g, q, k, v, { batch: context.batch, queries: inputs.length, keys: inputs.length, heads: c.heads, headDim, scale: headDim ** -0.5, bias, plain })
      : attention(g, context, rotated(q, c.heads), rotated(k, c.kvHeads), v, { heads: c.heads, kvHeads: c.kvHeads, headDim, scale: headDim ** -0.5, slidingWindow: null });
    return linear(mixed, block.out, c.bias.out, c.width, c.width);
  };
  const mlp = (x: Value, block: ClassicBlock): Value => linear(activations[c.activation](g, linear(x, block.up, c.bias.mlp, c.width, c.inner)), block.down, c.bias.mlp, c.inner, c.width);
  const add = (a: Value, b: Value): Value => g.op('Add', [a, b]);

  let hidden = g.reshape(weights.rows(tables.embedding, [c.vocab, c.embeddingWidth], inputs.inputIds), [-1, c.embeddingWidth]);
  if (c.embeddingWidth !== c.width) {
    if (!c.projections) throw new CheckpointError('internal', {}, 'a narrow embedding without projections');
    hidden = linear(hidden, c.projections.in, false, c.embeddingWidth, c.width);
  }
  if (c.embeddingNorm) hidden = norm(hidden, c.embeddingNorm);
  if (c.positions) {
    const { name, rows, offset } = c.positions;
    if (options.context > rows - offset) throw new CheckpointError('context-too-long', { file: checkpoint.path }, `context ${options.context}, the model has ${rows - offset} positions`);
    const at = g.op('Add', [range(g, inputs.length), g.ints64([offset], [])]);
    const dims = g.op('Concat', [context.batch, context.length, g.ints64([c.width])], { axis: { i: 0 } });
    hidden = g.reshape(add(g.op('Reshape', [hidden, dims]), weights.rows(`${name}.weight`, [rows, c.width], at)), [-1, c.width]);
  }
  for (let layer = 0; layer < c.layers; layer++) {
    g.boundary(hidden);
    const block = c.block(layer);
    if (c.residual === 'post') {
      hidden = norm(add(hidden, mix(hidden, block)), block.attentionNorm);
      hidden = norm(add(hidden, mlp(hidden, block)), block.mlpNorm ?? block.attentionNorm);
      continue;
    }
    const normed = norm(hidden, block.attentionNorm), mixed = mix(normed, block);
    if (c.residual === 'parallel') {
      hidden = add(add(mixed, mlp(block.mlpNorm ? norm(hidden, block.mlpNorm) : normed, block)), hidden);
      continue;
    }
    const after = add(c.residualOfNorm ? normed : hidden, mixed), normedAfter = norm(after, block.mlpNorm ?? block.attentionNorm);
    hidden = add(c.residualOfNorm ? normedAfter : after, mlp(normedAfter, block));
  }
  g.boundary(hidden);

  const head = (rows: Value): Value => {
    const normed = c.finalNorm ? norm(rows, c.finalNorm) : rows;
    const narrowed = c.projections && c.embeddingWidth !== c.width ? linear(normed, c.projections.out, false, c.width, c.embeddingWidth) : normed;
    return weights.linear(narrowed, tables.head, c.headBias ? `${c.head}.bias` : null, { in: c.embeddingWidth, out: c.vocab }, 'out-in');
  };
  lossOutputs(g, inputs, hidden, head, c, options);
  return modelGraph(g, weights, {
    ...(!plain && { portableBytes: () => buildClassicGraph(read, checkpoint, { ...options, plainAttention: true }).bytes }),
    activationBytesPerToken: activationBytesPerToken({ ...c, context: options.context, plainAttention: plain || c.alibi !== null }),
    vocabSize: c.vocab,
  });
}

/**
 * The first `dim` numbers of each head (batch, length, heads, headDim) rotated, the rest as it is. `halves` turns number i with
 * number i + dim / 2, `pairs` number 2 i with 2 i + 1.
 */
function rotatePart(g: GraphBuilder, x: Value, rope: { readonly cos: Value; readonly sin: Value }, dim: number, headDim: number, style: 'halves' | 'pairs', length: Value): Value {
  const table = (values: Value): Value => g.op('Unsqueeze', [g.op('Slice', [values, g.ints64([0]), length, g.ints64([0])]), g.ints64([1])]);
  const part = (from: number, to: number, step = 1): Value => g.op('Slice', [x, g.ints64([from]), g.ints64([to]), g.ints64([3]), g.ints64([step])]);
  const [cos, sin] = [table(rope.cos), table(rope.sin)];
  const [a, b] = style === 'halves' ? [part(0, dim / 2), part(dim / 2, dim)] : [part(0, dim, 2), part(1, dim, 2)];
  const turned = [g.op('Sub', [g.op('Mul', [a, cos]), g.op('Mul', [b, sin])]), g.op('Add', [g.op('Mul', [b, cos]), g.op('Mul', [a, sin])])];
  let front: Value;
  if (style === 'halves') front = g.op('Concat', turned, { axis: { i: 3 } });
  else {
    const stacked = g.op('Concat', turned.map((half) => g.op('Unsqueeze', [half, g.ints64([4])])), { axis: { i: 4 } });
    front = g.op('Reshape', [stacked, g.ints64([0, 0, 0, dim])]);
  }
  return dim === headDim ? front : g.op('Concat', [front, part(dim, headDim)], { axis: { i: 3 } });
}

/** (1, heads, length, length): slope times key position, the lowest float where the key comes after the query. */
function alibiBias(g: GraphBuilder, length: Value, slopes: Float32Array): Value {
  const distances = g.op('Mul', [g.floats(slopes, [1, slopes.length, 1, 1]), g.cast(range(g, length), 'F32')]);
  return g.op('Add', [distances, causalBias(g, relativePositions(g, length, length))]);
}
