import assert from 'node:assert/strict';
import { test } from 'node:test';
import { studentQuantile } from '../../../server/core/evaluation/student';
import { blockOptions, meanOf, pairedRatio, standardError, standardErrorIid, standardErrorOfMean, verdictOf } from '../../../server/core/evaluation/uncertainty';

/** mulberry32 and Box-Muller: seeded normal numbers. */
function normals(seed: number): () => number {
  let state = seed;
  const uniform = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}

/** An AR(1) series about `mean`, begun in its stationary state. */
function correlated(n: number, rho: number, mean: number, seed: number): Float64Array {
  const normal = normals(seed), series = new Float64Array(n), step = Math.sqrt(1 - rho * rho);
  let state = normal();
  for (let i = 0; i < n; i++) {
    series[i] = mean + state;
    state = rho * state + step * normal();
  }
  return series;
}

const CONTEXT = 16, LENGTH = 30 * 8 * CONTEXT, TRIALS = 1000;

test('95 % intervals of correlated differences hold the truth in about 95 % of trials; intervals that assume independence do not', () => {
  let held = 0, heldIid = 0;
  const truth = 0.05, zeros = new Float64Array(LENGTH);
  for (let trial = 0; trial < TRIALS; trial++) {
    const differences = correlated(LENGTH, 0.9, truth, trial + 1);
    const { low, high } = pairedRatio(differences, zeros, { context: CONTEXT });
    if (low <= Math.exp(truth) && Math.exp(truth) <= high) held++;
    const mean = meanOf(differences), iid = (standardErrorIid(differences) ?? NaN) / Math.exp(mean);
    if (Math.abs(mean - truth) <= 1.96 * iid) heldIid++;
  }
  assert.ok(held >= 0.93 * TRIALS && held <= 0.975 * TRIALS, `${held} of ${TRIALS}`);
  assert.ok(heldIid < 0.6 * TRIALS, `independence: ${heldIid} of ${TRIALS}`);
});

test('the block error is right for independent losses too, where it equals the plain one', () => {
  let sum = 0;
  for (let trial = 0; trial < 50; trial++) sum += (standardErrorOfMean(correlated(LENGTH, 0, 3, 5000 + trial), { context: CONTEXT }) ?? NaN) ** 2;
  const plain = 1 / Math.sqrt(LENGTH);
  assert.ok(Math.abs(Math.sqrt(sum / 50) / plain - 1) < 0.1, `${Math.sqrt(sum / 50)} against ${plain}`);
});

test('the closed form equals a bootstrap that is really drawn', () => {
  const context = 2, block = 16, n = 25 * block, losses = correlated(n, 0.8, 2, 77), normal = normals(3);
  const uniform = (): number => { const x = normal() / 2; return x - Math.floor(x); }; // wide against 1, so flat enough modulo 1
  const means: number[] = [];
  for (let draw = 0; draw < 20_000; draw++) {
    let sum = 0;
    for (let k = 0; k < 25; k++) {
      const from = Math.floor(uniform() * (n - block + 1));
      for (let i = 0; i < block; i++) sum += losses[from + i];
    }
    means.push(sum / n);
  }
  const centre = meanOf(means), drawn = Math.sqrt(meanOf(means.map((mean) => (mean - centre) ** 2)));
  // The drawn one lacks the small-sample factor n / (n - block) and centres on the mean of block means.
  const closed = (standardErrorOfMean(losses, { context }) ?? NaN) * Math.sqrt((n - block) / n);
  assert.ok(Math.abs(closed / drawn - 1) < 0.05, `${closed} against ${drawn}`);
});

test('under 20 blocks there is no error and an interval that excludes nothing', () => {
  const losses = new Float32Array(20 * 8 * CONTEXT - 1).fill(1);
  assert.equal(standardError(losses, { context: CONTEXT }), null);
  assert.deepEqual(pairedRatio(losses, losses, { context: CONTEXT }), { value: 1, low: 0, high: Infinity });
  assert.equal(verdictOf(pairedRatio(losses, losses, { context: CONTEXT }), 0.005), 'not decided');
  assert.equal(standardError(new Float32Array(20 * 8 * CONTEXT), { context: CONTEXT }), 0);
});

