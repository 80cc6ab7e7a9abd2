import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { withPlainWeights } from '../../../server/core/evaluation/materialise';
import { openCheckpoint } from '../../../server/core/formats/openCheckpoint';
import { buildOnnxFileGraph } from '../../../server/core/graph/onnxFileGraph';
import { runJob } from '../../../server/core/job';
import type { ProtoWriter } from '../../../server/core/graph/protobuf';
import { openModel } from '../../../server/core/models/openModel';
import { pruneScope } from '../../../server/core/pruning/pruneScope';
import { scratch, winnow } from '../pruning/helpers';
import { withSession } from '../runtime/fixture';
import { wholeWindow } from '../graph/smallCheckpoint';
import { saying } from '../evaluation/material';
import { onnxFile, rawF32 } from './protobufBuild';
import { valuesOf } from './values';

const golden = path.resolve(__dirname, '../../golden/onnx'), file = path.join(golden, 'quantised.onnx'), folder = scratch('onnx-quantised');
const expected = JSON.parse(readFileSync(path.join(golden, 'quantised.json'), 'utf8')) as { ids: number[]; losses: number[]; tensors: Record<string, { type: string; values: number[] }> };

test('integers behind a DequantizeLinear are shown as the floats that onnx makes of them, with their type and bits', () => {
  const { checkpoint, roles } = openModel(file);
  for (const [name, { type, values }] of Object.entries(expected.tensors)) {
    const at = checkpoint.tensors.findIndex((tensor) => tensor.name === name), tensor = checkpoint.tensors[at];
    assert.deepEqual([tensor.dtype, tensor.storedDtype, tensor.storedBits, tensor.special, roles[at].prunable], ['F32', type, type === 'INT32' ? 32 : 8, 'quantised', false], name);
    assert.deepEqual(valuesOf(checkpoint, name), values, name);
  }
  const odd = checkpoint.tensors.find(({ name }) => name === 'odd')!;
  assert.deepEqual([odd.dtype, odd.storedDtype, odd.encoding], ['I8', undefined, undefined], 'a computed scale leaves the integers');
  assert.equal(checkpoint.tensors.find(({ name }) => name === 'up_scale')?.dtype, 'F32');
});

test('stats count the dequantised values, and convert writes them', async () => {
  const { code, json, err } = await winnow(['stats', file, '--threshold', '0.1']);
  assert.equal(code, 0, err);
  const up = (json as { tensors: { name: string; absMax: number; aboveThreshold: number }[] }).tensors.find(({ name }) => name === 'up')!, values = expected.tensors.up.values;
  assert.deepEqual([up.absMax, up.aboveThreshold], [Math.max(...values.map(Math.abs)), values.filter((value) => Math.abs(value) > 0.1).length]);
  const out = path.join(folder, 'dense.safetensors'), converted = await winnow(['convert', file, '--to', 'safetensors', '--out', out]);
  assert.equal(converted.code, 0, converted.err);
  for (const [name, { values: wanted }] of Object.entries(expected.tensors)) assert.deepEqual(valuesOf(openCheckpoint(out), name), wanted, name);
});

test('the graph runs on the integers as they are', async () => {
  const { model, close } = await runJob(withPlainWeights(openModel(file), folder));
  try {
    assert.ok(model.checkpoint.tensors.filter(({ special }) => special).every((tensor) => tensor.file === 0 && tensor.encoding), 'nothing is decoded for the runtime');
    await withSession(buildOnnxFileGraph(model.checkpoint, { masking: 'none', maskable: [], context: 12 }), async (session) => {
      const { losses } = await session.run(wholeWindow(expected.ids), null);
      losses.forEach((loss, i) => assert.ok(Math.abs(loss - expected.losses[i]) < 2e-5 * Math.max(1, expected.losses[i]), `loss ${i}: ${loss}, not ${expected.losses[i]}`));
    });
  } finally {
    close();
  }
});

test('half floats in int32_data are read, and refused by prune with what to do instead; the converted copy is pruned', async () => {
  const made = path.join(folder, 'half.onnx'), out = path.join(folder, 'half.safetensors');
  const half = { name: 'half.weight', dims: [2, 2], type: 10, values: (tensor: ProtoWriter) => { tensor.ints(5, [0x3c00, 0xc000, 0x3800, 0x4200]); } };
  writeFileSync(made, onnxFile([half, rawF32('full.weight', [2, 2])], [{ op: 'MatMul', inputs: ['x', 'half.weight'], outputs: ['h'] }, { op: 'MatMul', inputs: ['h', 'full.weight'], outputs: ['y'] }], ['z']));
  assert.deepEqual(valuesOf(openCheckpoint(made), 'half.weight'), [1, -2, 0.5, 3]);
  assert.throws(() => pruneScope(openModel(made), { include: [], exclude: [] }), saying('unsupported-dtype', 'F16', 'convert the checkpoint to safetensors', 'raw_data', 'half.weight'));
  const refused = await winnow(['prune', made, '--sparsity', '0.5', '--out', path.join(folder, 'no')]);
  assert.match(refused.err, /convert the checkpoint to safetensors and prune that copy.*--exclude\.$/m);
  assert.equal((await winnow(['prune', made, '--sparsity', '0.5', '--exclude', 'half.weight', '--out', path.join(folder, 'rest')])).code, 0);
  assert.equal((await winnow(['convert', made, '--to', 'safetensors', '--out', out])).code, 0);
  assert.equal((await winnow(['prune', out, '--sparsity', '0.5', '--include', 'half.weight', '--out', path.join(folder, 'pruned.safetensors')])).code, 0);
  assert.equal(valuesOf(openCheckpoint(path.join(folder, 'pruned.safetensors')), 'half.weight').filter((value) => value === 0).length > 0, true);
});
