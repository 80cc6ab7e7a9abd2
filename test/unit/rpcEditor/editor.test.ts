import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { makePool } from '../../../server/core/workers/pool';
import type { WorkerPool } from '../../../server/core/workers/contract';
import { makeHandlers } from '../../../server/rpc/editor/handlers';
import { encodeCurve, grid } from '../../../server/rpc/editor/numbers';
import { HistogramBudget } from '../../../server/core/stats/histogramBudget';
import { GRID_MAX, GRID_MIN, GRID_POINTS, MAX_IDS, type EditorEvent, type EditorMethod, type Params, type Result } from '../../../server/protocol/editor';

/** Seeded values in [-1, 1), a tenth of them zero. */
function values(count: number, seed: number): Float32Array {
  let state = seed >>> 0;
  const next = (): number => { state = (Math.imul(state, 1664525) + 1013904223) >>> 0; return state / 2 ** 32; };
  return Float32Array.from({ length: count }, () => (next() < 0.1 ? 0 : (next() * 2 - 1) * (next() ** 2)));
}

function safetensors(tensors: Record<string, { shape: number[]; data: Float32Array }>): Buffer {
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } };
  let at = 0;
  for (const [name, { shape, data }] of Object.entries(tensors)) { header[name] = { dtype: 'F32', shape, data_offsets: [at, at + data.byteLength] }; at += data.byteLength; }
  let text = JSON.stringify(header);
  text += ' '.repeat((8 - (text.length % 8)) % 8);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, Buffer.from(text), ...Object.values(tensors).map(({ data }) => Buffer.from(data.buffer))]);
}

const width = 16, tensors: Record<string, { shape: number[]; data: Float32Array }> = {};
const add = (name: string, ...shape: number[]): void => { tensors[name] = { shape, data: values(shape.reduce((a, b) => a * b, 1), Object.keys(tensors).length + 1) }; };
add('transformer.ln_f.weight', width);
// By name, as files are often sorted: block 10 stands before block 2.
for (const layer of [0, 1, 10, 11, 2, 3, 4, 5, 6, 7, 8, 9]) {
  add(`transformer.h.${layer}.attn.c_attn.weight`, width, 3 * width);
  add(`transformer.h.${layer}.attn.c_attn.bias`, 3 * width);
  add(`transformer.h.${layer}.mlp.c_fc.weight`, width, 4 * width);
}
add('transformer.wte.weight', 32, width);
tensors['transformer.h.0.attn.c_attn.weight'].data.fill(0, 0, 3 * width);

let folder = '', model = '', pool: WorkerPool;
const events: { event: EditorEvent; payload: unknown }[] = [];
let engine: ReturnType<typeof makeHandlers>;
const call = async <M extends EditorMethod>(method: M, params: Params<M>, signal = new AbortController().signal): Promise<Result<M>> =>
  await (engine.handlers[method] as unknown as (params: Params<M>, signal: AbortSignal) => Promise<Result<M>>)(params, signal);

before(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'winnow editor é#%'));
  model = path.join(folder, 'model');
  mkdirSync(model);
  writeFileSync(path.join(model, 'model.safetensors'), safetensors(tensors));
  writeFileSync(path.join(model, 'config.json'), JSON.stringify({ model_type: 'gpt2', n_embd: width, n_head: 2, n_layer: 12, n_positions: 8, vocab_size: 32 }));
  pool = makePool({ threads: 2 });
  // A budget of 4 KiB: nearly every histogram has to come back from the disk.
  engine = makeHandlers({ pool, io: 'pread', emit: (event, payload) => events.push({ event, payload }), budget: new HistogramBudget(4096) });
});
after(async () => { engine.close(); await pool.close(); rmSync(folder, { recursive: true }); });

const flat = (names: string[]): number[] => names.flatMap((name) => [...tensors[name].data].map(Math.abs)).sort((a, b) => a - b);
const prunableNames = Object.keys(tensors).filter((name) => /\.(c_attn|c_fc)\.weight$/.test(name));
const near = (actual: unknown, expected: number, within = 1e-9): void => assert.ok(Math.abs(Number(actual) - expected) <= within, `${String(actual)} is not ${expected}`);

test('facts come from the headers alone', async () => {
  const facts = await call('inspect', { path: model });
  const all = Object.values(tensors).reduce((sum, { data }) => sum + data.length, 0);
  assert.equal(facts.name, 'model');
  assert.equal(facts.architecture, 'gpt2');
  assert.equal(facts.parameters, all);
  assert.equal(facts.prunableParameters, flat(prunableNames).length);
  assert.equal(facts.scanned, false);
  assert.deepEqual(facts.heat.roles, ['attention.qkv', 'mlp.up']);
  assert.deepEqual(facts.heat.layers, Array.from({ length: 12 }, (_, i) => i));
  assert.equal(facts.heat.cells.length, 24);
  assert.equal(events.length, 0);
});

