import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { runBlocks } from '../../../server/core/calibration/calibrate';
import type { BlockStatistics, StatisticsKind } from '../../../server/core/calibration/contract';
import { CalibrationState } from '../../../server/core/calibration/state';
import { runJob } from '../../../server/core/job';
import type { Model } from '../../../server/core/models/contract';
import { applyArchitecture } from '../../../server/core/models/openModel';
import type { TensorRule } from '../../../server/core/pruning/contract';
import { makePool } from '../../../server/core/workers/pool';
import { openCase as familyCheckpoint } from '../graph/familyCases';
import { f32Tensors, smallCheckpoint } from '../graph/smallCheckpoint';

interface Case {
  readonly name: string; readonly kind: string; readonly config: Record<string, unknown>; readonly file?: string; readonly family?: string; readonly weights?: readonly string[];
  readonly threshold: number; readonly blocks: number; readonly rows: Readonly<Record<string, number>>; readonly windows: readonly { readonly ids: number[]; readonly encoder?: number[] }[];
}

const golden = path.resolve(import.meta.dirname, '../../golden'), here = path.join(golden, 'calibration');
const cases = JSON.parse(readFileSync(path.join(here, 'cases.json'), 'utf8')) as readonly Case[];
const expected = f32Tensors(here, 'expected.safetensors');
const pool = makePool({ threads: 1 }), folder = mkdtempSync(path.join(tmpdir(), 'winnow-calibration-'));
after(async () => {
  await pool.close();
  rmSync(folder, { recursive: true, force: true });
});

interface Seen { readonly rows: number; readonly sumOfSquares: Float64Array; readonly moments: Float32Array | null }

/** Everything that a calibration of one case tells of its matrices; each block loses its weights below the threshold. */
async function calibrated(one: Case, needs: StatisticsKind, oneShot: boolean): Promise<{ seen: Map<string, Seen>; blocks: BlockStatistics[] }> {
  const checkpoint = one.file !== undefined ? smallCheckpoint(path.join(golden, 'graph'), `${one.file}.safetensors`, one.config) : familyCheckpoint(one.family!, { name: one.name, weights: one.weights!, config: one.config, ids: [] });
  const model: Model = applyArchitecture(checkpoint), names = new Set(Object.keys(one.rows)), seen = new Map<string, Seen>(), blocks: BlockStatistics[] = [];
  const graph = model.architecture!.buildGraph!(checkpoint, { masking: 'none', maskable: [], context: 24 });
  const windows = one.windows.map(({ ids, encoder }) => ({ ids: Uint32Array.from(ids), ...(encoder && { encoder: Uint32Array.from(encoder) }) }));
  const state = new CalibrationState(folder, [one.name, needs, oneShot]);
  async function* prune(block: BlockStatistics) {
    blocks.push(block);
    yield { stage: 'prune', done: 0, total: null, unit: 'tensors' } as const;
    for (const [name, { rows, sumOfSquares, secondMoments }] of block.inputs) {
      const bytes = secondMoments && readFileSync(secondMoments.realPath);
      seen.set(name, { rows, sumOfSquares, moments: bytes && new Float32Array(Uint8Array.from(bytes).buffer) });
    }
    return new Map([...block.inputs.keys()].map((name): [string, TensorRule] => [name, { kind: 'cut', threshold: Math.fround(one.threshold), ties: 0 }]));
  }
  await runJob(runBlocks(model, graph, { windows, tokens: windows.length * 20, provider: 'cpu', threads: 1, length: 20 }, { pool, io: 'pread', folder, key: null }, { needs, names, prune, dense: oneShot, call: 0, states: [] }, state));
  assert.deepEqual(readdirSync(state.folder).filter((name) => name.startsWith('hidden-') || name.startsWith('overlay-')), [], 'what is not needed any more is gone');
  state.remove();
  return { seen, blocks };
}

const furthest = (got: ArrayLike<number>, want: Float32Array): number => {
  assert.equal(got.length, want.length);
  const scale = want.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  return want.reduce((worst, x, i) => Math.max(worst, Math.abs(got[i] - x) / scale), 0);
};

describe('every matrix is fed what transformers feeds it', { concurrency: 1 }, () => {
  for (const one of cases) {
    test(`${one.name}: rows, norms to 1e-5, second moments to 1e-4`, async () => {
      const { seen, blocks } = await calibrated(one, 'hessians', true);
      assert.deepEqual([...seen.keys()].sort(), Object.keys(one.rows).sort());
      assert.deepEqual(blocks.map(({ block, blocks: all }) => [block, all]), Array.from({ length: one.blocks }, (_, i) => [i, one.blocks]));
      for (const [name, { rows, sumOfSquares, moments }] of seen) {
        const want = expected[`${one.name}/dense/${name}`], width = sumOfSquares.length;
        assert.equal(rows, one.rows[name], name);
        for (let channel = 0; channel < width; channel++) {
          const [a, b] = [Math.sqrt(sumOfSquares[channel]), Math.sqrt(want[channel * width + channel])];
          assert.ok(Math.abs(a - b) <= 1e-5 * Math.max(b, 1e-3), `${name}, channel ${channel}: ${a} is not ${b}`);
        }
        assert.ok(furthest(moments!, want) <= 1e-4, `${name}: second moments differ by ${furthest(moments!, want)}`);
      }
    });
    test(`${one.name}, block after block: each sees what came through the pruned ones before it`, async () => {
      const { seen } = await calibrated(one, 'norms', false);
      let unlike = 0;
      for (const [name, { sumOfSquares }] of seen) {
        const want = expected[`${one.name}/sequential/${name}`], dense = expected[`${one.name}/dense/${name}`], width = sumOfSquares.length;
        assert.ok(furthest(sumOfSquares, want) <= 2e-5, `${name}: ${furthest(sumOfSquares, want)}`);
        if (furthest(sumOfSquares, dense.filter((_, i) => i % (width + 1) === 0)) > 1e-3) unlike++;
      }
      assert.ok(unlike > 0, 'pruning changed nothing that later blocks see');
    });
  }
});
