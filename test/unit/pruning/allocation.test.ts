import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import type { Calibrate } from '../../../server/core/calibration/contract';
import { runJob } from '../../../server/core/job';
import { openModel } from '../../../server/core/models/openModel';
import type { Allocation, PrunePlan, PruneRequest } from '../../../server/core/pruning/contract';
import { optionWords, parseAllocation } from '../../../server/core/pruning/options';
import { owlSparsities, shiftInto } from '../../../server/core/pruning/owl';
import { planPrune } from '../../../server/core/pruning/planPrune';
import { makePool } from '../../../server/core/workers/pool';
import { randomWords } from '../workers/support';
import { f32, scratch, winnow, writeFixture } from './helpers';
import { noCalibration } from './methodCases';

const folder = scratch('allocation'), pool = makePool({ threads: 1 });
after(() => pool.close());

const sizes = { 'model.layers.0.self_attn.q_proj.weight': [8, 8], 'model.layers.0.mlp.up_proj.weight': [24, 8], 'model.layers.1.self_attn.q_proj.weight': [8, 8], 'model.layers.1.mlp.up_proj.weight': [24, 8], 'model.layers.2.mlp.up_proj.weight': [40, 8] } as const;
const source = path.join(folder, 'model'), next = randomWords(3);
mkdirSync(source);
writeFileSync(path.join(source, 'config.json'), '{"model_type":"llama"}');
// No large weights in the first layer, one of twenty in the second, two of twenty in the third.
const outliers = (name: string): number => Number(/\d/.exec(name)![0]);
writeFixture(path.join(source, 'model.safetensors'), Object.entries(sizes).map(([name, shape]) =>
  f32(name, shape, Array.from({ length: shape[0] * shape[1] }, (_, i) => (next() / 2 ** 31 - 1) * (i % 20 < outliers(name) ? 20 : 1)))));

const calibrate: Calibrate = async function* (_needs, names, prune) {
  for (const block of [0, 1, 2]) {
    const inside = [...names].filter((name) => name.includes(`layers.${block}.`));
    yield* prune({ block, blocks: 3, inputs: new Map(inside.map((tensor) => [tensor, { tensor, inputs: 8, rows: 4, sumOfSquares: Float64Array.from({ length: 8 }, (_, i) => 4 + i / 8), secondMoments: null }])) });
  }
  return { text: '', textSha256: '', samples: 1, length: 4, tokens: 4, seed: 0, oneShot: false, provider: 'cpu' };
};

const plan = (method: string, request: Partial<PruneRequest>): Promise<PrunePlan> => runJob(planPrune(openModel(source), method,
  { sparsity: 0.5, scope: 'tensor', pattern: 'unstructured', include: [], exclude: [], seed: 0, calibration: noCalibration, ...request }, pool, { io: 'pread', calibrate }));
const fractions = (planned: PrunePlan): number[] => planned.tensors.map(({ zerosAfter, elements }) => zerosAfter / elements);
const total = (planned: PrunePlan): number => planned.tensors.reduce((sum, { zerosAfter }) => sum + zerosAfter, 0);
const table = (entries: Record<string, number>): Allocation => ({ kind: 'table', entries: Object.entries(entries).map(([glob, sparsity]) => ({ glob, sparsity })) });

test('the first glob that names a tensor decides, the others share what is left of the total', async () => {
  const planned = await plan('magnitude', { allocation: table({ '*.layers.2.*': 0.25, '*.mlp.*': 0.75 }) });
  const weights = 64 + 192 + 64 + 192 + 320, rest = (0.5 * weights - 0.25 * 320 - 0.75 * 384) / 128;
  assert.deepEqual(planned.tensors.map(({ name, zerosAfter }) => [name.replace(/^model.layers.|.weight$/g, ''), zerosAfter]), [
    ['0.mlp.up_proj', 144], ['0.self_attn.q_proj', Math.round(rest * 64)], ['1.mlp.up_proj', 144], ['1.self_attn.q_proj', Math.round(rest * 64)], ['2.mlp.up_proj', 80],
  ]);
  assert.equal(total(planned), weights / 2);
  assert.deepEqual(planned.problems, []);
});

