import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runJob } from '../../../server/core/job';
import type { Session } from '../../../server/core/runtime/contract';
import { measureRuntime } from '../../../server/core/sweep/measureRuntime';
import { PAIRS, median, medianInterval, medianRank, runtimeVerdict, seededRandom, wantsMorePairs } from '../../../server/core/sweep/runtimeStatistics';

/** Sum of the binomial tail the slow way. */
function tail(n: number, below: number): number {
  let sum = 0;
  for (let k = 0; k <= below; k++) {
    let logChoose = 0;
    for (let i = 0; i < k; i++) logChoose += Math.log(n - i) - Math.log(i + 1);
    sum += Math.exp(logChoose - n * Math.LN2);
  }
  return sum;
}

test('the ranks of the interval of a median are the widest that 95 % allow', () => {
  for (let n = 1; n <= 300; n++) {
    const rank = medianRank(n);
    if (rank === null) {
      assert.ok(n < 6 && tail(n, 0) > 0.025, `n = ${n}`);
      continue;
    }
    assert.ok(tail(n, rank) <= 0.025 + 1e-12, `n = ${n} covers too little`);
    assert.ok(tail(n, rank + 1) > 0.025, `n = ${n} is wider than it must be`);
  }
  assert.equal(medianRank(6), 0);
  const large = medianRank(2000)!; // beyond the smallest double: approximate, and not too narrow
  assert.ok(large < 1000 - 0.97 * Math.sqrt(2000) && large > 1000 - 1.1 * Math.sqrt(2000));
});

test('the median is the middle', () => {
  for (const [values, answer] of [[[3, 1, 2], 2], [[4, 1, 2, 3], 2.5], [[7], 7]] as const) assert.equal(median(values), answer);
  assert.ok(Number.isNaN(median([])));
  assert.deepEqual(medianInterval([5, 1, 4, 2, 3, 6]), { value: 3.5, low: 1, high: 6 });
  assert.ok(Number.isNaN(medianInterval([1, 2, 3]).low));
});

test('the verdict is equivalence first, then a side, then nothing', () => {
  for (const [low, high, verdict] of [
    [0.98, 1.02, 'no difference'], [1.01, 1.03, 'no difference'], [0.9, 1.2, 'not decided'], [1.06, 1.1, 'slower'], [1.02, 1.2, 'slower'], [0.5, 0.9, 'faster'],
    [Number.NaN, Number.NaN, 'not decided'],
  ] as const) assert.equal(runtimeVerdict({ value: 1, low, high }), verdict, `${low} ${high}`);
});

test('pairs go on until the interval is narrow, within the bounds', () => {
  const tight = Array.from({ length: 15 }, (_, i) => 1 + i * 1e-4), wild = Array.from({ length: 15 }, (_, i) => 1 + i * 0.1);
  assert.equal(wantsMorePairs(tight.slice(0, PAIRS.least - 1), 0), true);
  assert.equal(wantsMorePairs(tight, 0), false);
  assert.equal(wantsMorePairs(wild, 0), true);
  assert.equal(wantsMorePairs(wild, PAIRS.secondsMost + 1), false);
  assert.equal(wantsMorePairs(wild.slice(0, 3), 1e6), true, 'slow windows still get enough pairs for an interval');
  assert.ok(medianRank(PAIRS.pairsWhenSlow) !== null);
});

/** A machine with noise, spikes, slow drift and, for the second of two runs, a warmer cache: all of what makes timing hard. */
function timings(random: () => number, trueRatio: number, order: () => number): number[] {
  const gauss = (): number => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const ratios: number[] = [];
  let drift = 0;
  const once = (ms: number, second: boolean): number => {
    drift = 0.98 * drift + 0.01 * gauss();
    const spike = random() < 0.05 ? 1 + random() : 1;
    return ms * Math.exp(0.03 * gauss() + drift) * spike * (second ? 0.97 : 1);
  };
  while (wantsMorePairs(ratios, ratios.length * 0.01)) {
    const first = order() < 0.5;
    const a = once(10, !first), b = once(10 * trueRatio, first);
    ratios.push(b / a);
  }
  return ratios;
}

test('the baseline against itself says "no difference" in at least 95 % of trials, and real differences are seen', () => {
  const TRIALS = 400, random = seededRandom(1), order = seededRandom(2);
  const count = (trueRatio: number, verdict: string): number =>
    Array.from({ length: TRIALS }, () => runtimeVerdict(medianInterval(timings(random, trueRatio, order)))).filter((one) => one === verdict).length / TRIALS;
  assert.ok(count(1, 'no difference') >= 0.95);
  assert.ok(count(1.15, 'slower') >= 0.95);
  assert.ok(count(0.85, 'faster') >= 0.95);
});

test('pairs run in an order drawn by lot, each pair whole, in plain graphs, warm-up not counted', async () => {
  const runs: string[] = [];
  const session = (name: string, ms: number): Session => ({
    provider: 'cpu', close: async () => {},
    async run(_batch, thresholds) {
      assert.equal(thresholds, null);
      runs.push(name);
      return { losses: new Float32Array(1), ms: ms + (runs.length <= 6 ? 1000 : runs.length % 7) };
    },
  });
  const batch = { inputIds: new BigInt64Array(4), batch: 1, length: 4, positions: new BigInt64Array(1), targets: new BigInt64Array(1) };
  const runtime = await runJob(measureRuntime(session('baseline', 100), session('pruned', 150), batch, { seed: 5, threads: 2 }));
  assert.equal(runs.length, 6 + 2 * runtime.pairs);
  const firsts = runs.slice(6).filter((_, i) => i % 2 === 0), seconds = runs.slice(6).filter((_, i) => i % 2 === 1);
  firsts.forEach((name, i) => assert.notEqual(name, seconds[i]));
  const share = firsts.filter((name) => name === 'baseline').length / firsts.length;
  assert.ok(share > 0.2 && share < 0.8);
  assert.ok(Math.abs(runtime.ratio.value - 1.5) < 0.06 && runtime.medianMs < 200);
  assert.deepEqual([runtime.verdict, runtime.context, runtime.threads, runtime.provider], ['slower', 4, 2, 'cpu']);
  await assert.rejects(runJob(measureRuntime(session('a', 1), session('b', 1), batch, { seed: 0, threads: 1 }, AbortSignal.abort())), { code: 'cancelled' });
});

test('the seeded generator repeats itself and fills [0, 1)', () => {
  const a = seededRandom(7), b = seededRandom(7), values = Array.from({ length: 1000 }, a);
  assert.deepEqual(values, Array.from({ length: 1000 }, b));
  assert.ok(values.every((v) => v >= 0 && v < 1) && Math.abs(values.reduce((x, y) => x + y) / 1000 - 0.5) < 0.05);
});
