// Dense F64 linear algebra on small blocks: what second-order pruning needs between its matrix products. Row-major.
import { slot } from './shared';

// @ts-ignore: decorator
@inline function at(base: usize, i: i32): usize { return base + (<usize>i << 3); }

// target[0..n) -= factor * source[0..n); n is even.
// @ts-ignore: decorator
@inline function subtract(target: usize, source: usize, factor: f64, n: i32): void {
  const f = f64x2.splat(factor), end = at(target, n);
  for (; target < end; target += 16, source += 16) v128.store(target, f64x2.sub(v128.load(target), f64x2.mul(f, v128.load(source))));
}

/**
 * a (n x n), symmetric, becomes its lower Cholesky factor; above the diagonal lies zero. RESULT 0: -1, or the first column whose pivot is not
 * above `least` (NaN included), where it stopped.
 */
export function cholesky(a: usize, n: i32, least: f64): void {
  for (let j = 0; j < n; j++) {
    const row = at(a, j * n);
    let pivot = load<f64>(at(row, j));
    for (let k = 0; k < j; k++) pivot -= load<f64>(at(row, k)) * load<f64>(at(row, k));
    if (!(pivot > least) || pivot == Infinity) { store<f64>(slot(0), <f64>j); return; }
    const root = sqrt(pivot);
    store<f64>(at(row, j), root);
    for (let i = j + 1; i < n; i++) {
      const other = at(a, i * n);
      let sum = load<f64>(at(other, j));
      for (let k = 0; k < j; k++) sum -= load<f64>(at(other, k)) * load<f64>(at(row, k));
      store<f64>(at(other, j), sum / root);
      store<f64>(at(row, i), 0);
    }
  }
  store<f64>(slot(0), -1);
}

/** out (n x n) becomes the inverse of the lower triangle l (n x n). */
export function invertLower(l: usize, out: usize, n: i32): void {
  memory.fill(out, 0, <usize>(n * n) << 3);
  for (let i = 0; i < n; i++) {
    const row = at(out, i * n), from = at(l, i * n), pivot = load<f64>(at(from, i));
    store<f64>(at(row, i), 1 / pivot);
    for (let j = 0; j < i; j++) {
      let sum: f64 = 0;
      for (let k = j; k < i; k++) sum += load<f64>(at(from, k)) * load<f64>(at(out, k * n + j));
      store<f64>(at(row, j), -sum / pivot);
    }
  }
}

/** x (n x width, width even) becomes t x, t (n x n) a lower triangle. From the last row up: row i needs rows 0..i as they were. */
export function applyLower(t: usize, n: i32, x: usize, width: i32): void {
  for (let i = n - 1; i >= 0; i--) {
    const row = at(x, i * width), factors = at(t, i * n), own = f64x2.splat(load<f64>(at(factors, i)));
    for (let p = row, end = at(row, width); p < end; p += 16) v128.store(p, f64x2.mul(own, v128.load(p)));
    for (let k = 0; k < i; k++) subtract(row, at(x, k * width), -load<f64>(at(factors, k)), width);
  }
}

/**
 * The column sweep of SparseGPT over one block of n inputs and `width` (even) outputs. w (n x width): the weights, input by input, in and out;
 * e (n x width): the errors, out; mask (n x width) bytes, 1 = pruned; u (n x n): the block of the upper factor; divisors (n): what a weight is
 * divided by for its score. With `group` > 0 the mask comes in with what is pruned anyway, and when the sweep arrives at a whole group of that many
 * inputs, the smallest |w| / divisor join it until `drop` of the group are pruned; ties by position. Every output is on its own.
 */
export function sweep(w: usize, e: usize, mask: usize, u: usize, divisors: usize, n: i32, width: i32, group: i32, drop: i32): void {
  for (let i = 0; i < n; i++) {
    if (group > 0 && i % group == 0 && i + group <= n) for (let x = 0; x < width; x++) completeGroup(at(w, i * width + x), mask + i * width + x, at(divisors, i), width, group, drop);
    const row = at(w, i * width), errors = at(e, i * width), d = load<f64>(at(u, i * n + i));
    for (let x = 0; x < width; x++) {
      if (load<u8>(mask + i * width + x) == 0) store<f64>(at(errors, x), 0);
      else {
        store<f64>(at(errors, x), load<f64>(at(row, x)) / d);
        store<f64>(at(row, x), 0);
      }
    }
    for (let j = i + 1; j < n; j++) subtract(at(w, j * width), errors, load<f64>(at(u, i * n + j)), width);
  }
}

function completeGroup(w: usize, mask: usize, divisors: usize, width: i32, group: i32, drop: i32): void {
  let pruned = 0;
  for (let j = 0; j < group; j++) pruned += load<u8>(mask + j * width);
  for (; pruned < drop; pruned++) {
    let best = -1, least: f64 = Infinity;
    for (let j = 0; j < group; j++) {
      if (load<u8>(mask + j * width) != 0) continue;
      const score = abs(load<f64>(at(w, j * width))) / load<f64>(at(divisors, j));
      if (best < 0 || score < least) { best = j; least = score; }
    }
    store<u8>(mask + best * width, 1);
  }
}
