// Laws of every method of the registry that chooses among weights as they are, over scopes, patterns, layouts and dtypes: a new entry is
// tested here before anyone writes a test for it. Methods that also change what they keep (they need second moments) have laws of their own.
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import type { Calibrate, InputStatistics } from '../../../server/core/calibration/contract';
import { runJob } from '../../../server/core/job';
import { openModel } from '../../../server/core/models/openModel';
import type { Pattern, PrunePlan, PruneRequest, PruningMethod, Scope } from '../../../server/core/pruning/contract';
import { isBlock, isGroups, patternKind, patternSparsity, patternText } from '../../../server/core/pruning/pattern';
import { planPrune } from '../../../server/core/pruning/planPrune';
import { pruningMethods } from '../../../server/core/pruning/registry';
import { roundHalfEven } from '../../../server/core/pruning/rounding';
import { writePruned } from '../../../server/core/pruning/writePruned';
import { encodeInto } from '../../../server/core/tensor/narrow';
import type { Convertible } from '../../../server/core/tensor/narrow';
import { makePool } from '../../../server/core/workers/pool';
import { scratch, valuesOf, writeFixture } from './helpers';
import type { Made } from './helpers';
import { noCalibration } from './methodCases';
import { randomWords } from '../workers/support';

const folder = scratch('method-laws');
const pools = [makePool({ threads: 1 }), makePool({ threads: 2 })];
after(() => Promise.all(pools.map((pool) => pool.close())));
let count = 0;

// Structured methods take whole parts: structured.test.ts holds them to their own law.
const choosing = pruningMethods.filter(({ needs, structured }) => needs !== 'hessians' && !structured);
const patterns: readonly Pattern[] = ['unstructured', { keep: 2, of: 4 }, { keep: 1, of: 5 }, { rows: 2, columns: 3 }, { rows: 4, columns: 1 }];
type Orientation = 'out-in' | 'in-out';

/** Llama stores (out, in), GPT-2 (in, out): two matrices a layer. `values` are (outputs, inputs). */
interface Matrix { readonly layer: number; readonly which: 'up' | 'down'; readonly outputs: number; readonly inputs: number; readonly values: readonly number[] }
interface Network { readonly dtype: Convertible; readonly orientation: Orientation; readonly matrices: readonly Matrix[] }

const nameOf = ({ orientation }: Pick<Network, 'orientation'>, { layer, which }: Matrix): string =>
  orientation === 'out-in' ? `model.layers.${layer}.mlp.${which}_proj.weight` : `h.${layer}.mlp.c_${which === 'up' ? 'fc' : 'proj'}.weight`;

function tensorOf(network: Network, matrix: Matrix): Made {
  const { outputs, inputs, values } = matrix, isOutIn = network.orientation === 'out-in', n = values.length;
  const stored = isOutIn ? values : Array.from({ length: n }, (_, i) => values[(i % outputs) * inputs + Math.floor(i / outputs)]);
  const size = { F64: 8, F32: 4, F16: 2, BF16: 2, F8_E4M3: 1, F8_E5M2: 1 }[network.dtype as 'F32'] ?? 4, bytes = new Uint8Array(n * 8);
  encodeInto(network.dtype, Float64Array.from(stored), n, bytes);
  return { name: nameOf(network, matrix), dtype: network.dtype, shape: isOutIn ? [outputs, inputs] : [inputs, outputs], bytes: bytes.slice(0, n * size) };
}

function makeModel(network: Network): string {
  const model = path.join(folder, String(count++));
  mkdirSync(model);
  writeFileSync(path.join(model, 'config.json'), `{"model_type":"${network.orientation === 'out-in' ? 'llama' : 'gpt2'}"}`);
  writeFixture(path.join(model, 'model.safetensors'), network.matrices.map((matrix) => tensorOf(network, matrix)));
  return model;
}