test('a table that names everything decides, and says so where its total is another; one that cannot add up is refused', async () => {
  const planned = await plan('random', { allocation: table({ '*.mlp.*': 0.6, '*': 0.4 }) });
  assert.ok(planned.tensors.every(({ name, zerosAfter, elements }) => zerosAfter === Math.round((name.includes('mlp') ? 0.6 : 0.4) * elements)));
  assert.deepEqual(planned.problems.map(({ code }) => code), ['allocation-total']);
  await assert.rejects(plan('magnitude', { allocation: table({ '*.mlp.*': 0.9 }) }), { code: 'bad-allocation' });
  await assert.rejects(plan('magnitude', { allocation: table({ '*.nothing.*': 0.9 }) }), { code: 'no-match' });
});

test('allocations beside the global scope and N:M are refused, and so are numbers that a method does not take', async () => {
  const allocation = table({ '*': 0.5 });
  await assert.rejects(plan('magnitude', { allocation, scope: 'global' }), { code: 'unsupported-allocation' });
  await assert.rejects(plan('magnitude', { allocation, pattern: { keep: 2, of: 4 } }), { code: 'unsupported-allocation' });
  await assert.rejects(plan('random', { allocation: { kind: 'owl', m: 5, lambda: 0.08, published: false } }), { code: 'unsupported-allocation' });
  await assert.rejects(plan('magnitude', { parameters: { 'ria-power': 1 } }), { code: 'bad-parameter' });
  await assert.rejects(plan('ria', { parameters: { 'ria-power': -1 } }), { code: 'bad-parameter' });
});

test('blocks with more outliers keep more, by every method that takes the allocation, and the total is what was asked', async () => {
  for (const method of ['magnitude', 'wanda', 'ria']) for (const scope of ['tensor', 'row'] as const) {
    const planned = await plan(method, { scope, allocation: { kind: 'owl', m: 3, lambda: 0.15, published: false } }), [a, , b, , c] = fractions(planned);
    assert.ok(a > b && b > c, `${method} ${scope}: ${[a, b, c]}`);
    assert.ok(a - c <= 0.3 + 1 / 8);
    // Exact; rows lose whole weights, which misses it by half the outputs of one tensor at most.
    assert.ok(Math.abs(total(planned) - 416) <= (scope === 'tensor' ? 0 : 20), `${method} ${scope}: ${total(planned)}`);
    assert.notEqual(planned.calibration, undefined);
  }
  await assert.rejects(runJob(planPrune(openModel(source), 'magnitude', { sparsity: 0.5, scope: 'tensor', pattern: 'unstructured', include: [], exclude: [], seed: 0, allocation: { kind: 'owl', m: 5, lambda: 0.08, published: false } }, pool, { io: 'pread' })), { code: 'calibration-needed' });
});

test('sparsities by outliers lie in [0, 1], within 2 lambda of one another, higher for fewer outliers, and weigh to what was asked', () => {
  const block = fc.record({ weights: fc.integer({ min: 1, max: 1e9 }), share: fc.double({ min: 0, max: 1, noNaN: true }) });
  fc.assert(fc.property(fc.array(block, { minLength: 1, maxLength: 12 }), fc.double({ min: 0, max: 1, noNaN: true }), fc.double({ min: 0, max: 0.5, noNaN: true }), fc.boolean(), (blocks, s, lambda, published) => {
    const got = owlSparsities(blocks, s, { kind: 'owl', m: 5, lambda, published }), weights = blocks.reduce((sum, one) => sum + one.weights, 0);
    got.forEach((x, i) => {
      assert.ok(x >= 0 && x <= 1);
      got.forEach((y, j) => { assert.ok(Math.abs(x - y) <= 2 * lambda + 1e-9); if (blocks[i].share < blocks[j].share) assert.ok(x >= y - 1e-12); });
    });
    const mean = published ? got.reduce((sum, x) => sum + x, 0) / got.length : got.reduce((sum, x, i) => sum + x * blocks[i].weights, 0) / weights;
    if (!published || got.every((x) => x > 0 && x < 1)) assert.ok(Math.abs(mean - s) < 1e-9, `${mean} for ${s}`);
    if (new Set(blocks.map(({ share }) => share)).size === 1) assert.deepEqual(got, blocks.map(() => s));
  }));
  assert.deepEqual(shiftInto([0.2, 0.4], [1, 1], 0.6), [0.2, 0.4]);
});

