import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadKernels } from '../../../server/core/kernels/kernels';

const kernels = loadKernels();
const at = (first: number, length: number): Float64Array => new Float64Array(kernels.buffer.buffer, kernels.buffer.byteOffset + first, length);

/** Numbers in (-1, 1) that look random. */
const noise = (length: number, seed: number): Float64Array => Float64Array.from({ length }, (_, i) => Math.sin((i + 1) * 12.9898 + seed * 78.233) * 43758.5453 % 1);

/** A symmetric matrix with all eigenvalues above 0: B Bᵀ + I. */
function positive(n: number, seed: number): Float64Array {
  const b = noise(n * n, seed);
  return Float64Array.from({ length: n * n }, (_, at) => {
    const i = Math.floor(at / n), j = at % n;
    let sum = i === j ? 1 : 0;
    for (let k = 0; k < n; k++) sum += b[i * n + k] * b[j * n + k];
    return sum;
  });
}

function near(actual: number, expected: number, what: string): void {
  assert.ok(Math.abs(actual - expected) <= 1e-10 * Math.max(1, Math.abs(expected)), `${what}: ${actual}, expected ${expected}`);
}

for (const n of [1, 2, 7, 64, 128]) {
  test(`the Cholesky factor and the inverse of ${n} x ${n} multiply back`, () => {
    const a = positive(n, n);
    at(0, n * n).set(a);
    assert.equal(kernels.cholesky(0, n, 0), -1);
    kernels.invertLower(0, n * n * 8, n);
    const l = at(0, n * n), inverse = at(n * n * 8, n * n);
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) {
        let product = 0, unit = 0;
        for (let k = 0; k < n; k++) { product += l[i * n + k] * l[j * n + k]; unit += l[i * n + k] * inverse[k * n + j]; }
        near(product, a[i * n + j], `L Lᵀ [${i}][${j}]`);
        near(unit, i === j ? 1 : 0, `L L⁻¹ [${i}][${j}]`);
        if (j > i) assert.deepEqual([l[i * n + j], inverse[i * n + j]], [0, 0]);
      }
    }
  });
}

test('a matrix that is not positive definite says at which column; so do NaN and infinity', () => {
  for (const bad of [-1, 0, NaN, Infinity]) {
    const a = positive(5, 3);
    a[3 * 5 + 3] = bad;
    at(0, 25).set(a);
    assert.equal(kernels.cholesky(0, 5, 1e-12), 3, String(bad));
  }
});

test('a lower triangle is applied to columns in place', () => {
  const n = 9, width = 6, t = noise(n * n, 1).map((x, i) => (i % n > Math.floor(i / n) ? 0 : x)), x = noise(n * width, 2);
  at(0, n * n).set(t);
  at(1024, n * width).set(x);
  kernels.applyLower(0, n, 1024, width);
  const got = at(1024, n * width);
  for (let i = 0; i < n; i++) for (let c = 0; c < width; c++) near(got[i * width + c], t.subarray(i * n, i * n + n).reduce((sum, y, k) => sum + y * x[k * width + c], 0), `${i}, ${c}`);
  assert.throws(() => kernels.applyLower(0, n, 1024, 5), RangeError);
});

/** The sweep in plain TypeScript, an output at a time. */
function plainSweep(w: Float64Array, mask: Uint8Array, u: Float64Array, divisors: Float64Array, n: number, width: number, groups: { of: number; drop: number }): Float64Array {
  const e = new Float64Array(n * width);
  for (let x = 0; x < width; x++) {
    for (let i = 0; i < n; i++) {
      if (groups.of > 0 && i % groups.of === 0 && i + groups.of <= n) {
        const inside = Array.from({ length: groups.of }, (_, j) => i + j), taken = inside.filter((j) => mask[j * width + x] === 1).length;
        const left = inside.filter((j) => mask[j * width + x] === 0).sort((a, b) => Math.abs(w[a * width + x]) / divisors[a] - Math.abs(w[b * width + x]) / divisors[b] || a - b);
        for (const j of left.slice(0, Math.max(0, groups.drop - taken))) mask[j * width + x] = 1;
      }
      if (mask[i * width + x] === 0) continue;
      const error = w[i * width + x] / u[i * n + i];
      e[i * width + x] = error;
      for (let j = i + 1; j < n; j++) w[j * width + x] -= error * u[i * n + j];
      w[i * width + x] = 0;
    }
  }
  return e;
}

for (const groups of [{ of: 0, drop: 0 }, { of: 4, drop: 2 }, { of: 4, drop: 3 }, { of: 8, drop: 4 }]) {
  test(`the column sweep does what its plain version does: ${groups.of === 0 ? 'a given mask' : `${groups.of - groups.drop}:${groups.of} with a ragged tail`}`, () => {
    const n = 22, width = 10, w = noise(n * width, 5), u = noise(n * n, 6).map((x, i) => (i % n < Math.floor(i / n) ? 0 : i % (n + 1) === 0 ? 1 + Math.abs(x) : x / 4));
    const divisors = Float64Array.from({ length: n }, (_, i) => (i === 6 ? 1e200 : u[i * n + i]));
    // Ties: two inputs whose first outputs are alike.
    for (let x = 0; x < 2; x++) { w[x] = 0.25; w[width + x] = 0.25; u[0] = 1.5; u[n + 1] = 1.5; divisors[0] = 1.5; divisors[1] = 1.5; u[1] = 0; }
    const mask = Uint8Array.from({ length: n * width }, (_, i) => (i % 5 === 3 ? 1 : 0)), places = { w: 0, e: 4096, u: 8192, divisors: 16384, mask: 20480 };
    at(places.w, n * width).set(w);
    at(places.u, n * n).set(u);
    at(places.divisors, n).set(divisors);
    kernels.buffer.set(mask, places.mask);
    kernels.sweep(places, n, width, groups);
    const errors = plainSweep(w, mask, u, divisors, n, width, groups);
    assert.deepEqual(Array.from(kernels.buffer.subarray(places.mask, places.mask + n * width)), Array.from(mask));
    at(places.w, n * width).forEach((x, i) => near(x, w[i], `w[${i}]`));
    at(places.e, n * width).forEach((x, i) => near(x, errors[i], `e[${i}]`));
  });
}
