import assert from 'node:assert/strict';
import path from 'node:path';
import { after, test } from 'node:test';
import { runJob } from '../../../server/core/job';
import { allocate } from '../../../server/core/pruning/allocation';
import { pruneScope } from '../../../server/core/pruning/pruneScope';
import { writePruned } from '../../../server/core/pruning/writePruned';
import { scanModel } from '../../../server/core/stats/scan';
import { makePool } from '../../../server/core/workers/pool';
import { scratch } from './helpers';
import { calibrateWith, expectedOf, goldenModel, home, methodCases, noCalibration, planWith, rawTensors, storedStatistics } from './methodCases';

const folder = scratch('references'), pool = makePool({ threads: 2 });
after(() => pool.close());

const floats = (bytes: Uint8Array<ArrayBuffer>): Float32Array => new Float32Array(bytes.buffer);
/** Scores nearer to one another than this are equal to F32, and either may go. */
const NEAR = 1e-6;

for (const [index, golden] of methodCases.filter(({ method }) => method === 'wanda' || method === 'ria').entries()) {
  test(`the zeros of ${golden.key} are those of the paper's formula in numpy: ${golden.model}`, async () => {
    const here = path.join(folder, String(index)), model = goldenModel(golden.model), statistics = storedStatistics(golden.model, 'moments', here);
    const pattern = golden.pattern ? { keep: golden.pattern[0], of: golden.pattern[1] } : 'unstructured' as const;
    const sparsity = golden.sparsity ?? 1 - golden.pattern![0] / golden.pattern![1];
    const plan = await planWith(model, golden.method, { sparsity, scope: 'row', pattern }, statistics, pool, here);
    const { files } = await runJob(writePruned(model, plan, { out: path.join(here, 'out'), force: false, io: 'pread' }, pool));
    const source = rawTensors(path.join(home, golden.model, 'model.safetensors')), got = rawTensors(files[0]), expected = expectedOf(golden.model);
    for (const info of model.checkpoint.tensors) {
      const { name } = info, before = floats(source.get(name)!), ours = floats(got.get(name)!), bits = expected.get(`${golden.key}/${name}`)!;
      const isZero = (i: number): boolean => ((bits[i >> 3] >> (i & 7)) & 1) === 1;
      const differing = [...ours.keys()].filter((i) => (ours[i] === 0) !== isZero(i));
      if (differing.length > 0) assertNear(golden.method, differing, before, info.shape, golden.model === 'gpt2', statistics.get(name)!.sumOfSquares, name);
      ours.forEach((x, i) => { if (x !== 0) assert.equal(x, before[i], `${name}[${i}] is kept as it was`); });
      assert.equal(plan.tensors.find((tensor) => tensor.name === name)!.zerosAfter, ours.filter((x) => x === 0).length, name);
    }
  });
}

/** Positions that one of the two prunes come in pairs of one output, with scores that F32 does not tell apart. */
function assertNear(method: string, differing: readonly number[], w: Float32Array, shape: readonly number[], isInOut: boolean, squares: Float64Array, name: string): void {
  const [height, width] = shape, output = (i: number): number => (isInOut ? i % width : Math.floor(i / width)), input = (i: number): number => (isInOut ? Math.floor(i / width) : i % width);
  const sums = (axis: (i: number) => number, n: number): Float64Array => { const sum = new Float64Array(n); w.forEach((x, i) => { sum[axis(i)] += Math.abs(x); }); return sum; };
  const [outputs, inputs] = isInOut ? [width, height] : [height, width], ofOutput = sums(output, outputs), ofInput = sums(input, inputs);
  const score = (i: number): number => {
    const size = Math.abs(w[i]), norm = Math.sqrt(squares[input(i)]);
    return method === 'wanda' ? size * norm : (size / ofOutput[output(i)] + size / ofInput[input(i)]) * Math.sqrt(norm);
  };
  for (const i of differing) {
    assert.ok(differing.some((j) => j !== i && output(j) === output(i) && Math.abs(score(j) - score(i)) <= NEAR * score(i)), `${name}[${i}] is masked differently, and no score of its row is near`);
  }
}

for (const golden of methodCases.filter(({ method }) => method === 'owl')) {
  test(`OWL deals out what the paper's formula does: ${golden.model}${golden.exclude!.length > 0 ? ', blocks of unequal size' : ''}${golden.published ? ', as published' : ''}`, async () => {
    const model = goldenModel(golden.model), statistics = storedStatistics(golden.model, 'moments', path.join(folder, 'owl'));
    const allocation = { kind: 'owl', m: golden.m!, lambda: golden.lambda!, published: golden.published! } as const;
    const request = { sparsity: golden.sparsity!, scope: 'row', pattern: 'unstructured', include: [], exclude: golden.exclude!, seed: 0, allocation, calibration: noCalibration } as const;
    const { tensors } = pruneScope(model, request), scans = await runJob(scanModel(model, { threshold: null, names: tensors.map(({ info }) => info.name), io: 'pread' }, pool));
    const { sparsities, problems } = await runJob(allocate(model, tensors, request, { scans, pool, io: 'pread', calibrate: calibrateWith(statistics), scratch: folder }));
    let given = 0, weights = 0;
    for (const { info } of tensors) {
      const layer = Number(/\.(\d+)\./.exec(info.name)![1]), got = sparsities!.get(info.name)!;
      assert.ok(Math.abs(got - golden.blocks![layer]) < 1e-9, `${info.name}: ${got}, the paper ${golden.blocks![layer]}`);
      given += got * info.elements;
      weights += info.elements;
    }
    const isExact = Math.abs(given / weights - golden.sparsity!) < 1e-9;
    assert.equal(isExact, !golden.published);
    assert.deepEqual(problems.map(({ code }) => code), isExact ? [] : ['allocation-total']);
  });
}