/** Norms that depend on the matrix and the input alone, some of them zero (dead channels): what a calibration would answer. */
function calibrateFor(network: Network, dead: boolean): Calibrate {
  return async function* calibrate(_needs, names, prune) {
    const layers = [...new Set(network.matrices.map(({ layer }) => layer))].sort((a, b) => a - b);
    for (const [block, layer] of layers.entries()) {
      const inputs = new Map<string, InputStatistics>();
      for (const matrix of network.matrices) {
        const tensor = nameOf(network, matrix), next = randomWords(1000 * layer + (matrix.which === 'up' ? 1 : 2));
        if (matrix.layer !== layer || !names.has(tensor)) continue;
        const sumOfSquares = Float64Array.from({ length: matrix.inputs }, () => (next() % 9 === 0 && dead ? 0 : (next() / 2 ** 32 + 0.1) ** 4 * 50));
        inputs.set(tensor, { tensor, inputs: matrix.inputs, rows: 10, sumOfSquares, secondMoments: null });
      }
      yield* prune({ block, blocks: layers.length, inputs });
    }
    return { text: '/nowhere', textSha256: '', samples: 1, length: 10, tokens: 10, seed: 0, oneShot: false, provider: 'cpu' };
  };
}

interface Pruned { readonly plan: PrunePlan; readonly out: string; readonly after: Map<string, Float64Array>; readonly before: Map<string, Float64Array> }

async function prune(method: PruningMethod, network: Network, request: Partial<PruneRequest>, threads: 1 | 2 = 1, source = makeModel(network), dead = true): Promise<Pruned> {
  const model = openModel(source), out = path.join(folder, String(count++)), pool = pools[threads - 1];
  const full: PruneRequest = { sparsity: 0.5, scope: method.defaultScope, pattern: 'unstructured', include: [], exclude: [], seed: 0, calibration: noCalibration, ...request };
  const plan = await runJob(planPrune(model, method.id, full, pool, { io: 'pread', calibrate: calibrateFor(network, dead) }));
  await runJob(writePruned(model, plan, { out, force: false, io: 'pread' }, pool));
  return { plan, out, after: valuesOf(out), before: valuesOf(source) };
}

const value = fc.oneof({ weight: 9, arbitrary: fc.double({ min: -4, max: 4, noNaN: true }) }, { weight: 4, arbitrary: fc.integer({ min: -8, max: 8 }).map((n) => n / 8) }, { weight: 2, arbitrary: fc.constantFrom(0, -0, NaN, Infinity, -Infinity) });
const dtype = fc.constantFrom<Convertible>('F32', 'BF16', 'F16', 'F64');
const orientation = fc.constantFrom<Orientation>('out-in', 'in-out');
const sparsity = fc.oneof({ weight: 1, arbitrary: fc.constantFrom(0, 1) }, { weight: 4, arbitrary: fc.double({ min: 0, max: 1, noNaN: true }) });
const shapeOf = fc.record({ outputs: fc.integer({ min: 1, max: 7 }), inputs: fc.integer({ min: 1, max: 11 }) });
const matrixOf = (of: fc.Arbitrary<number>): fc.Arbitrary<Omit<Matrix, 'layer' | 'which'>> =>
  shapeOf.chain(({ outputs, inputs }) => fc.array(of, { minLength: outputs * inputs, maxLength: outputs * inputs }).map((values) => ({ outputs, inputs, values })));
const networkOf = (of: fc.Arbitrary<number>): fc.Arbitrary<Network> => fc.record({ dtype, orientation, drawn: fc.array(matrixOf(of), { minLength: 1, maxLength: 4 }) })
  .map(({ drawn, ...rest }) => ({ ...rest, matrices: drawn.map((matrix, i) => ({ ...matrix, layer: i >> 1, which: i % 2 === 0 ? 'up' : 'down' })) }));
const network = networkOf(value);

/** (outputs, inputs) values of a stored tensor. */
const logical = ({ orientation: o }: Network, { outputs, inputs }: Matrix, stored: Float64Array): number[] =>
  Array.from({ length: outputs * inputs }, (_, i) => (o === 'out-in' ? stored[i] : stored[(i % inputs) * outputs + Math.floor(i / inputs)]));

const zeros = (values: Iterable<number>): number => [...values].filter((x) => x === 0).length;
const numbers = (values: Iterable<number>): number => [...values].filter((x) => !Number.isNaN(x)).length;
const options = { numRuns: 12 };

