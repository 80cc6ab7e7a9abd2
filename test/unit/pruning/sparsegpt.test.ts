import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { runJob } from '../../../server/core/job';
import { openModel } from '../../../server/core/models/openModel';
import { writeOverlay } from '../../../server/core/pruning/overlay';
import { planPrune } from '../../../server/core/pruning/planPrune';
import { roundHalfEven } from '../../../server/core/pruning/rounding';
import { writePruned } from '../../../server/core/pruning/writePruned';
import { bf16Bits } from '../../../server/core/tensor/narrow';
import { makePool } from '../../../server/core/workers/pool';
import { f32, scratch, valuesOf, writeFixture, zerosIn, type Made } from './helpers';
import { calibrateWith, expectedOf, goldenModel, home, methodCases, noCalibration, planWith, rawTensors, storedStatistics } from './methodCases';

const folder = scratch('sparsegpt'), pool = makePool({ threads: 2 });
after(() => pool.close());

const cases = methodCases.filter(({ method }) => method === 'sparsegpt');
const floats = (bytes: Uint8Array<ArrayBuffer>): Float32Array => new Float32Array(bytes.buffer);
const patternOf = (pattern: [number, number] | null) => (pattern ? { keep: pattern[0], of: pattern[1] } : 'unstructured' as const);

test('there are references for both layouts, unstructured and N:M, and a Hessian that is not positive definite', () => {
  for (const model of ['gpt2', 'llama']) {
    const mine = cases.filter((one) => one.model === model);
    assert.ok(mine.some(({ pattern }) => pattern === null) && mine.some(({ pattern }) => pattern?.join() === '2,4') && mine.some(({ which }) => which === 'indefinite'), model);
  }
});

for (const [index, golden] of cases.entries()) {
  test(`SparseGPT has the weights of the paper's algorithm in PyTorch: ${golden.model}, ${golden.key}`, async () => {
    const here = path.join(folder, String(index)), model = goldenModel(golden.model), names = Object.keys(golden.tensors!);
    const exclude = model.checkpoint.tensors.map(({ name }) => name).filter((name) => !names.includes(name)), pattern = patternOf(golden.pattern);
    const sparsity = golden.sparsity ?? 1 - golden.pattern![0] / golden.pattern![1];
    const statistics = storedStatistics(golden.model, golden.which!, here);
    const plan = await planWith(model, 'sparsegpt', { sparsity, scope: 'tensor', pattern, exclude, parameters: { 'block-size': golden.block!, damping: golden.damping! } }, statistics, pool, here);
    const written = await runJob(writePruned(model, plan, { out: path.join(here, 'out'), force: false, io: 'pread' }, pool));
    const source = rawTensors(path.join(home, golden.model, 'model.safetensors')), got = rawTensors(written.files[0]), expected = expectedOf(golden.model);
    const overlay = await runJob(writeOverlay(model, plan, names, path.join(here, 'overlay'), pool, 'pread'));

    for (const name of names) {
      const ours = floats(got.get(name)!), theirs = floats(expected.get(`${golden.key}/${name}`)!), before = floats(source.get(name)!);
      const differ = ours.reduce((count, x, i) => count + ((x === 0) !== (theirs[i] === 0) ? 1 : 0), 0);
      assert.ok(differ <= 1e-4 * ours.length, `${name}: ${differ} of ${ours.length} masked differently`);
      const norm = (at: (i: number) => number): number => Math.sqrt(ours.reduce((sum, _, i) => sum + at(i) ** 2, 0));
      assert.ok(norm((i) => ours[i] - theirs[i]) <= 1e-4 * norm((i) => theirs[i]), `${name}: |dW|`);
      const h = floats(rawTensors(path.join(home, `${golden.model}-statistics.safetensors`)).get(`${golden.which}:${name}`)!);
      const error = reconstruction(ours, before, h, golden.model === 'gpt2'), reference = golden.tensors![name].error;
      assert.ok(Math.abs(error - reference) <= 1e-3 * Math.abs(reference), `${name}: error ${error}, reference ${reference}`);

      const counts = plan.tensors.find((tensor) => tensor.name === name)!;
      assert.equal(counts.zerosAfter, zerosIn(ours));
      assert.equal(counts.zerosBefore, zerosIn(before));
      assert.equal(written.changed.get(name), zerosIn(ours) - zerosIn(before));
      if (pattern === 'unstructured') assert.equal(counts.zerosAfter, roundHalfEven(sparsity * ours.length));
      before.forEach((x, i) => { if (x === 0) assert.equal(ours[i], 0, `${name}[${i}] was zero`); });
      const blob = overlay.get(name)!;
      assert.deepEqual(Uint8Array.from(readFileSync(blob.realPath).subarray(blob.from, blob.from + blob.byteLength)), got.get(name)!, 'an overlay has the written bytes');
      const raised = plan.problems.find((problem) => problem.code === 'hessian-damped' && problem.where.tensor === name);
      assert.equal(raised !== undefined, golden.tensors![name].damping !== golden.damping, 'what was damped more is said');
      if (raised) assert.match(raised.detail, new RegExp(`^${golden.tensors![name].damping} `));
    }
    for (const name of exclude) assert.deepEqual(got.get(name), source.get(name), `${name} is out of scope`);
  });
}

