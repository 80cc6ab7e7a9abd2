import { MICROSOFT } from './builder';
import type { GraphBuilder, Value } from './builder';

/** How many heads, how wide, how they are scaled and how far they look back. */
export interface AttentionShape {
  readonly heads: number;
  /** Key and value heads; divides `heads`. */
  readonly kvHeads: number;
  readonly headDim: number;
  /** Multiplies the scores. */
  readonly scale: number;
  /** A token sees itself and the `slidingWindow - 1` tokens before it; null sees everything before. */
  readonly slidingWindow: number | null;
  /** Scores become cap * tanh(score / cap) before the mask. */
  readonly softcap?: number | null;
  /** Cosines and sines (at least length, headDim / 2) by which queries and keys are rotated, halves against halves. */
  readonly rope?: { readonly cos: Value; readonly sin: Value };
}

/** GroupQueryAttention takes only heads of a multiple of the first width, and rotates only those of the second. */
const FUSED_WIDTH = 8;
const ROTATED_WIDTH = 16;

/** What attention needs to know of the window, made once a graph. */
export interface AttentionContext {
  /** Additive masks (length, length) of 0 and -inf for plain attention, by sliding window. */
  readonly masks: Map<number | null, Value>;
  /** int64 [length] */
  readonly length: Value;
  /** int64 [batch] (a vector of one element, the batch size) */
  readonly batch: Value;
  /** Of the fused operator: int32 (batch) of length - 1, and int32 scalar length. Made on first use. */
  fused: { readonly last: Value; readonly total: Value } | null;
  readonly plain: boolean;
}

export function attentionContext(g: GraphBuilder, inputIds: Value, length: Value, plain: boolean): AttentionContext {
  return { masks: new Map(), length, batch: g.op('Shape', [inputIds], { start: { i: 0 }, end: { i: 1 } }), fused: null, plain };
}

/** Additive mask (length, length): 0 where query i may see key j, that is j <= i and j > i - slidingWindow; else the lowest float. */
function additiveMask(g: GraphBuilder, context: AttentionContext, slidingWindow: number | null): Value {
  const known = context.masks.get(slidingWindow);
  if (known !== undefined) return known;
  const index = g.op('Range', [g.ints64([0], []), g.op('Squeeze', [context.length]), g.ints64([1], [])]);
  const query = g.reshape(index, [-1, 1]);
  const key = g.reshape(index, [1, -1]);
  let hidden = g.op('Greater', [key, query]);
  if (slidingWindow !== null) {
    const tooOld = g.op('LessOrEqual', [key, g.op('Sub', [query, g.ints64([slidingWindow], [])])]);
    hidden = g.op('Or', [hidden, tooOld]);
  }
  const mask = g.op('Where', [hidden, g.float(-3.4028234663852886e38), g.float(0)]);
  context.masks.set(slidingWindow, mask);
  return mask;
}

/**
 * Causal attention. q (batch * length, heads * headDim), k and v (batch * length, kvHeads * headDim), not yet rotated;
 * answers (batch * length, heads * headDim).
 */
export function attention(g: GraphBuilder, context: AttentionContext, q: Value, k: Value, v: Value, shape: AttentionShape): Value {
  const out = context.plain || shape.headDim % FUSED_WIDTH ? plainAttention(g, context, q, k, v, shape) : fusedAttention(g, context, q, k, v, shape);
  return g.reshape(out, [-1, shape.heads * shape.headDim]);
}

/** cap * tanh(x / cap) */
export const softcapped = (g: GraphBuilder, x: Value, cap: number): Value => g.op('Mul', [g.op('Tanh', [g.op('Div', [x, g.float(cap)])]), g.float(cap)]);