/** What a method takes of scopes and patterns; blocks need more than a row. */
function waysOf(method: PruningMethod): { scope: Scope; pattern: Pattern }[] {
  return patterns.filter((pattern) => method.patterns.includes(patternKind(pattern)))
    .flatMap((pattern) => method.scopes.filter((scope) => !isBlock(pattern) || scope !== 'row').filter((scope) => !isGroups(pattern) || scope === method.defaultScope).map((scope) => ({ scope, pattern })));
}

/** Sets of positions (outputs, inputs) that compete, over all matrices: `m i` keys, and how many of each have to be zero. */
function assertCounts(net: Network, { before, after, plan }: Pruned, scope: Scope, pattern: Pattern, s: number): void {
  const units: { before: number[]; after: number[]; wanted: number }[] = [];
  for (const matrix of net.matrices) {
    const name = nameOf(net, matrix), was = logical(net, matrix, before.get(name)!), is = logical(net, matrix, after.get(name)!), { inputs, outputs } = matrix;
    if (isGroups(pattern)) {
      for (let o = 0; o < outputs; o++) for (let at = o * inputs; at + pattern.of <= (o + 1) * inputs; at += pattern.of) units.push({ before: was.slice(at, at + pattern.of), after: is.slice(at, at + pattern.of), wanted: pattern.of - pattern.keep });
      for (let i = 0; i < was.length; i++) if (i % inputs >= inputs - (inputs % pattern.of)) assert.ok(Object.is(was[i], is[i]), 'the ragged rest of a row is left alone');
    } else if (scope === 'row') {
      for (let o = 0; o < outputs; o++) units.push({ before: was.slice(o * inputs, (o + 1) * inputs), after: is.slice(o * inputs, (o + 1) * inputs), wanted: roundHalfEven(s * inputs) });
    } else units.push({ before: was, after: is, wanted: roundHalfEven(s * was.length) });
  }
  if (scope === 'global' && !isGroups(pattern)) {
    const all = { before: units.flatMap((unit) => unit.before), after: units.flatMap((unit) => unit.after) };
    units.splice(0, Infinity, { ...all, wanted: roundHalfEven(s * all.before.length) });
  }
  for (const unit of units) assert.equal(zeros(unit.after), Math.max(zeros(unit.before), Math.min(unit.wanted, numbers(unit.before))), `${scope} ${patternText(pattern)} ${s}`);
  assert.equal(plan.selected, units.reduce((sum, unit) => sum + Math.min(unit.wanted, numbers(unit.before)), 0));
}

/** Blocks by plain loops: which go is the method's business, that they go whole and how many is the law. */
function assertBlocks(net: Network, { before, after, plan }: Pruned, scope: Scope, { rows, columns }: { rows: number; columns: number }, s: number): void {
  let selected = 0;
  const all: { live: boolean; possible: boolean; zeroBefore: boolean }[][] = net.matrices.map((matrix) => {
    const name = nameOf(net, matrix), was = logical(net, matrix, before.get(name)!), is = logical(net, matrix, after.get(name)!), { inputs, outputs } = matrix, blocks = [];
    for (let top = 0; top < outputs; top += rows) for (let left = 0; left < inputs; left += columns) {
      const cells: number[] = [];
      for (let o = top; o < Math.min(outputs, top + rows); o++) for (let i = left; i < Math.min(inputs, left + columns); i++) cells.push(o * inputs + i);
      const live = cells.some((i) => is[i] !== 0), changed = cells.some((i) => !Object.is(was[i], is[i]));
      assert.ok(!changed || !live, 'a block that changes goes whole');
      if (!live) selected += cells.length;
      blocks.push({ live, possible: cells.every((i) => !Number.isNaN(was[i])), zeroBefore: cells.every((i) => was[i] === 0) });
    }
    return blocks;
  });
  const sets = scope === 'global' ? [all.flat()] : all;
  const asked = sets.map((blocks) => Math.min(roundHalfEven(s * blocks.length), blocks.filter(({ possible }) => possible).length));
  sets.forEach((blocks, i) => assert.equal(blocks.filter(({ live }) => !live).length, Math.max(asked[i], blocks.filter(({ zeroBefore }) => zeroBefore).length), `${asked[i]} of ${blocks.length} blocks`));
  if (sets.every((blocks, i) => blocks.filter(({ zeroBefore }) => zeroBefore).length <= asked[i])) assert.equal(plan.selected, selected);
}