const shape = { expanded: [] as string[], from: 0, to: 100, filter: '', sort: 'file' as const };
test('groups stand in the order of the model, whatever order the file has', async () => {
  const { total, rows } = await call('rows', { path: model, ...shape });
  assert.equal(total, 14);
  const layers = rows.map((row) => row.layer);
  assert.deepEqual(layers, [null, ...Array.from({ length: 12 }, (_, i) => i), null]);
  assert.match(rows[0].label, /wte/);
  assert.ok(rows.every((row) => row.stats === null && row.depth === 0 && !row.expanded));
});

test('rows are cut to the asked window, and expanded groups show their tensors', async () => {
  const { rows } = await call('rows', { path: model, ...shape });
  const { total, rows: some } = await call('rows', { path: model, ...shape, expanded: [rows[1].id], from: 1, to: 4 });
  assert.equal(total, 17);
  assert.deepEqual(some.map((row) => row.label), [rows[1].label, 'attn.c_attn.weight', 'attn.c_attn.bias']);
  assert.deepEqual(some[1].shape, [width, 3 * width]);
  assert.deepEqual(some.map((row) => row.prunable), [true, true, false]);
  assert.equal((await call('rows', { path: model, ...shape, from: 100, to: 5 })).rows.length, 0);
});

test('a filter shows what it found, and a found tensor can be located', async () => {
  const { total, rows } = await call('rows', { path: model, ...shape, filter: 'H.3.MLP' });
  assert.equal(total, 2);
  assert.equal(rows[1].id, 't:transformer.h.3.mlp.c_fc.weight');
  const found = await call('locate', { path: model, ...shape, id: 'c:mlp.up|3' });
  assert.equal(found.id, 't:transformer.h.3.mlp.c_fc.weight');
  const there = await call('rows', { path: model, ...shape, expanded: [found.group!], from: found.index!, to: found.index! + 1 });
  assert.equal(there.rows[0].id, found.id);
  assert.equal((await call('locate', { path: model, ...shape, id: 'c:mlp.up|3', filter: 'wte' })).index, null);
});

test('sorting by size and by name', async () => {
  const bySize = (await call('rows', { path: model, ...shape, sort: 'parameters' })).rows.map((row) => row.parameters);
  assert.deepEqual(bySize, [...bySize].sort((a, b) => b - a));
  const byName = (await call('rows', { path: model, ...shape, sort: 'name' })).rows.map((row) => row.label);
  assert.ok(byName.findIndex((name) => name.endsWith('h.2')) < byName.findIndex((name) => name.endsWith('h.10')));
});

test('one scan gives exact numbers to every node, and is told of while it runs', async () => {
  assert.deepEqual((await call('curves', { path: model, ids: ['all'] })).curves, []);
  const [first, second] = await Promise.all([call('scan', { path: model }), call('scan', { path: model })]);
  assert.equal(first.bytes, second.bytes);
  assert.equal((await call('scan', { path: model })).cached, true);
  const last = events.filter(({ event }) => event === 'scanProgress').at(-1)!.payload as { done: number; total: number };
  assert.equal(last.done, last.total);
  assert.equal((await call('inspect', { path: model })).scanned, true);
  const group = (await call('rows', { path: model, ...shape })).rows[1], names = Object.keys(tensors).filter((name) => name.includes('.h.0.'));
  const all = names.flatMap((name) => [...tensors[name].data]), mean = all.reduce((a, b) => a + b, 0) / all.length;
  assert.equal(group.stats?.zeros, all.filter((x) => x === 0).length);
  near(group.stats?.mean, mean);
  near(group.stats?.std, Math.sqrt(all.reduce((sum, x) => sum + (x - mean) ** 2, 0) / all.length));
  assert.equal(group.stats?.absMax, Math.max(...all.map(Math.abs)));
});

test('a curve is a bound of at most one grid step on the true fractions', async () => {
  const { curves } = await call('curves', { path: model, ids: ['prunable', 'c:mlp.up|3', 'nonsense'] });
  assert.deepEqual(curves.map(({ id }) => id), ['prunable', 'c:mlp.up|3']);
  const bytes = Buffer.from(curves[0].base64, 'base64'), sorted = flat(prunableNames);
  assert.equal(bytes.length, GRID_POINTS * 2);
  const fractionAt = (limit: number): number => sorted.filter((w) => w <= limit).length / sorted.length;
  for (let g = 0; g < GRID_POINTS; g += 5) {
    const shown = bytes.readUInt16LE(g * 2) / 65535;
    assert.ok(shown >= fractionAt(g > 0 ? grid[g - 1] : 0) - 1e-4 && shown <= fractionAt(g + 1 < GRID_POINTS ? grid[g + 1] : Infinity) + 1e-4);
  }
  assert.ok(Math.abs(grid[0] - GRID_MIN) < 1e-12 && grid[GRID_POINTS - 1] === GRID_MAX);
  assert.equal(Buffer.from(encodeCurve([], 0), 'base64').length, GRID_POINTS * 2);
});