/** Sum over outputs of dW H dWᵀ. */
function reconstruction(after_: Float32Array, before: Float32Array, h: Float32Array, isInOut: boolean): number {
  const n = Math.sqrt(h.length), outputs = before.length / n;
  let sum = 0;
  for (let x = 0; x < outputs; x++) {
    const d = Float64Array.from({ length: n }, (_, i) => { const at = isInOut ? i * outputs + x : x * n + i; return after_[at] - before[at]; });
    for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) sum += d[i] * d[j] * h[i * n + j];
  }
  return sum;
}

const c_proj = 'transformer.h.0.mlp.c_proj.weight', down = 'model.layers.0.mlp.down_proj.weight';

test('the number of threads does not change a bit', async () => {
  const one = makePool({ threads: 1 }), statistics = storedStatistics('llama', 'moments', path.join(folder, 'threads')), model = goldenModel('llama');
  try {
    const request = { scope: 'tensor', include: [down], exclude: model.checkpoint.tensors.map(({ name }) => name).filter((name) => name !== down) } as const;
    const bytes = await Promise.all([one, pool].map(async (workers, i) => {
      const plan = await planWith(model, 'sparsegpt', request, statistics, workers, path.join(folder, `threads${i}`)), rule = plan.rules.get(down)!;
      assert.ok(rule.kind === 'values');
      return readFileSync(rule.values.realPath);
    }));
    assert.deepEqual(bytes[0], bytes[1]);
  } finally {
    await one.close();
  }
});

test('the same matrix stored the other way round gets the same weights', async () => {
  const [bytes] = [rawTensors(path.join(home, 'gpt2', 'model.safetensors')).get(c_proj)!], w = floats(bytes), [inputs, outputs] = [160, 40];
  const turned = Float32Array.from(w, (_, i) => w[(i % inputs) * outputs + Math.floor(i / inputs)]);
  const here = path.join(folder, 'turned.safetensors'), statistics = storedStatistics('gpt2', 'moments', path.join(folder, 'turned'));
  writeFixture(here, [f32(down, [outputs, inputs], turned)]);
  const only = { scope: 'tensor', include: [] } as const, gpt2 = goldenModel('gpt2');
  const a = await planWith(gpt2, 'sparsegpt', { ...only, exclude: gpt2.checkpoint.tensors.map(({ name }) => name).filter((name) => name !== c_proj) }, statistics, pool, path.join(folder, 'turned-a'));
  const b = await planWith(openModel(here), 'sparsegpt', only, new Map([[down, { ...statistics.get(c_proj)!, tensor: down }]]), pool, path.join(folder, 'turned-b'));
  const [left, right] = [a.rules.get(c_proj)!, b.rules.get(down)!].map((rule) => { assert.ok(rule.kind === 'values'); return floats(Uint8Array.from(readFileSync(rule.values.realPath))); });
  left.forEach((x, i) => assert.equal(x, right[(i % outputs) * inputs + Math.floor(i / outputs)]));
});