for (const method of choosing) {
  test(`${method.id}: exactly what is asked becomes zero in every scope and pattern; NaN and all that is kept keep their bits, zeros stay`, async () => {
    await fc.assert(fc.asyncProperty(network, sparsity, fc.constantFrom(...waysOf(method)), async (net, drawn, { scope, pattern }) => {
      const s = patternSparsity(pattern) ?? drawn, pruned = await prune(method, net, { sparsity: s, scope, pattern });
      for (const [name, was] of pruned.before) {
        const is = pruned.after.get(name)!;
        was.forEach((x, i) => assert.ok(Object.is(is[i], x) || (Object.is(is[i], 0) && !Number.isNaN(x)), `${x} became ${is[i]}`));
        const counted = pruned.plan.tensors.find((tensor) => tensor.name === name)!;
        assert.deepEqual([counted.zerosBefore, counted.zerosAfter], [zeros(was), zeros(is)], 'planned is what is written');
        assert.ok(zeros(is) >= zeros(was));
      }
      if (isBlock(pattern)) assertBlocks(net, pruned, scope, pattern, s);
      else assertCounts(net, pruned, scope, pattern, s);
    }), { numRuns: 30 });
  });

  test(`${method.id}: the same every time, with any number of threads; nothing at 0, all that is a number at 1`, async () => {
    await fc.assert(fc.asyncProperty(network, sparsity, fc.constantFrom(...waysOf(method)), async (net, drawn, { scope, pattern }) => {
      const request = { sparsity: patternSparsity(pattern) ?? drawn, scope, pattern, seed: 3 };
      const one = await prune(method, net, request), two = await prune(method, net, request, 2);
      assert.deepEqual(two.after, one.after);
      if (isGroups(pattern)) return;
      const none = await prune(method, net, { ...request, sparsity: 0 }), all = await prune(method, net, { ...request, sparsity: 1 });
      assert.deepEqual(none.after, none.before);
      const total = [...all.after.values()].flatMap((values) => [...values]);
      if (!isBlock(pattern)) assert.equal(zeros(total), numbers(total.map((x) => x)), 'only NaN is left');
    }), options);
  });

  test(`${method.id}: pruning what is pruned changes nothing`, async () => {
    await fc.assert(fc.asyncProperty(network, sparsity, fc.constantFrom(...waysOf(method)), async (net, drawn, { scope, pattern }) => {
      const request = { sparsity: patternSparsity(pattern) ?? drawn, scope, pattern }, once = await prune(method, net, request);
      const twice = await prune(method, net, request, 1, once.out);
      assert.deepEqual(twice.after, once.after);
    }), options);
  });

  test(`${method.id}: (in, out) and (out, in) give the same mask, each in its layout`, async () => {
    // Distinct magnitudes, far enough apart for every dtype and score: a tie is decided by where it is stored.
    const distinct = fc.nat().map((seed) => seed), shapes = fc.array(shapeOf, { minLength: 1, maxLength: 3 });
    await fc.assert(fc.asyncProperty(distinct, shapes, sparsity, fc.constantFrom(...waysOf(method)), async (seed, drawn, s, { scope, pattern }) => {
      const next = randomWords(seed);
      const matrices = drawn.map((shape, i): Matrix => ({ ...shape, layer: i, which: 'up', values: Array.from({ length: shape.outputs * shape.inputs }, () => (next() / 2 ** 32 - 0.5) * 4 + (next() % 2 === 0 ? 3 : -3)) }));
      const [linear, conv] = (['out-in', 'in-out'] as const).map((o): Network => ({ dtype: 'F64', orientation: o, matrices }));
      const request = { sparsity: patternSparsity(pattern) ?? s, scope, pattern };
      // Weights of a channel that is never fed all score the same; here every channel is fed.
      const [a, b] = [await prune(method, linear, request, 1, makeModel(linear), false), await prune(method, conv, request, 1, makeModel(conv), false)];
      // Names take part in a draw, and the two layouts have different names; that a draw is the same in both is tested with the scores.
      if (method.id === 'random') assert.equal(a.plan.selected, b.plan.selected);
      else for (const matrix of matrices) {
        const maskOf = (net: Network, { after }: Pruned): boolean[] => logical(net, matrix, after.get(nameOf(net, matrix))!).map((x) => x === 0);
        assert.deepEqual(maskOf(conv, b), maskOf(linear, a), `${scope} ${patternText(pattern)}`);
      }
    }), options);
  });
}

