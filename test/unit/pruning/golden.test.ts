import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { runJob } from '../../../server/core/job';
import { openModel } from '../../../server/core/models/openModel';
import type { Model } from '../../../server/core/models/contract';
import { graphThresholds } from '../../../server/core/pruning/graphThresholds';
import { writeOverlay } from '../../../server/core/pruning/overlay';
import { parsePattern, patternSparsity } from '../../../server/core/pruning/pattern';
import { planPrune } from '../../../server/core/pruning/planPrune';
import type { PruneRequest, Scope } from '../../../server/core/pruning/contract';
import { writePruned } from '../../../server/core/pruning/writePruned';
import { decodeInto } from '../../../server/core/tensor/decode';
import { makePool } from '../../../server/core/workers/pool';

interface Golden {
  fixture: string; scope: Scope; sparsity?: number; pattern?: string; include?: string[]; exclude?: string[];
  scopeParameters: number; selected: number | null; threshold: number | 'Infinity' | null; zerosAfter: Record<string, number>; sha256: Record<string, string>;
}

const home = path.join(__dirname, '../../golden/pruning');
const golden = JSON.parse(readFileSync(path.join(home, 'golden.json'), 'utf8')) as Golden[];
const folder = mkdtempSync(path.join(tmpdir(), 'winnow-golden-'));
const pool = makePool({ threads: 2 });
after(async () => {
  await pool.close();
  rmSync(folder, { recursive: true, force: true });
});

const titleOf = (g: Golden): string => `${g.fixture} ${g.pattern ?? `${g.scope} ${g.sparsity}`} ${[...(g.include ?? []), ...(g.exclude ?? []).map((glob) => `-${glob}`)].join(' ')}`.trim();
const requestOf = (g: Golden): PruneRequest => {
  const pattern = parsePattern(g.pattern ?? 'unstructured');
  return { sparsity: patternSparsity(pattern) ?? g.sparsity!, scope: g.scope, pattern, include: g.include ?? [], exclude: g.exclude ?? [], seed: 0 };
};

test('there are golden values for every fixture, scope and pattern', () => {
  assert.ok(golden.length >= 4 * (3 * 7 + 5));
});

for (const [i, expected] of golden.entries()) {
  test(`the plan and every written byte are numpy's: ${titleOf(expected)}`, async () => {
    const model = openModel(path.join(home, 'fixtures', expected.fixture));
    const plan = await runJob(planPrune(model, 'magnitude', requestOf(expected), pool, { io: i % 2 === 0 ? 'pread' : 'auto' }));
    assert.equal(plan.scopeParameters, expected.scopeParameters);
    if (expected.selected !== null) assert.equal(plan.selected, expected.selected);
    assert.equal(plan.threshold, expected.threshold === 'Infinity' ? Infinity : expected.threshold);
    assert.deepEqual(Object.fromEntries(plan.tensors.map((tensor) => [tensor.name, tensor.zerosAfter])), expected.zerosAfter);

    const out = path.join(folder, String(i));
    const written = await runJob(writePruned(model, plan, { out, force: false, io: 'pread' }, pool));
    assert.deepEqual(hashes(written.files), expected.sha256);
    const pruned = openModel(out);
    for (const { name, zerosBefore, zerosAfter } of plan.tensors) assert.equal(written.changed.get(name), zerosAfter - zerosBefore, name);

    // What a graph sees through thresholds and the overlay is what the file holds.
    const { thresholds, overlay } = graphThresholds(plan, model);
    const blobs = await runJob(writeOverlay(model, plan, overlay, path.join(folder, 'overlays'), pool, 'pread'));
    for (const info of model.checkpoint.tensors.filter(({ name }) => thresholds.has(name) && !overlay.includes(name))) {
      assert.deepEqual(masked(values(model, info.name), thresholds.get(info.name)!), values(pruned, info.name).map((x) => x), info.name);
    }
    for (const name of overlay) {
      const blob = blobs.get(name)!, info = pruned.checkpoint.tensors.find((tensor) => tensor.name === name)!;
      assert.equal(blob.from % 64, 0);
      assert.deepEqual(readFileSync(blob.realPath).subarray(blob.from, blob.from + blob.byteLength), bytesOf(pruned, info.name), name);
      assert.equal(thresholds.get(name), -1);
    }
    if (plan.request.scope === 'global' && plan.request.pattern === 'unstructured') {
      const wide = new Set(model.checkpoint.tensors.filter(({ dtype }) => dtype === 'F64').map(({ name }) => name));
      assert.ok(overlay.filter((name) => !wide.has(name)).length <= 1, `one tensor holds the boundary, not ${overlay.join()}`);
    }
  });
}

test('the index of a written set counts its tensors, whatever the source said, and keeps its other keys', async () => {
  const model = openModel(path.join(home, 'fixtures/mixed'));
  const plan = await runJob(planPrune(model, 'magnitude', requestOf(golden.find((g) => g.fixture === 'mixed' && g.sparsity === 0.5)!), pool, { io: 'pread' }));
  const out = path.join(folder, 'indexed');
  await runJob(writePruned(model, plan, { out, force: false, io: 'pread' }, pool));
  const index = JSON.parse(readFileSync(path.join(out, 'model.safetensors.index.json'), 'utf8')) as { metadata: object; weight_map: object };
  const total = model.checkpoint.tensors.reduce((sum, { from, to }) => sum + to - from, 0);
  assert.deepEqual(index.metadata, { total_size: total, made_by: 'make.py' });
  assert.deepEqual(index.weight_map, Object.fromEntries(model.checkpoint.tensors.map(({ name, file }) => [name, path.basename(model.checkpoint.files[file].path)])));
});

const hashes = (files: readonly string[]): Record<string, string> =>
  Object.fromEntries(files.map((file) => [path.basename(file), createHash('sha256').update(readFileSync(file)).digest('hex')]));

function bytesOf(model: Model, name: string): Buffer {
  const info = model.checkpoint.tensors.find((tensor) => tensor.name === name)!;
  return readFileSync(model.checkpoint.files[info.file].path).subarray(info.from, info.to);
}

/** The values as a graph has them after its cast to F32. */
function values(model: Model, name: string): Float32Array {
  const info = model.checkpoint.tensors.find((tensor) => tensor.name === name)!;
  const out = new Float64Array(info.elements);
  decodeInto(info.dtype, Uint8Array.from(bytesOf(model, name)), info.elements, out);
  return Float32Array.from(out);
}

/** Where(Not(|W| <= t), W, +0), in F32. */
const masked = (w: Float32Array, t: number): Float32Array => w.map((x) => (Math.abs(x) <= t ? 0 : x));