/** One Linear of 8 x 16 with a given dtype under a name that is pruned by default. */
function single(name: string, values: readonly number[], dtype: 'F32' | 'BF16' = 'F32'): Made {
  if (dtype === 'F32') return f32(name, [8, 16], values);
  return { name, dtype, shape: [8, 16], bytes: new Uint8Array(Uint16Array.from(values, bf16Bits).buffer) };
}
const plainValues = Array.from({ length: 128 }, (_, i) => Math.sin(i * 1.7) + 0.01 * (i % 7));

/** Second moments of 16 inputs that have to do with each other. */
function moments(change: (h: Float32Array) => void = () => {}) {
  const h = Float32Array.from({ length: 256 }, (_, i) => (i % 17 === 0 ? 40 + i / 17 : 25 * Math.cos((i % 16) - Math.floor(i / 16)))), realPath = path.join(folder, `moments-${Math.random()}.bin`);
  change(h);
  writeFileSync(realPath, new Uint8Array(h.buffer));
  return new Map([[down, { tensor: down, inputs: 16, rows: 100, sumOfSquares: Float64Array.from({ length: 16 }, (_, i) => h[i * 17]), secondMoments: { realPath, from: 0, byteLength: 1024 } }]]);
}

async function pruned(made: Made, statistics = moments(), sparsity = 0.5) {
  const file = path.join(folder, `single-${Math.random()}.safetensors`);
  writeFixture(file, [made]);
  const model = openModel(file), plan = await planWith(model, 'sparsegpt', { sparsity, scope: 'tensor' }, statistics, pool, path.join(folder, 'single'));
  const { files } = await runJob(writePruned(model, plan, { out: `${file}-out.safetensors`, force: false, io: 'pread' }, pool));
  return { plan, values: valuesOf(files[0]).get(made.name)!, codes: plan.problems.map(({ code }) => code) };
}

test('new weights are rounded to the dtype of the tensor', async () => {
  const narrow = single(down, plainValues, 'BF16'), wide = f32(down, [8, 16], Float64Array.from(new Uint16Array(narrow.bytes.buffer as ArrayBuffer), (bits) => new Float32Array(Uint32Array.of(bits << 16).buffer)[0]));
  const [a, b] = [await pruned(narrow), await pruned(wide)];
  assert.deepEqual(Array.from(a.values, bf16Bits), Array.from(b.values, bf16Bits));
  assert.ok(b.values.some((x, i) => x !== a.values[i]), 'F32 keeps more digits');
});

test('sparsity 0 changes nothing, sparsity 1 leaves nothing', async () => {
  assert.deepEqual(Array.from((await pruned(single(down, plainValues), moments(), 0)).values), Array.from(Float32Array.from(plainValues)));
  assert.equal(zerosIn((await pruned(single(down, plainValues), moments(), 1)).values), 128);
});

test('a second time with the same sparsity changes nothing; with less it says that the tensor is sparser already', async () => {
  const once = await pruned(single(down, plainValues)), again = await pruned(single(down, Array.from(once.values)));
  assert.deepEqual(again.values, once.values);
  const less = await pruned(single(down, Array.from(once.values)), moments(), 0.25);
  assert.deepEqual([less.values, less.codes], [once.values, ['already-sparser']]);
});

