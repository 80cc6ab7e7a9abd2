// What torch itself reads from the files of test/golden/pytorch, and what Winnow reads.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { openModel } from '../../../../server/core/models/openModel';
import { planPrune } from '../../../../server/core/pruning/planPrune';
import { writePruned } from '../../../../server/core/pruning/writePruned';
import { CheckpointError } from '../../../../server/core/errors';
import type { Job } from '../../../../server/core/job';
import { makePool } from '../../../../server/core/workers/pool';
import { valuesOf } from '../values';

const golden = path.resolve(__dirname, '../../../golden/pytorch');
type Value = number | string | readonly number[];
interface Wanted { readonly tensors: Readonly<Record<string, { readonly dtype: string; readonly shape: readonly number[]; readonly values: readonly Value[] }>>; readonly opaque: readonly string[] }
const expected = JSON.parse(readFileSync(path.join(golden, 'expected.json'), 'utf8')) as Readonly<Record<string, Wanted>>;

const names: Readonly<Record<string, string>> = {
  float64: 'F64', float32: 'F32', float16: 'F16', bfloat16: 'BF16', int64: 'I64', int32: 'I32', int16: 'I16', int8: 'I8', uint8: 'U8', uint16: 'U16', uint32: 'U32', uint64: 'U64', bool: 'BOOL',
  complex64: 'C64', float8_e4m3fn: 'F8_E4M3', float8_e5m2: 'F8_E5M2', float8_e4m3fnuz: 'F8_E4M3FNUZ', float8_e5m2fnuz: 'F8_E5M2FNUZ', qint8: 'F32', qint32: 'F32',
};
const spelled = (value: number): Value => (Number.isFinite(value) ? value : Number.isNaN(value) ? 'nan' : value > 0 ? 'inf' : '-inf');

const folder = mkdtempSync(path.join(tmpdir(), 'winnow-pytorch-'));
const pool = makePool({ threads: 1 });
after(async () => { await pool.close(); rmSync(folder, { recursive: true, force: true }); });

async function finish<T>(job: Job<T>): Promise<T> {
  for (;;) {
    const step = await job.next();
    if (step.done) return step.value;
  }
}