test('whatever is asked for, a message is bounded by what a person looks at', async () => {
  const ids = Array.from({ length: 5000 }, () => 't:transformer.h.10.attn.c_attn.weight');
  const { curves } = await call('curves', { path: model, ids });
  assert.equal(curves.length, MAX_IDS);
  assert.ok(JSON.stringify(curves).length <= 256 * 1024);
  assert.ok((await call('cut', { path: model, sparsity: 0.5, threshold: null, ids })).nodes.length <= MAX_IDS);
  assert.ok((await call('histogram', { path: model, id: 'all', bars: 1e9 })).counts.length <= 512);
  const many = await call('rows', { path: model, expanded: Array.from({ length: 12 }, (_, i) => `g:h.${i}`), from: 0, to: 1e9, filter: '', sort: 'file' });
  assert.ok(many.rows.length <= 500 && many.rows.every((row) => row.parts.length <= 16));
});

test('bars hold every weight that is neither zero nor infinite', async () => {
  for (const id of ['all', 't:transformer.h.0.attn.c_attn.weight', 'g:h.0', 'c:mlp.up|3']) {
    const bars = await call('histogram', { path: model, id, bars: 40 });
    assert.equal(bars.edges.length, bars.counts.length + 1);
    assert.equal(bars.counts.reduce((a, b) => a + b, 0), bars.stats.parameters - bars.stats.zeros);
    assert.ok(bars.counts.every((count) => count >= 0));
  }
  const one = await call('histogram', { path: model, id: 't:transformer.h.0.attn.c_attn.weight', bars: 9999 });
  assert.equal(one.counts.length, 512);
  assert.equal(one.extra.rows, 3 * width);
  const { data } = tensors['transformer.h.0.attn.c_attn.weight'];
  let dead = 0, ready = 0;
  for (let out = 0; out < 3 * width; out++) {
    const column = Array.from({ length: width }, (_, row) => data[row * 3 * width + out]);
    if (column.every((x) => x === 0)) dead++;
    for (let g = 0; g < width; g += 4) if (column.slice(g, g + 4).filter((x) => x === 0).length >= 2) ready++;
  }
  assert.equal(one.extra.deadRows, dead);
  near(one.extra.twoFourReady, ready / ((3 * width * width) / 4));
  await assert.rejects(call('histogram', { path: model, id: 't:no', bars: 4 }));
});

test('a cut by target is the exact order statistic; a cut by threshold counts exactly', async () => {
  const sorted = flat(prunableNames);
  for (const sparsity of [0, 0.05, 0.3, 0.5, 0.9, 0.99, 1]) {
    const cut = await call('cut', { path: model, sparsity, threshold: null, ids: ['prunable', 't:transformer.h.3.mlp.c_fc.weight', 't:transformer.wte.weight', 'no'] });
    const k = Math.round(sparsity * sorted.length);
    assert.equal(cut.scopeParameters, sorted.length);
    assert.ok(Math.abs(cut.selected - k) <= 1);
    const threshold = cut.selected === 0 ? 0 : sorted[cut.selected - 1];
    assert.equal(cut.threshold, threshold);
    const fraction = (name: string): number => tensors[name].data.filter((x) => Math.abs(x) <= threshold).length / tensors[name].data.length;
    near(cut.nodes[0].fraction, sorted.filter((w) => w <= threshold).length / sorted.length);
    near(cut.nodes[1].fraction, fraction('transformer.h.3.mlp.c_fc.weight'));
    near(cut.nodes[2].fraction, fraction('transformer.wte.weight'));
    assert.equal(cut.nodes[3].fraction, null);
  }
  const limit = sorted[1000], cut = await call('cut', { path: model, sparsity: null, threshold: limit, ids: [] });
  assert.equal(cut.selected, sorted.filter((w) => w <= limit).length);
  for (const bad of [{ sparsity: null, threshold: null }, { sparsity: 2, threshold: null }, { sparsity: null, threshold: -1 }, { sparsity: NaN, threshold: null }]) await assert.rejects(call('cut', { path: model, ...bad, ids: [] }));
});

test('a checkpoint that changes on disk is read again, and the change is told', async () => {
  const before = (await call('inspect', { path: model })).fingerprint;
  utimesSync(path.join(model, 'model.safetensors'), new Date(), new Date(Date.now() - 5000));
  await new Promise((resolve) => setTimeout(resolve, 600));
  const facts = await call('inspect', { path: model });
  assert.notEqual(facts.fingerprint, before);
  assert.equal(facts.scanned, false);
  assert.ok(events.some(({ event }) => event === 'checkpointChanged'));
});

test('a cancelled scan ends as cancelled, and the next one is whole', async () => {
  const controller = new AbortController();
  const scan = call('scan', { path: model }, controller.signal);
  controller.abort();
  await assert.rejects(scan, /cancelled/);
  await call('scan', { path: model });
  assert.equal((await call('inspect', { path: model })).scanned, true);
});

test('paths that are not absolute, and files that are no checkpoints, are refused', async () => {
  await assert.rejects(call('inspect', { path: 'model' }), /absolute/);
  await assert.rejects(call('inspect', { path: path.join(folder, 'none') }), /not-found/);
  await assert.rejects(call('inspect', { path: folder }), /no-model-in-folder/);
});