function plainAttention(g: GraphBuilder, context: AttentionContext, q: Value, k: Value, v: Value, shape: AttentionShape): Value {
  const { heads, kvHeads, headDim } = shape;
  // Query heads that share a key head form one axis: (batch, kvHeads, group, length, headDim) against (batch, kvHeads, 1, ...).
  const split = (x: Value, group: number, perm: readonly number[]): Value => {
    const dims = g.op('Concat', [context.batch, context.length, g.ints64([kvHeads, group, headDim])], { axis: { i: 0 } });
    return g.op('Transpose', [g.op('Reshape', [x, dims])], { perm: { is: perm } });
  };
  const queries = rotate(g, context, split(q, heads / kvHeads, [0, 2, 3, 1, 4]), shape);
  const keys = g.op('Transpose', [rotate(g, context, split(k, 1, [0, 2, 3, 1, 4]), shape)], { perm: { is: [0, 1, 2, 4, 3] } });
  const values = split(v, 1, [0, 2, 3, 1, 4]);
  const raw = g.op('Mul', [g.op('MatMul', [queries, keys]), g.float(shape.scale)]);
  const scaled = shape.softcap ? softcapped(g, raw, shape.softcap) : raw;
  const weights = g.op('Softmax', [g.op('Add', [scaled, additiveMask(g, context, shape.slidingWindow)])], { axis: { i: -1 } });
  return g.op('Transpose', [g.op('MatMul', [weights, values])], { perm: { is: [0, 3, 1, 2, 4] } });
}

/**
 * x with halves a, b along its last axis becomes (a cos - b sin, b cos + a sin).
 *
 * @param x (..., length, headDim), or (..., length, heads, headDim) with `headsInside`
 */
function rotate(g: GraphBuilder, context: AttentionContext, x: Value, shape: AttentionShape, headsInside = false): Value {
  if (!shape.rope) return x;
  const table = (values: Value): Value => {
    const rows = g.op('Slice', [values, g.ints64([0]), context.length, g.ints64([0])]);
    return headsInside ? g.op('Unsqueeze', [rows, g.ints64([1])]) : rows;
  };
  const [cos, sin] = [table(shape.rope.cos), table(shape.rope.sin)];
  const [a, b] = g.ops('Split', [x], 2, { axis: { i: -1 }, num_outputs: { i: 2 } });
  const first = g.op('Sub', [g.op('Mul', [a, cos]), g.op('Mul', [b, sin])]);
  const second = g.op('Add', [g.op('Mul', [b, cos]), g.op('Mul', [a, sin])]);
  return g.op('Concat', [first, second], { axis: { i: -1 } });
}


function fusedAttention(g: GraphBuilder, context: AttentionContext, q: Value, k: Value, v: Value, shape: AttentionShape): Value {
  context.fused ??= {
    last: g.op('Expand', [g.cast(g.op('Sub', [context.length, g.ints64([1])]), 'I32'), context.batch]),
    total: g.cast(g.op('Squeeze', [context.length]), 'I32'),
  };
  const { heads, kvHeads, headDim, rope } = shape;
  const rotatesInside = rope !== undefined && headDim % ROTATED_WIDTH === 0;
  /** (batch * length, heads * headDim) -> (batch, length, heads * headDim), rotated here where the operator cannot. */
  const batched = (x: Value, count: number, rotated: boolean): Value => {
    const dims = (...last: readonly number[]): Value => g.op('Concat', [context.batch, context.length, g.ints64(last)], { axis: { i: 0 } });
    const flat = (value: Value): Value => g.op('Reshape', [value, dims(count * headDim)]);
    return rope && rotated && !rotatesInside ? flat(rotate(g, context, g.op('Reshape', [x, dims(count, headDim)]), shape, true)) : flat(x);
  };
  const inputs = [batched(q, heads, true), batched(k, kvHeads, true), batched(v, kvHeads, false), '', '', context.fused.last, context.fused.total,
    ...(rotatesInside ? [rope.cos, rope.sin] : [])];
  return g.ops('GroupQueryAttention', inputs, 3, {
    num_heads: { i: heads }, kv_num_heads: { i: kvHeads }, scale: { f: shape.scale },
    local_window_size: { i: shape.slidingWindow ?? -1 }, do_rotary: { i: rotatesInside ? 1 : 0 }, ...(shape.softcap && { softcap: { f: shape.softcap } }),
  }, MICROSOFT)[0];
}
