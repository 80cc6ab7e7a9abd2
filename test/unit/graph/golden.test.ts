import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { buildGpt2Graph } from '../../../server/core/models/gpt2Graph';
import { buildLlamaGraph } from '../../../server/core/models/llamaGraph';
import { openSession } from '../../../server/core/runtime/session';
import { f32Tensors, smallCheckpoint, wholeWindow } from './smallCheckpoint';

interface Case { readonly name: string; readonly weights: string; readonly config: Record<string, unknown>; readonly ids: readonly number[] }

const golden = path.resolve(import.meta.dirname, '../../golden/graph');
const cases = JSON.parse(readFileSync(path.join(golden, 'cases.json'), 'utf8')) as readonly Case[];
const expected = f32Tensors(golden, 'expected.safetensors');
const builders = { gpt2: buildGpt2Graph, llama: buildLlamaGraph };
const builderOf = (config: Record<string, unknown>) => builders[config.model_type === 'gpt2' ? 'gpt2' : 'llama'];

/** Largest |a - b|, NaN when anything is. */
function furthest(a: Float32Array, b: Float32Array): number {
  assert.equal(a.length, b.length);
  return a.reduce((worst, x, i) => (Math.abs(x - b[i]) <= worst ? worst : Math.abs(x - b[i])), 0);
}

/** Compares one window with transformers: logits to 1e-4, each loss to 2e-5 of itself or of one. */
function assertEqualToTransformers(got: { losses: Float32Array; logits?: Float32Array }, want: { losses: Float32Array; logits: Float32Array }, logits = got.logits!): void {
  const logitError = furthest(logits, want.logits);
  assert.ok(logitError <= 1e-4, `logits differ by ${logitError}`);
  const lossError = got.losses.reduce((worst, loss, i) => Math.max(worst, Math.abs(loss - want.losses[i]) / Math.max(1, want.losses[i])), 0);
  assert.ok(lossError <= 2e-5, `losses differ by ${lossError}`);
  const mean = (losses: Float32Array): number => losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
  assert.ok(Math.abs(Math.exp(mean(got.losses) - mean(want.losses)) - 1) <= 2e-5, 'perplexity differs');
}

for (const plainAttention of [false, true]) {
  describe(`losses and logits are those of transformers (${plainAttention ? 'plain' : 'fused'} attention)`, { concurrency: 2 }, () => {
    for (const { name, weights, config, ids } of cases) {
      test(name, async () => {
        const checkpoint = smallCheckpoint(golden, `${weights}.safetensors`, config);
        const graph = builderOf(config)(checkpoint, { masking: 'none', maskable: [], context: ids.length, withLogits: true, plainAttention });
        const session = await openSession(graph, { provider: 'cpu', threads: 1, prepacking: false });
        try {
          const got = await session.run(wholeWindow(ids), null);
          assertEqualToTransformers(got, { losses: expected[`${name}/losses`], logits: expected[`${name}/logits`] });
        } finally {
          await session.close();
        }
      });
    }
  });
}

const shared = path.resolve(import.meta.dirname, '../../../../shared/models');
for (const name of ['tiny-gpt2', 'stories260k-llama']) {
  const folder = path.join(shared, name);
  const skip = existsSync(folder) ? false : `SKIPPED: ../shared/models/${name} is not here`;
  if (skip) console.log(skip);
  test(`${name}, a trained model, has the losses and logits of transformers`, { skip }, async () => {
    const want = f32Tensors(golden, 'shared.safetensors');
    const checkpoint = smallCheckpoint(folder);
    const vocab = checkpoint.config!.vocab_size as number;
    const ids = Array.from({ length: 200 }, (_, i) => (i * i * 31 + i * 7 + 3) % vocab);
    const graph = builderOf(checkpoint.config!)(checkpoint, { masking: 'none', maskable: [], context: 256, withLogits: true });
    const session = await openSession(graph, { provider: 'cpu', threads: 2, prepacking: false });
    try {
      const got = await session.run(wholeWindow(ids), null);
      const every20th = Float32Array.from({ length: 10 * vocab }, (_, i) => got.logits![Math.floor(i / vocab) * 20 * vocab + (i % vocab)]);
      assertEqualToTransformers(got, { losses: want[`${name}/losses`], logits: want[`${name}/logits`] }, every20th);
    } finally {
      await session.close();
    }
  });
}
