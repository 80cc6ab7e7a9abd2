import type { Moments } from './contract';

/** Moments of nothing. */
export const emptyMoments: Moments = { elements: 0, zeros: 0, nan: 0, inf: 0, min: NaN, max: NaN, sum: 0, m2: 0, absMax: NaN };

/** How many values min, max, sum and m2 are over. */
export const finiteCount = (m: Moments): number => m.elements - m.nan - m.inf;

/** Mean of the finite values; NaN when there are none. */
export const meanOf = (m: Moments): number => m.mean ?? m.sum / finiteCount(m);

/** Population standard deviation (ddof 0) of the finite values; NaN when there are none. */
export const stdOf = (m: Moments): number => (m.root === undefined ? Math.sqrt(m.m2 / finiteCount(m)) : m.root / Math.sqrt(finiteCount(m)));

const rootOf = (m: Moments): number => m.root ?? Math.sqrt(m.m2);

const least = (a: number, b: number): number => (Number.isNaN(a) ? b : Number.isNaN(b) ? a : Math.min(a, b));
const most = (a: number, b: number): number => (Number.isNaN(a) ? b : Number.isNaN(b) ? a : Math.max(a, b));

/** The moments of both sets together (Chan, Golub, LeVeque 1979: stable for a large mean). Order matters in the last bits. */
export function mergeMoments(a: Moments, b: Moments): Moments {
  const na = finiteCount(a), nb = finiteCount(b);
  const delta = na > 0 && nb > 0 ? meanOf(b) - meanOf(a) : 0;
  const weight = na > 0 && nb > 0 ? (na * nb) / (na + nb) : 0;
  const mean = nb === 0 ? a.mean : na === 0 ? b.mean : meanOf(a) + delta * (nb / (na + nb));
  const m2 = a.m2 + b.m2 + delta * delta * weight;
  const beyond = Number.isFinite(m2) ? {} : { root: Math.hypot(rootOf(a), rootOf(b), Math.abs(delta) * Math.sqrt(weight)) };
  return {
    ...beyond, ...(mean === undefined ? {} : { mean }),
    elements: a.elements + b.elements, zeros: a.zeros + b.zeros, nan: a.nan + b.nan, inf: a.inf + b.inf,
    min: least(a.min, b.min), max: most(a.max, b.max), sum: a.sum + b.sum, m2, absMax: most(a.absMax, b.absMax),
  };
}

/** Largest |w|: of the finite values, or infinity when one is there. */
export function absMaxOf(min: number, max: number, inf: number): number {
  return inf > 0 ? Infinity : Math.max(Math.abs(min), Math.abs(max));
}

const BLOCK = 2048;

/**
 * Moments of values that come in blocks, each taken about the pivot of its first finite value, so that a large mean costs
 * no digits (the kernel for F32 does the same).
 */
export class MomentAccumulator {
  private moments: Moments = emptyMoments;

  /** Adds values[0..n). */
  add(values: Float64Array, n: number): void {
    for (let from = 0; from < n; from += BLOCK) this.moments = mergeMoments(this.moments, block(values, from, Math.min(n, from + BLOCK)));
  }

  result(): Moments {
    return this.moments;
  }
}

function block(values: Float64Array, from: number, to: number): Moments {
  let zeros = 0, nan = 0, inf = 0, min = Infinity, max = -Infinity, s = 0, q = 0, pivot = NaN;
  for (let i = from; i < to; i++) {
    const x = values[i];
    if (x === 0) zeros++;
    if (!Number.isFinite(x)) {
      if (Number.isNaN(x)) nan++;
      else inf++;
      continue;
    }
    if (Number.isNaN(pivot)) pivot = x;
    if (x < min) min = x;
    if (x > max) max = x;
    const d = x - pivot;
    s += d;
    q += d * d;
  }
  const elements = to - from, finite = elements - nan - inf;
  if (finite === 0) return { ...emptyMoments, elements, nan, inf, absMax: inf ? Infinity : NaN };
  const common = { elements, zeros, nan, inf, min, max, sum: pivot * finite + s, mean: pivot + s / finite, absMax: absMaxOf(min, max, inf) };
  const m2 = q - (s * s) / finite;
  return Number.isFinite(m2) ? { ...common, m2: Math.max(0, m2) } : { ...common, m2: Infinity, root: scaledRoot(values, from, to) };
}

/** sqrt(m2) of values whose squares overflow: in units of the largest. */
function scaledRoot(values: Float64Array, from: number, to: number): number {
  let largest = 0, sum = 0, n = 0, squares = 0;
  for (let i = from; i < to; i++) if (Number.isFinite(values[i])) largest = Math.max(largest, Math.abs(values[i]));
  for (let i = from; i < to; i++) if (Number.isFinite(values[i])) { sum += values[i] / largest; n++; }
  for (let i = from; i < to; i++) if (Number.isFinite(values[i])) squares += (values[i] / largest - sum / n) ** 2;
  return largest * Math.sqrt(squares);
}

/**
 * Moments from the counts of each code of a small dtype: sums over bins, not over weights.
 *
 * @param codes those with a count, ascending
 */
export function momentsOfCodes(values: Float64Array, counts: ArrayLike<number>, codes: ArrayLike<number>): Moments {
  let elements = 0, zeros = 0, nan = 0, inf = 0, min = Infinity, max = -Infinity, sum = 0;
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i], count = counts[code];
    const x = values[code];
    elements += count;
    if (Number.isNaN(x)) nan += count;
    else if (!Number.isFinite(x)) inf += count;
    else {
      if (x === 0) zeros += count;
      if (x < min) min = x;
      if (x > max) max = x;
      sum += x * count;
    }
  }
  const finite = elements - nan - inf;
  if (finite === 0) return { ...emptyMoments, elements, nan, inf, absMax: inf ? Infinity : NaN };
  const rounded = sum / finite;
  let m2 = 0, rest = 0;
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i];
    if (!Number.isFinite(values[code])) continue;
    const d = values[code] - rounded;
    rest += counts[code] * d;
    m2 += counts[code] * d * d;
  }
  m2 = Math.max(0, m2 - (rest * rest) / finite);
  return { elements, zeros, nan, inf, min, max, sum, mean: rounded + rest / finite, m2, absMax: absMaxOf(min, max, inf) };
}