test('a run against itself is exactly 1, a constant shift is exactly its ratio', () => {
  const losses = correlated(LENGTH, 0.5, 4, 9);
  assert.deepEqual(pairedRatio(losses, losses, { context: CONTEXT }), { value: 1, low: 1, high: 1 });
  const shifted = pairedRatio(losses.map((loss) => loss + 0.25), losses, { context: CONTEXT });
  for (const end of [shifted.value, shifted.low, shifted.high]) assert.ok(Math.abs(end - Math.exp(0.25)) < 1e-9);
});

test('a value told by words has the ratio and the error of its words: the loss of a word is that of its tokens together', () => {
  const losses = correlated(4000, 0.8, 1.5, 5), baseline = losses.map((loss, i) => loss - 0.02 - 0.01 * Math.sin(i)), options = { context: 8 }, scale = 1.25;
  const tokens = pairedRatio(losses, baseline, options), words = pairedRatio(losses, baseline, { ...options, scale });
  for (const end of ['value', 'low', 'high'] as const) assert.ok(Math.abs(words[end] / tokens[end] ** scale - 1) < 1e-12, end);
  const mean = standardErrorOfMean(losses, options)!;
  assert.ok(Math.abs(standardError(losses, { ...options, scale })! / (Math.exp(scale * meanOf(losses)) * scale * mean) - 1) < 1e-12);
  assert.deepEqual(blockOptions({ context: 8, scoredTokens: 4000, perWord: { words: 3200, bytes: 9000, bytePerplexity: 2, bitsPerByte: 1 } }), { context: 8, scale });
});

test('items do not depend on each other: a block is one of them, and 20 are enough', () => {
  const losses = correlated(20, 0, 2, 6), options = blockOptions({ context: 1024, scoredTokens: 60, items: 20 });
  assert.deepEqual(options, { context: 1024, independent: true });
  assert.ok(Math.abs(standardError(losses, options)! / standardErrorIid(losses)! - 1) < 1e-12);
  assert.equal(standardError(losses.slice(1), options), null);
  assert.ok(pairedRatio(losses, losses.map((loss) => loss - 0.1), options).low > 1);
});

test('the independent error is the one llama.cpp prints', () => {
  const losses = [1, 2, 4, 3], mean = 2.5, variance = (1 + 4 + 16 + 9) / 4 - mean * mean;
  assert.ok(Math.abs((standardErrorIid(losses) ?? NaN) - Math.exp(mean) * Math.sqrt(variance / 3)) < 1e-12);
  assert.equal(standardErrorIid([1]), null);
});

test('losses that overflow the perplexity give no NaN', () => {
  const losses = new Float32Array(LENGTH).fill(2000);
  assert.equal(standardErrorIid(losses), 0);
  assert.equal(standardError(losses, { context: CONTEXT }), 0);
  losses[5] = 1999;
  assert.equal(standardErrorIid(losses), Infinity);
});

test('runs over different tokens are not compared', () => {
  assert.throws(() => pairedRatio([1, 2], [1], { context: 1 }), RangeError);
});

test('verdicts follow the whole interval', () => {
  const cases: [number, number, string][] = [
    [0.9999, 1.0001, 'no difference'], [0.996, 1.004, 'no difference'], [1.001, 1.004, 'no difference'], [0.99, 1.01, 'not decided'], [0.999, 1.01, 'not decided'],
    [1.001, 1.01, 'worse'], [1.2, 1.3, 'worse'], [0.9, 0.999, 'better'], [0, Infinity, 'not decided'], [NaN, NaN, 'not decided'],
  ];
  for (const [low, high, verdict] of cases) assert.equal(verdictOf({ low, high }, 0.005), verdict, `${low} to ${high}`);
});

test('quantiles of t are the tabulated ones', () => {
  for (const [freedom, value] of [[1, 12.7062047], [2, 4.30265273], [5, 2.57058184], [19, 2.09302405], [29, 2.0452296], [100, 1.98397152], [1e6, 1.95996636]]) {
    assert.ok(Math.abs(studentQuantile(0.975, freedom) - value) < 2e-7 * value, `${freedom}: ${studentQuantile(0.975, freedom)}`);
  }
});

test('a mean of a million single-precision losses keeps its digits', () => {
  const losses = new Float32Array(1_000_000).fill(0.1);
  assert.ok(Math.abs(meanOf(losses) - Math.fround(0.1)) < 1e-16);
});
