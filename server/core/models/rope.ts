import type { GraphBuilder, Value } from '../graph/builder';
import type { ConfigReader } from './graphConfig';

/**
 * Rotary position embedding as transformers computes it (5.x, `modeling_rope_utils`): the same formulas, rounded to
 * F32 at the same places, because a frequency that is off by one unit in the last place is off by a visible angle at
 * position 4,000.
 */
export interface Rope {
  /** Numbers per head that are rotated; all of the head in these families. */
  readonly dim: number;
  /** Inverse frequencies (dim / 2) for a window of `length` tokens. Constant in `length` unless `dynamic`. */
  inverseFrequencies(length: number): Float32Array;
  /** Multiplies cosines and sines (yarn); 1 elsewhere. */
  readonly scaling: number;
  /** Set when the frequencies of a window longer than `maxPositions` depend on its length. */
  readonly dynamic: { readonly base: number; readonly factor: number; readonly maxPositions: number } | null;
}

const f = Math.fround;
const ropeTypes = ['default', 'linear', 'dynamic', 'yarn', 'llama3'];

/** base ** (2 i / dim), F32, for i in 0..dim/2. */
const powers = (base: number, dim: number): Float32Array => Float32Array.from({ length: Math.ceil(dim / 2) }, (_, i) => f(f(base) ** f((2 * i) / dim)));
const inverse = (base: number, dim: number): Float32Array => powers(base, dim).map((power) => f(1 / power));

/**
 * Reads the rope part of a configuration: `rope_parameters` (transformers 5), or `rope_scaling` with `type` or
 * `rope_type` beside `rope_theta` (transformers 4). As in transformers, `rope_scaling` wins where both are there.
 *
 * @throws CheckpointError `unsupported-config` naming the key and the value
 */
export function readRope(config: ConfigReader, headDim: number, maxPositions: number, defaultTheta = 10000): Rope {
  const scaling = config.object('rope_scaling');
  const source = scaling && Object.keys(scaling.json).length ? scaling : config.object('rope_parameters');
  const typeKey = source?.has('rope_type') ? 'rope_type' : 'type';
  const type = source?.choice(typeKey, 'default', ropeTypes) ?? 'default';
  const theta = source?.has('rope_theta') ? source.number('rope_theta', undefined, 1e-3, 1e15) : config.number('rope_theta', defaultTheta, 1e-3, 1e15);
  if (source && Object.values(source.json).some((value) => typeof value === 'object' && value !== null && !Array.isArray(value))) {
    source.refuse(Object.keys(source.json)[0], 'rope parameters by layer type are not evaluated');
  }
  if (headDim % 2) config.refuse('head_dim', 'rotary embeddings need an even head');
  const partialOf = source?.has('partial_rotary_factor') ? source : config;
  // transformers 5 ignores it for `default` in these families, and cannot run the other types with it.
  if (type !== 'default' && partialOf.number('partial_rotary_factor', 1, 0, 1) !== 1) partialOf.refuse('partial_rotary_factor', 'these families rotate the whole head');

  const fixed = (frequencies: Float32Array, attention = 1): Rope => ({ dim: headDim, inverseFrequencies: () => frequencies, scaling: attention, dynamic: null });
  if (!source || type === 'default') return fixed(inverse(theta, headDim));
  const factor = (fallback?: number): number => source.number('factor', fallback, 1e-3, 1e6);
  if (type === 'linear') {
    const by = factor();
    return fixed(inverse(theta, headDim).map((x) => f(x / f(by))));
  }
  if (type === 'dynamic') return dynamicRope(config, theta, headDim, factor(), maxPositions);

  const originalOf = config.has('original_max_position_embeddings') ? config : source;
  const original = originalOf.count('original_max_position_embeddings', maxPositions);
  if (type === 'llama3') return fixed(llama3(source, inverse(theta, headDim), factor(), original));
  return yarn(source, theta, headDim, factor(maxPositions / original), original, fixed);
}

/** Rotation without any scaling, over the first `dim` numbers of a head. */
export function plainRope(theta: number, dim: number): Rope {
  const frequencies = inverse(theta, dim);
  return { dim, inverseFrequencies: () => frequencies, scaling: 1, dynamic: null };
}

/**
 * Rotation of a share of each head, as families older than Llama have it: keys of their own, or `rope_parameters`
 * (transformers 5). Null where nothing is rotated.
 *
 * @throws CheckpointError `unsupported-config`; scaled rotations are not evaluated in these families
 */
export function partialRope(config: ConfigReader, headDim: number, maxPositions: number, keys: { readonly theta: string; readonly factor: string; readonly share: number }): Rope | null {
  const source = config.object('rope_parameters');
  const share = source?.has('partial_rotary_factor') ? source.number('partial_rotary_factor', 1, 0, 1) : config.number(keys.factor, keys.share, 0, 1);
  const dim = Math.trunc(headDim * share);
  if (dim % 2) config.refuse(keys.factor, `rotates ${dim} of ${headDim} numbers, and pairs are rotated`);
  if (dim === 0) return null;
  if (config.object('rope_scaling') || (source && source.choice('rope_type', 'default', ropeTypes) !== 'default')) {
    return share === 1 ? readRope(config, headDim, maxPositions) : (config.object('rope_scaling') ? config : source ?? config).refuse(config.has('rope_scaling') ? 'rope_scaling' : 'rope_type', 'a scaled rotation of a part of the head is not evaluated');
  }
  return plainRope(source?.has('rope_theta') ? source.number('rope_theta', undefined, 1e-3, 1e15) : config.number(keys.theta, 10000, 1e-3, 1e15), dim);
}

