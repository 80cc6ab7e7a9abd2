import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { runJob } from '../../../server/core/job';
import type { Arguments, VerbContext } from '../../../server/rpc/verbs/contract';
import { stats } from '../../../server/rpc/verbs/stats';
import { scratchFolder } from '../workers/support';

const folder = scratchFolder();

function writeSafetensors(name: string, tensors: Record<string, { dtype: string; shape: number[]; bytes: Uint8Array }>): void {
  let at = 0;
  const header = JSON.stringify(Object.fromEntries(Object.entries(tensors).map(([key, { dtype, shape, bytes }]) => [key, { dtype, shape, data_offsets: [at, (at += bytes.length)] }])));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(Buffer.byteLength(header)));
  writeFileSync(path.join(folder, name), Buffer.concat([length, Buffer.from(header), ...Object.values(tensors).map(({ bytes }) => bytes)]));
}

const args = (positional: string[], threshold?: number): Arguments => ({ positional, text: () => undefined, many: () => [], has: () => false, number: () => threshold, integer: () => undefined });
const context: VerbContext = { cwd: folder, threads: 2, io: 'auto', force: false, verbose: false, dataFolder: null, signal: new AbortController().signal };

test('stats prints exact numbers of every set, and what is not zero when no threshold is given', async () => {
  const f32 = (...values: number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);
  writeSafetensors('m.safetensors', {
    'model.layers.0.mlp.up_proj.weight': { dtype: 'F32', shape: [2, 2], bytes: f32(0, -1, 0.25, NaN) },
    'model.norm.weight': { dtype: 'F32', shape: [2], bytes: f32(1, 1) },
  });
  const output = await runJob(stats.run(args(['m.safetensors']), context));
  assert.equal(output.threshold, 0);
  assert.deepEqual(output.overall, { parameters: 6, zeros: 1, nan: 1, inf: 0, aboveThreshold: 4, fractionAbove: 4 / 6, min: -1, max: 1, mean: 0.25, std: Math.sqrt(2.75 / 5), absMax: 1 });
  assert.deepEqual([output.prunable.parameters, output.prunable.mean, output.layers[0].layer, output.layers[0].prunable.zeros], [4, -0.25, 0, 1]);
  const above = await runJob(stats.run(args(['m.safetensors'], 0.25), context));
  assert.deepEqual([above.threshold, above.overall.aboveThreshold], [0.25, 3]);
  const lines = stats.text(output).split('\n');
  assert.match(lines[0], /^set +weights +zero +\|w\| > 0 +NaN/);
  assert.ok(lines.some((line) => /^prunable +4 +25\.00 %/.test(line)), stats.text(output));
});

test('a checkpoint without tensors has empty sets and nulls', async () => {
  writeSafetensors('none.safetensors', {});
  const output = await runJob(stats.run(args(['none.safetensors']), context));
  assert.deepEqual([output.overall.parameters, output.overall.fractionAbove, output.overall.mean, output.tensors.length], [0, null, null, 0]);
});
