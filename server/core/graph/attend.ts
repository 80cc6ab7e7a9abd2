import { MICROSOFT } from './builder';
import type { GraphBuilder, Value } from './builder';

/** The size of one attention: who looks, at what, with how many heads. */
export interface AttendShape {
  /** int64 [1] values: windows in the batch, queries and keys in each. */
  readonly batch: Value;
  readonly queries: Value;
  readonly keys: Value;
  readonly heads: number;
  readonly headDim: number;
  /** Multiplies the scores. */
  readonly scale: number;
  /** Added to the scaled scores: (1 or batch, 1 or heads, queries, keys); masks are biases of the lowest float. */
  readonly bias?: Value;
  /** Standard operators only. */
  readonly plain: boolean;
}

/** Heads of (batch * length, heads * headDim) apart: (batch, heads, length, headDim), the last two swapped for keys. */
export function splitHeads(g: GraphBuilder, x: Value, shape: Pick<AttendShape, 'batch' | 'heads' | 'headDim'>, length: Value, swapped = false): Value {
  const dims = g.op('Concat', [shape.batch, length, g.ints64([shape.heads, shape.headDim])], { axis: { i: 0 } });
  return g.op('Transpose', [g.op('Reshape', [x, dims])], { perm: { is: swapped ? [0, 2, 3, 1] : [0, 2, 1, 3] } });
}

/** softmax(scores) times values (batch, heads, keys, headDim), heads joined again: (batch * queries, heads * headDim). */
export function weighValues(g: GraphBuilder, scores: Value, values: Value, width: number): Value {
  const weights = g.op('Softmax', [scores], { axis: { i: -1 } });
  return g.reshape(g.op('Transpose', [g.op('MatMul', [weights, values])], { perm: { is: [0, 2, 1, 3] } }), [-1, width]);
}

/**
 * Attention without rotation or grouping, causal only by its bias: encoders, cross attention, ALiBi.
 *
 * @param q (batch * queries, heads * headDim)
 * @param k, v (batch * keys, heads * headDim)
 * @returns (batch * queries, heads * headDim)
 */
export function attend(g: GraphBuilder, q: Value, k: Value, v: Value, shape: AttendShape): Value {
  const width = shape.heads * shape.headDim;
  if (!shape.plain) {
    const rows = (x: Value, length: Value): Value => g.op('Reshape', [x, g.op('Concat', [shape.batch, length, g.ints64([width])], { axis: { i: 0 } })]);
    const inputs = [rows(q, shape.queries), rows(k, shape.keys), rows(v, shape.keys), ...(shape.bias ? ['', '', shape.bias] : [])];
    return g.reshape(g.op('MultiHeadAttention', inputs, { num_heads: { i: shape.heads }, scale: { f: shape.scale } }, MICROSOFT), [-1, width]);
  }
  const scores = g.op('MatMul', [splitHeads(g, q, shape, shape.queries), splitHeads(g, k, shape, shape.keys, true)]);
  const scaled = shape.scale === 1 ? scores : g.op('Mul', [scores, g.float(shape.scale)]);
  return weighValues(g, shape.bias ? g.op('Add', [scaled, shape.bias]) : scaled, splitHeads(g, v, shape, shape.keys), width);
}

/** int64 (length): 0, 1, ..., length - 1. */
export const range = (g: GraphBuilder, length: Value): Value => g.op('Range', [g.ints64([0], []), g.op('Squeeze', [length]), g.ints64([1], [])]);

/** int64 (queries, keys): key position less query position. */
export const relativePositions = (g: GraphBuilder, queries: Value, keys: Value): Value =>
  g.op('Sub', [g.reshape(range(g, keys), [1, -1]), g.reshape(range(g, queries), [-1, 1])]);

/** The lowest float: what hides a key from a query. */
export const LOWEST_FLOAT = -3.4028234663852886e38;

/** Additive (length, length): the lowest float where the key comes after the query. */
export const causalBias = (g: GraphBuilder, relative: Value): Value => g.op('Where', [g.op('Greater', [relative, g.ints64([0], [])]), g.float(LOWEST_FLOAT), g.float(0)]);