function dynamicRope(config: ConfigReader, theta: number, dim: number, factor: number, maxPositions: number): Rope {
  if (dim <= 2) config.refuse('head_dim', 'dynamic scaling needs a head wider than 2');
  return {
    dim, scaling: 1, dynamic: { base: theta, factor, maxPositions },
    inverseFrequencies: (length) => {
      const longest = Math.max(length, maxPositions);
      return inverse(theta * ((factor * longest) / maxPositions - (factor - 1)) ** (dim / (dim - 2)), dim);
    },
  };
}

function llama3(source: ConfigReader, frequencies: Float32Array, factor: number, original: number): Float32Array {
  const low = source.number('low_freq_factor', undefined, 1e-6, 1e6);
  const high = source.number('high_freq_factor', undefined, 1e-6, 1e6);
  if (high === low) source.refuse('high_freq_factor', 'equals low_freq_factor');
  return frequencies.map((x) => {
    const wavelength = f(f(2 * Math.PI) / x);
    const scaled = wavelength > f(original / low) ? f(x / f(factor)) : x;
    if (wavelength < f(original / high) || wavelength > f(original / low)) return scaled;
    const smooth = f(f(f(f(original) / wavelength) - f(low)) / f(high - low));
    return f(f(f(f(1 - smooth) * scaled) / f(factor)) + f(smooth * scaled));
  });
}

function yarn(source: ConfigReader, theta: number, dim: number, factor: number, original: number, fixed: (frequencies: Float32Array, attention: number) => Rope): Rope {
  const mscaleOf = (scale: number, mscale = 1): number => (scale <= 1 ? 1 : 0.1 * mscale * Math.log(scale) + 1);
  const optional = (key: string): number => (source.has(key) ? source.number(key, undefined, 0, 1e6) : 0);
  const [mscale, mscaleAll] = [optional('mscale'), optional('mscale_all_dim')];
  const attention = source.has('attention_factor') ? source.number('attention_factor', undefined, 0, 1e6)
    : mscale && mscaleAll ? mscaleOf(factor, mscale) / mscaleOf(factor, mscaleAll) : mscaleOf(factor);
  const correction = (rotations: number): number => (dim * Math.log(original / (rotations * 2 * Math.PI))) / (2 * Math.log(theta));
  let from = correction(optional('beta_fast') || 32);
  let to = correction(optional('beta_slow') || 1);
  if (source.flag('truncate', true)) [from, to] = [Math.floor(from), Math.ceil(to)];
  [from, to] = [Math.max(from, 0), Math.min(to, dim - 1)];
  if (from === to) to += 0.001;
  const frequencies = powers(theta, dim).map((power, i) => {
    const ramp = Math.min(Math.max(f(f(i - f(from)) / f(to - from)), 0), 1);
    const extrapolated = f(1 - ramp);
    return f(f(f(1 / f(f(factor) * power)) * f(1 - extrapolated)) + f(f(1 / power) * extrapolated));
  });
  return fixed(frequencies, attention);
}

/** Cosines and sines (length, dim / 2) of every position of a window, as values of the graph. */
export interface RopeTables { readonly cos: Value; readonly sin: Value }

/** Tables for windows of up to `context` tokens: constants, except where a longer window would have other frequencies. */
export function ropeTables(g: GraphBuilder, rope: Rope, context: number, length: Value): RopeTables {
  if (rope.dynamic && context > rope.dynamic.maxPositions) return dynamicTables(g, rope, rope.dynamic, length);
  const frequencies = rope.inverseFrequencies(context);
  const half = frequencies.length;
  const cos = new Float32Array(context * half);
  const sin = new Float32Array(context * half);
  for (let position = 0, at = 0; position < context; position++) {
    for (let i = 0; i < half; i++, at++) {
      const angle = f(position * frequencies[i]);
      cos[at] = f(f(Math.cos(angle)) * f(rope.scaling));
      sin[at] = f(f(Math.sin(angle)) * f(rope.scaling));
    }
  }
  return { cos: g.floats(cos, [context, half]), sin: g.floats(sin, [context, half]) };
}

/** NTK scaling inside the graph: the base grows with the window once it is longer than the model's own context. */
function dynamicTables(g: GraphBuilder, rope: Rope, ntk: NonNullable<Rope['dynamic']>, length: Value): RopeTables {
  const real = g.cast(g.op('Squeeze', [g.op('Max', [length, g.ints64([ntk.maxPositions])])]), 'F32');
  const stretched = g.op('Sub', [g.op('Div', [g.op('Mul', [real, g.float(ntk.factor)]), g.float(ntk.maxPositions)]), g.float(ntk.factor - 1)]);
  const base = g.op('Mul', [g.float(ntk.base), g.op('Pow', [stretched, g.float(rope.dim / (rope.dim - 2))])]);
  const exponents = g.floats(Array.from({ length: rope.dim / 2 }, (_, i) => (2 * i) / rope.dim));
  const frequencies = g.op('Reciprocal', [g.op('Pow', [base, exponents])]);
  const range = g.op('Range', [g.ints64([0], []), g.op('Squeeze', [length]), g.ints64([1], [])]);
  const angles = g.op('Mul', [g.reshape(g.cast(range, 'F32'), [-1, 1]), g.reshape(frequencies, [1, -1])]);
  return { cos: g.op('Cos', [angles]), sin: g.op('Sin', [angles]) };
}