test('another seed draws other weights, and the same seed the same', async () => {
  const next = randomWords(4), matrices: Matrix[] = [{ layer: 0, which: 'up', outputs: 16, inputs: 16, values: Array.from({ length: 256 }, () => next() / 2 ** 32 + 0.1) }];
  const net: Network = { dtype: 'F32', orientation: 'out-in', matrices }, random = pruningMethods.find(({ id }) => id === 'random')!;
  const masks = await Promise.all([0, 0, 1].map(async (seed) => [...(await prune(random, net, { seed })).after.values()][0].map((x) => (x === 0 ? 1 : 0)).join('')));
  assert.equal(masks[0], masks[1]);
  assert.notEqual(masks[0], masks[2]);
});

test('a tied tensor is pruned in all its copies, and a fused matrix by each of its outputs', async () => {
  const next = randomWords(12), numbersOf = (n: number): Float64Array => Float64Array.from({ length: n }, () => next() / 2 ** 32 - 0.5), f32 = (values: Float64Array): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);
  const source = path.join(folder, 'tied'), shared = f32(numbersOf(12 * 8));
  mkdirSync(source);
  writeFileSync(path.join(source, 'config.json'), '{"model_type":"gpt2","tie_word_embeddings":true}');
  writeFixture(path.join(source, 'model.safetensors'), [
    { name: 'transformer.wte.weight', dtype: 'F32', shape: [12, 8], bytes: shared }, { name: 'lm_head.weight', dtype: 'F32', shape: [12, 8], bytes: shared },
    { name: 'transformer.h.0.attn.c_attn.weight', dtype: 'F32', shape: [8, 24], bytes: f32(numbersOf(8 * 24)) },
  ]);
  const model = openModel(source), names = model.checkpoint.tensors.map(({ name }) => name);
  const calibrate: Calibrate = async function* (_needs, wanted, rules) {
    yield* rules({ block: 0, blocks: 1, inputs: new Map([...wanted].map((tensor) => [tensor, { tensor, inputs: 8, rows: 1, sumOfSquares: Float64Array.from({ length: 8 }, (_, i) => 1 + i), secondMoments: null }])) });
    return { text: '', textSha256: '', samples: 1, length: 1, tokens: 1, seed: 0, oneShot: false, provider: 'cpu' };
  };
  for (const { id } of choosing) {
    const out = path.join(folder, `tied-${id}`), request: PruneRequest = { sparsity: 0.5, scope: 'row', pattern: 'unstructured', include: ['*wte.weight'], exclude: [], seed: 0, calibration: noCalibration };
    const plan = await runJob(planPrune(model, id, request, pools[0], { io: 'pread', calibrate }));
    await runJob(writePruned(model, plan, { out, force: false, io: 'pread' }, pools[0]));
    const after = valuesOf(out);
    assert.deepEqual(after.get(names[0]), after.get(names[1]), id);
    assert.equal(zeros(after.get('transformer.wte.weight')!), 12 * 4);
    assert.equal(plan.tensors.length, 2, 'counted once');
    const fused = after.get('transformer.h.0.attn.c_attn.weight')!;
    for (let output = 0; output < 24; output++) assert.equal(zeros(Array.from({ length: 8 }, (_, input) => fused[input * 24 + output])), 4, `${id}: output ${output}`);
  }
});