describe('checkpoints that torch wrote', () => {
  for (const [file, wanted] of Object.entries(expected)) {
    test(`${file} holds what torch reads from it`, () => {
      const { checkpoint, roles } = openModel(path.join(golden, file));
      assert.equal(checkpoint.format, 'pytorch');
      assert.deepEqual(checkpoint.tensors.map((tensor) => tensor.storedName ?? tensor.name).sort(), Object.keys(wanted.tensors).sort());
      for (const [i, tensor] of checkpoint.tensors.entries()) {
        const { dtype, shape, values } = wanted.tensors[tensor.storedName ?? tensor.name];
        assert.deepEqual([tensor.dtype, tensor.shape], [names[dtype], shape], tensor.name);
        const got = valuesOf(checkpoint, tensor.name);
        // Python dequantises in F32 steps of its own: the last bit may differ.
        if (tensor.special) {
          assert.equal(roles[i].prunable, false);
          got.forEach((value, at) => assert.ok(Math.abs(value - (values.flat()[at] as number)) <= 1e-6, `${tensor.name} ${value}`));
        } else if (file.startsWith('masked')) assert.deepEqual(got, values.flat().map((value) => (value as number) + 0), tensor.name); // torch multiplies by its mask: -0 there, +0 here
        else assert.deepEqual(got.map(spelled), values.flat(), tensor.name);
      }
      const shown = (checkpoint.opaque ?? []).filter((entry) => entry.shape !== undefined).map((entry) => entry.name).sort();
      assert.deepEqual(shown, wanted.opaque);
    });

    test(`${file} prunes into safetensors with the same names, and only what was chosen changes`, async () => {
      const model = openModel(path.join(golden, file)), out = path.join(folder, `${file}.safetensors`);
      const request = { sparsity: 0.5, scope: 'global', pattern: 'unstructured', include: [], exclude: [], seed: 0 } as const;
      let changed = new Set<string>();
      try {
        const plan = await finish(planPrune(model, 'magnitude', request, pool, { io: 'pread' }));
        await finish(writePruned(model, plan, { out, force: false, io: 'pread' }, pool));
        changed = new Set(plan.tensors.map((tensor) => tensor.name));
      } catch (error) {
        // Some of the files hold no matrix of floats.
        assert.ok(error instanceof CheckpointError && error.code === 'nothing-in-scope', String(error));
        return;
      }
      const written = openModel(out).checkpoint;
      assert.equal(written.format, 'safetensors');
      // Without the prefix of DataParallel, which one of them has.
      assert.deepEqual(written.tensors.map((tensor) => tensor.name).sort(), Object.keys(wanted.tensors).map((name) => name.replace(/^module\./, '')).sort());
      assert.deepEqual(written.files[0].metadata, { format: 'pt' });
      for (const tensor of written.tensors) {
        const before = valuesOf(model.checkpoint, tensor.name), now = valuesOf(written, tensor.name);
        assert.equal(tensor.from % 8 === 0 || !['F64', 'I64', 'U64', 'C64'].includes(tensor.dtype), true, `${tensor.name} lies at ${tensor.from}`);
        if (!changed.has(tensor.name)) assert.deepEqual(now, before, tensor.name);
        else now.forEach((value, i) => assert.ok(value === before[i] || Object.is(value, 0), tensor.name));
      }
    });
  }

  test('a zip written by an ordinary tool is the same checkpoint, compressed', () => {
    assert.ok(openModel(path.join(golden, 'views-deflated.pt')).checkpoint.tensors.every((tensor) => tensor.elements === 0 || tensor.encoding?.[0].kind === 'inflate'));
    assert.ok(openModel(path.join(golden, 'views-2.pt')).checkpoint.tensors.some((tensor) => tensor.encoding === undefined));
  });

  test('weights under a mask keep the name of the weight, and say so', () => {
    const { problems, checkpoint } = openModel(path.join(golden, 'masked.pt'));
    assert.deepEqual(problems.filter((problem) => problem.code === 'mask-folded').map((problem) => problem.detail), ['0.weight, 2.weight']);
    assert.deepEqual(['0.weight', '2.weight'].map((name) => valuesOf(checkpoint, name).filter((value) => value === 0).length), [6, 3]);
  });

  test('a trainer\'s file shows the model, its place and prefix, and the optimizer apart', () => {
    const { problems, checkpoint } = openModel(path.join(golden, 'trainer.ckpt'));
    const said = problems.find((problem) => problem.code === 'opaque-entries')?.detail ?? '';
    for (const word of [/the model is in state_dict/, /9 tensors of the optimizer with 45 values/]) assert.match(said, word);
    assert.match(problems.find((problem) => problem.code === 'prefix-removed')?.detail ?? '', /module\. \(DataParallel or DDP\)/);
    assert.ok(checkpoint.opaque?.filter((entry) => entry.shape).every((entry) => entry.section === 'optimizer'));
    assert.deepEqual(checkpoint.opaque?.find((entry) => entry.name === 'loss'), { name: 'loss', kind: 'number', detail: '0.25', section: 'model' });
    assert.match(checkpoint.opaque?.find((entry) => entry.name === 'history')?.detail ?? '', /numpy/);
  });

  test('what is quantised is refused when it is asked for by name', async () => {
    const model = openModel(path.join(golden, 'special.pt'));
    const request = { sparsity: 0.5, scope: 'global', pattern: 'unstructured', include: ['q8'], exclude: [], seed: 0 } as const;
    await assert.rejects(finish(planPrune(model, 'magnitude', request, pool, { io: 'pread' })), (error) => error instanceof CheckpointError && error.code === 'unsupported-dtype' && /quantised/.test(error.detail));
  });
});