test('a tensor with NaN or an infinite value is left as it is, and that is said', async () => {
  for (const bad of [NaN, Infinity]) {
    const values = plainValues.with(37, bad), { values: got, codes, plan } = await pruned(single(down, values));
    assert.deepEqual(Array.from(got), Array.from(Float32Array.from(values)));
    assert.deepEqual(codes, [Number.isNaN(bad) ? 'nan-in-scope' : 'infinite-in-scope']);
    assert.equal(plan.rules.size, 0);
  }
});

test('a Hessian that no damping helps leaves the tensor as it is, and that is said', async () => {
  for (const value of [NaN, 1e9]) {
    const { values, codes } = await pruned(single(down, plainValues), moments((h) => { h[1] = value; h[16] = value; }));
    assert.deepEqual(Array.from(values), Array.from(Float32Array.from(plainValues)));
    assert.deepEqual(codes, ['hessian-indefinite']);
  }
});

test('inputs that were never seen go first, but not more of them than asked; without any it is magnitude', async () => {
  const dead = await pruned(single(down, plainValues), moments((h) => { for (let i = 0; i < 16; i++) for (let j = 0; j < 16; j++) if (i === 3 || j === 3) h[i * 16 + j] = 0; }), 0.25);
  for (let row = 0; row < 8; row++) assert.equal(dead.values[row * 16 + 3], 0);
  assert.equal(zerosIn(dead.values), 32);
  const none = await pruned(single(down, plainValues), moments((h) => h.fill(0)), 0.25), cut = plainValues.map(Math.abs).sort((a, b) => a - b)[31];
  assert.deepEqual(Array.from(none.values), Array.from(Float32Array.from(plainValues, (x) => (Math.abs(x) <= cut ? 0 : x))));
});

test('a matrix whose inputs calibration did not see is left as it is, and that is said; no calibration at all is refused', async () => {
  const { values, codes } = await pruned(single('model.layers.0.mlp.up_proj.weight', plainValues));
  assert.deepEqual(Array.from(values), Array.from(Float32Array.from(plainValues)));
  assert.deepEqual(codes, ['inputs-unknown']);
  const file = path.join(folder, 'alone.safetensors');
  writeFixture(file, [single(down, plainValues)]);
  const request = { sparsity: 0.5, scope: 'tensor', pattern: 'unstructured', include: [], exclude: [], seed: 0 } as const;
  await assert.rejects(runJob(planPrune(openModel(file), 'sparsegpt', request, pool, { io: 'pread' })), { code: 'calibration-needed' });
});

test('an allocation gives each tensor a sparsity of its own, met exactly', async () => {
  const model = goldenModel('llama'), statistics = storedStatistics('llama', 'moments', path.join(folder, 'table')), up = 'model.layers.0.mlp.up_proj.weight';
  const exclude = model.checkpoint.tensors.map(({ name }) => name).filter((name) => name !== down && name !== up);
  const allocation = { kind: 'table', entries: [{ glob: down, sparsity: 0.31 }] } as const;
  const { tensors } = await planWith(model, 'sparsegpt', { sparsity: 0.5, scope: 'tensor', exclude, allocation }, statistics, pool, path.join(folder, 'table'));
  // Both have 6,880 weights.
  assert.deepEqual(Object.fromEntries(tensors.map(({ name, zerosAfter }) => [name, zerosAfter])), { [down]: roundHalfEven(0.31 * 6880), [up]: roundHalfEven(0.69 * 6880) });
});

test('a cancel while it works is heard', async () => {
  const model = goldenModel('llama'), statistics = storedStatistics('llama', 'moments', path.join(folder, 'cancel')), stop = new AbortController();
  const job = planPrune(model, 'sparsegpt', { sparsity: 0.5, scope: 'tensor', pattern: 'unstructured', include: [], exclude: ['model.layers.[12].*'], seed: 0, calibration: noCalibration }, pool,
    { io: 'pread', calibrate: calibrateWith(statistics), scratch: { path: folder } }, stop.signal);
  await assert.rejects(runJob(job, ({ stage, done }) => { if (stage === 'prune' && done === 3) stop.abort(); }), { code: 'cancelled' });
});
