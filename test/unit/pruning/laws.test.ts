import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { runJob } from '../../../server/core/job';
import { openModel } from '../../../server/core/models/openModel';
import type { PrunePlan, PruneRequest, Scope } from '../../../server/core/pruning/contract';
import { planPrune } from '../../../server/core/pruning/planPrune';
import { roundHalfEven } from '../../../server/core/pruning/rounding';
import { writePruned } from '../../../server/core/pruning/writePruned';
import { encodeInto } from '../../../server/core/tensor/narrow';
import type { Convertible } from '../../../server/core/tensor/narrow';
import { makePool } from '../../../server/core/workers/pool';
import type { WorkerPool } from '../../../server/core/workers/contract';
import { scratch, sha, valuesOf, writeFixture } from './helpers';
import type { Made } from './helpers';
import { plainPool } from './plainPool';

const folder = scratch('laws');
const pool = makePool({ threads: 2 });
after(() => pool.close());
let count = 0;

/** Values with many ties, across dtypes: multiples of 1/8, and what is special. */
const value = fc.oneof({ weight: 8, arbitrary: fc.integer({ min: -20, max: 20 }).map((n) => n / 8) }, { weight: 2, arbitrary: fc.constantFrom(0, -0, 0.1, -0.1, 1e-7, NaN, Infinity, -Infinity) });
const tensor = fc.record({ dtype: fc.constantFrom<Convertible>('F32', 'BF16', 'F16', 'F64'), rows: fc.integer({ min: 1, max: 5 }), columns: fc.integer({ min: 1, max: 9 }) })
  .chain(({ dtype, rows, columns }) => fc.array(value, { minLength: rows * columns, maxLength: rows * columns }).map((values) => ({ dtype, rows, columns, values })));
type Drawn = typeof tensor extends fc.Arbitrary<infer T> ? T : never;
const tensors = fc.array(tensor, { minLength: 1, maxLength: 5 });
const sparsity = fc.oneof(fc.constantFrom(0, 0.5, 1), fc.double({ min: 0, max: 1, noNaN: true }));

const made = (drawn: readonly Drawn[]): Made[] => drawn.map(({ dtype, rows, columns, values }, i) => {
  const bytes = new Uint8Array(Math.ceil(values.length) * 8), size = { F64: 8, F32: 4, F16: 2, BF16: 2 }[dtype];
  encodeInto(dtype, Float64Array.from(values), values.length, bytes);
  // Names out of file order, so that tie order and storage order differ.
  return { name: `layers.${(i * 3) % 7}.mlp.up_proj.weight`, dtype, shape: [rows, columns], bytes: bytes.subarray(0, values.length * size) };
});

/** A model folder: one file, or each tensor in a shard of its own, backwards. */
function makeModel(drawn: readonly Drawn[], sharded: boolean): string {
  const model = path.join(folder, String(count++)), all = made(drawn);
  mkdirSync(model);
  writeFileSync(path.join(model, 'config.json'), '{"model_type":"llama"}');
  if (!sharded || all.length < 2) writeFixture(path.join(model, 'model.safetensors'), all);
  else {
    const fileOf = (i: number): string => `model-0000${all.length - i}-of-0000${all.length}.safetensors`;
    all.forEach((one, i) => writeFixture(path.join(model, fileOf(i)), [one]));
    writeFileSync(path.join(model, 'model.safetensors.index.json'), JSON.stringify({ metadata: {}, weight_map: Object.fromEntries(all.map(({ name }, i) => [name, fileOf(i)])) }));
  }
  return model;
}

async function prune(model: string, request: Partial<PruneRequest>, workers: WorkerPool = plainPool): Promise<{ plan: PrunePlan; out: string }> {
  const opened = openModel(model), out = path.join(folder, String(count++));
  const plan = await runJob(planPrune(opened, 'magnitude', { sparsity: 0.5, scope: 'global', pattern: 'unstructured', include: [], exclude: [], seed: 0, ...request }, workers, { io: 'pread' }));
  await runJob(writePruned(opened, plan, { out, force: false, io: 'pread' }, workers));
  return { plan, out };
}

const options = { numRuns: 25 };
const flat = (file: string): number[] => [...valuesOf(file).values()].flatMap((values) => [...values]);
const zeros = (values: readonly number[]): number => values.filter((x) => x === 0).length;

test('exactly max(k, zeros before) weights are zero, k less what NaN makes impossible; the rest keeps its bits', async () => {
  await fc.assert(fc.asyncProperty(tensors, sparsity, async (drawn, s) => {
    const model = makeModel(drawn, false), before = flat(model);
    const { plan, out } = await prune(model, { sparsity: s });
    const after = flat(out), k = Math.min(roundHalfEven(s * before.length), before.filter((x) => !Number.isNaN(x)).length);
    assert.equal(plan.selected, k);
    assert.equal(zeros(after), Math.max(k, zeros(before)));
    after.forEach((x, i) => assert.ok(Object.is(x, before[i]) || Object.is(x, 0)));
    // Nothing that was kept is smaller than something that went.
    const gone = before.filter((x, i) => after[i] === 0 && x !== 0).map(Math.abs), kept = after.filter((x) => x !== 0 && !Number.isNaN(x)).map(Math.abs);
    if (gone.length > 0 && kept.length > 0) assert.ok(Math.max(...gone) <= Math.min(...kept));
  }), options);
});

test('shards, seeds and threads never change the mask', async () => {
  await fc.assert(fc.asyncProperty(tensors, sparsity, fc.constantFrom<Scope>('global', 'tensor', 'row'), fc.nat(), async (drawn, s, scope, seed) => {
    const one = await prune(makeModel(drawn, false), { sparsity: s, scope });
    for (const other of [await prune(makeModel(drawn, true), { sparsity: s, scope }), await prune(makeModel(drawn, false), { sparsity: s, scope, seed }, pool)]) {
      assert.deepEqual(new Map([...valuesOf(other.out)].sort()), new Map([...valuesOf(one.out)].sort()));
      assert.deepEqual([...other.plan.rules], [...one.plan.rules]);
    }
  }), options);
});

test('N:M is the same by workers and by sorting', async () => {
  await fc.assert(fc.asyncProperty(tensors, fc.constantFrom({ keep: 2, of: 4 }, { keep: 1, of: 2 }, { keep: 3, of: 5 }), async (drawn, pattern) => {
    const model = makeModel(drawn, false), sparse = 1 - pattern.keep / pattern.of;
    const plain = await prune(model, { sparsity: sparse, pattern }), fast = await prune(model, { sparsity: sparse, pattern }, pool);
    assert.equal(sha(path.join(fast.out, 'model.safetensors')), sha(path.join(plain.out, 'model.safetensors')));
  }), options);
});

test('pruning again changes nothing; a higher level includes a lower one', async () => {
  await fc.assert(fc.asyncProperty(tensors, sparsity, sparsity, async (drawn, s, t) => {
    const model = makeModel(drawn, false), [low, high] = s < t ? [s, t] : [t, s];
    const once = await prune(model, { sparsity: low }), twice = await prune(once.out, { sparsity: low });
    assert.equal(sha(path.join(twice.out, 'model.safetensors')), sha(path.join(once.out, 'model.safetensors')));
    const more = flat((await prune(model, { sparsity: high })).out), less = flat(once.out);
    less.forEach((x, i) => { if (x === 0) assert.ok(more[i] === 0); });
    // In two steps or in one: the same mask.
    assert.deepEqual(flat((await prune(once.out, { sparsity: high })).out).map((x) => x === 0), more.map((x) => x === 0));
  }), options);
});