test('an allocation in words is read and said again', () => {
  assert.deepEqual(parseAllocation(['uniform'], {}), { kind: 'uniform' });
  assert.deepEqual(parseAllocation(['owl'], { m: 7 }), { kind: 'owl', m: 7, lambda: 0.08, published: false });
  assert.deepEqual(parseAllocation(['a=b*=0.5', '*=1'], {}), { kind: 'table', entries: [{ glob: 'a=b*', sparsity: 0.5 }, { glob: '*', sparsity: 1 }] });
  for (const words of [[], ['even'], ['*=2'], ['=0.5'], ['*='], ['owl', '*=0.5'], ['*=0x1']]) assert.throws(() => parseAllocation(words, {}), { code: 'bad-allocation' }, words.join(' '));
  assert.throws(() => parseAllocation(['uniform'], { m: 5 }), { code: 'bad-allocation' });
  assert.throws(() => parseAllocation(['owl'], { m: 0 }), { code: 'bad-allocation' });
  assert.deepEqual(optionWords({ method: 'ria', allocation: { kind: 'owl', m: 7, lambda: 0.08, published: true }, parameters: { 'ria-power': 0.3 } }), ['owl', 'owl-m=7', 'owl-published', 'ria-power=0.3']);
  assert.deepEqual(optionWords({ method: 'ria', parameters: { 'ria-power': 0.5 } }), []);
});

test('the command line takes methods, blocks and tables by their flags, and says what cannot be', async () => {
  const out = path.join(folder, 'out'), run = (...words: string[]): ReturnType<typeof winnow> => winnow(['prune', source, '--force', '--out', out, ...words]);
  const ended = async (code: number, says: RegExp, ...words: string[]): Promise<void> => {
    const { code: got, err } = await run(...words);
    assert.equal(got, code, `${words.join(' ')}: ${err}`);
    assert.match(err, says);
  };
  const random = (await run('--sparsity', '0.5', '--method', 'random', '--seed', '9')).json as { selected: number; threshold: number | null; scope: string };
  assert.deepEqual([random.selected, random.threshold, random.scope], [416, null, 'global']);
  const blocks = (await run('--sparsity', '0.5', '--pattern', '4x4', '--scope', 'tensor')).json as { selected: number; pattern: string; problems: unknown[] };
  assert.deepEqual([blocks.selected, blocks.pattern, blocks.problems], [416, '4x4', []]);
  const ragged = (await run('--sparsity', '0.5', '--pattern', '5x8')).json as { problems: { code: string }[] };
  assert.deepEqual(ragged.problems.map(({ code }) => code), ['ragged-blocks', 'ragged-blocks', 'ragged-blocks', 'ragged-blocks']);
  assert.deepEqual(((await run('--sparsity', '0.5', '--scope', 'tensor', '--allocation', '*.mlp.*=0.5')).json as { options: string[] }).options, ['*.mlp.*=0.5']);
  await ended(2, /^winnow: unsupported-allocation: .*global/m, '--sparsity', '0.5', '--allocation', '*=0.5');
  await ended(2, /^winnow: unsupported-scope: .*row/m, '--sparsity', '0.5', '--pattern', '4x4', '--scope', 'row');
  await ended(2, /`ria-power` is for ria/, '--sparsity', '0.5', '--ria-power', '1');
  await ended(2, /--ria-power takes a number from 0 to 4/, '--sparsity', '0.5', '--method', 'ria', '--ria-power', '9');
});
