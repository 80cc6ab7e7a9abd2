import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { blockCounts, markSmallest, rankIn } from '../../../server/core/pruning/blockChoice';
import { inverseFactor } from '../../../server/core/pruning/inverseFactor';
import { openProducts } from '../../../server/core/pruning/products';
import { roundHalfEven } from '../../../server/core/pruning/rounding';
import type { Provider } from '../../../server/core/runtime/contract';
import { makePool } from '../../../server/core/workers/pool';
import { skipWebGpu, withSoftwareGpu } from '../runtime/software';

const pool = makePool({ threads: 2 });
after(() => pool.close());

const noise = (length: number, seed: number): Float64Array => Float64Array.from({ length }, (_, i) => Math.sin((i + 1) * 12.9898 + seed * 78.233) * 43758.5453 % 1);

/** qᵀ rows. */
function plain(q: Float64Array, rows: Float64Array, m: number, width: number): Float64Array {
  const out = new Float64Array(m * width), height = rows.length / width;
  for (let i = 0; i < m; i++) for (let k = 0; k < height; k++) for (let j = 0; j < width; j++) out[i * width + j] += q[k * m + i] * rows[k * width + j];
  return out;
}

async function grow(provider: Provider, tolerance: number): Promise<void> {
  const products = openProducts(provider, 2);
  try {
    for (const [width, blocks] of [[33, [4, 4, 3]], [8, [1, 5]]] as const) {
      products.begin(width);
      let rows = new Float64Array(0);
      for (const [i, block] of blocks.entries()) {
        const added = noise(block * width, i), before = rows;
        rows = new Float64Array(before.length + added.length);
        rows.set(before);
        rows.set(added, before.length);
        const m = 5 + i, q = noise((rows.length / width) * m, i + 9), got = await products.next(added, q, m), want = plain(q, rows, m, width);
        assert.equal(got.length, want.length);
        got.forEach((x, at) => assert.ok(Math.abs(x - want[at]) <= tolerance, `${provider}: ${x} is not ${want[at]}`));
      }
    }
  } finally {
    await products.close();
  }
}

/** The largest difference of UᵀU H from the unit matrix, on columns that are looked at. */
async function factorError(provider: Provider, n: number): Promise<number> {
  const x = noise(n * (n + 20), 4), matrix = new Float32Array(n * n), products = openProducts(provider, 2);
  for (let i = 0; i < n; i++) for (let j = i; j < n; j++) { let sum = 0; for (let k = 0; k < n + 20; k++) sum += x[k * n + i] * x[k * n + j]; matrix[i * n + j] = sum; matrix[j * n + i] = sum; }
  const diagonal = Float64Array.from({ length: n }, (_, i) => matrix[i * n + i] + 5), h = Float64Array.from(matrix, (y, i) => (i % (n + 1) === 0 ? diagonal[i / (n + 1)] : y));
  try {
    const u = (await inverseFactor({ n, matrix, factor: 1, diagonal }, products, pool))!;
    let worst = 0;
    for (let column = 0; column < n; column += 17) {
      const uh = Float64Array.from({ length: n }, (_, i) => { let sum = 0; for (let k = i; k < n; k++) sum += u[i * n + k] * h[k * n + column]; return sum; });
      for (let i = 0; i < n; i++) { let sum = 0; for (let k = 0; k <= i; k++) sum += u[k * n + i] * uh[k]; worst = Math.max(worst, Math.abs(sum - (i === column ? 1 : 0))); }
    }
    return worst;
  } finally {
    await products.close();
  }
}

test('products with rows that grow are those of plain loops', () => grow('cpu', 1e-12));

for (const n of [3, 128, 129, 300]) {
  test(`the factor of the inverse of ${n} x ${n} gives back the inverse`, async () => assert.ok(await factorError('cpu', n) < 1e-10));
}

test('WebGPU multiplies too, in F32', { skip: skipWebGpu, timeout: 180_000 }, () => withSoftwareGpu(async () => {
  await grow('webgpu', 1e-5);
  const error = await factorError('webgpu', 150);
  assert.ok(error > 1e-10 && error < 1e-3, `${error}: F32 it is`);
}));

test('blocks lose what brings the tensor to its count so far, and all zeros count', () => {
  fc.assert(fc.property(fc.array(fc.record({ n: fc.integer({ min: 1, max: 40 }), share: fc.double({ min: 0, max: 1, noNaN: true }) }), { minLength: 1, maxLength: 8 }), fc.double({ min: 0, max: 1, noNaN: true }), (blocks, sparsity) => {
    const elements = blocks.map(({ n }) => n), total = elements.reduce((a, b) => a + b, 0), k = roundHalfEven(sparsity * total);
    let left = k;
    const zeros = blocks.map(({ n, share }) => { const taken = Math.min(left, Math.floor(n * share)); left -= taken; return taken; });
    const counts = blockCounts(sparsity, elements, zeros);
    assert.equal(counts.reduce((a, b) => a + b, 0), k);
    counts.forEach((count, i) => assert.ok(count >= zeros[i] && count <= elements[i], `${count} of ${elements[i]} with ${zeros[i]} zeros`));
    const none = blockCounts(sparsity, elements, elements.map(() => 0));
    let seen = 0, done = 0;
    none.forEach((count, i) => { seen += elements[i]; done += count; assert.equal(done, roundHalfEven(sparsity * seen)); });
  }));
});

test('the rank in a list of keys is that of sorting, ties counted', () => {
  fc.assert(fc.property(fc.array(fc.oneof(fc.constantFrom(0, 1, 2.5, Infinity, 5e-324), fc.double({ min: 0, noNaN: true })), { minLength: 1, maxLength: 60 }), fc.nat(), (keys, at) => {
    const wanted = 1 + (at % keys.length), sorted = keys.map((x) => x + 0).sort((a, b) => a - b), value = sorted[wanted - 1];
    assert.deepEqual(rankIn(Float64Array.from(keys, (x) => x + 0), wanted), { value, ties: wanted - sorted.filter((x) => x < value).length });
  }));
});

test('ties go to the weight that is stored first, in both layouts', () => {
  const weights = new Float64Array(12).fill(1), divisors = new Float64Array(3).fill(1); // 3 inputs, 4 outputs
  const marked = (orientation: 'out-in' | 'in-out'): number[] => { const mask = new Uint8Array(12); mask[11] = 1; markSmallest(weights, mask, divisors, 6, orientation); return [...mask]; };
  assert.deepEqual(marked('in-out'), [1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1]);
  // By output, then by input: all three of the first, two of the second.
  assert.deepEqual(marked('out-in'), [1, 1, 0, 0, 1, 1, 0, 0, 1, 0, 0, 1]);
});
