import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import type { Checkpoint } from '../../../server/core/formats/contract';
import type { ModelGraph, WeightReference } from '../../../server/core/graph/contract';
import { applyArchitecture } from '../../../server/core/models/openModel';
import type { WindowBatch } from '../../../server/core/runtime/contract';
import { golden, withSession } from '../runtime/fixture';
import { skipWebGpu, withSoftwareGpu } from '../runtime/software';
import { contextOf, familyFolder, openCase, readFamily, relativeDifference, twice, windowOf } from './familyCases';
import type { Case, Family } from './familyCases';
import { f32Tensors, smallCheckpoint } from './smallCheckpoint';

const scratch = mkdtempSync(path.join(tmpdir(), 'winnow-webgpu-'));
after(() => rmSync(scratch, { recursive: true }));

/** One small model with the losses that transformers gave for its window. */
interface Small { readonly kind: Family['kind']; readonly one: Case; readonly checkpoint: Checkpoint; readonly expected: Float32Array }

function familyCase(family: string, name: string): Small {
  const { kind, cases } = readFamily(family), one = cases.find((each) => each.name === name)!;
  return { kind, one, checkpoint: openCase(family, one), expected: f32Tensors(familyFolder, `${family}.safetensors`)[`expected/${name}/losses`] };
}

function llamaCase(name: string): Small {
  const { weights, ...one } = (JSON.parse(readFileSync(path.join(golden, 'cases.json'), 'utf8')) as ({ weights: string } & Omit<Case, 'weights'>)[]).find((each) => each.name === name)!;
  return { kind: 'decoder', one: { ...one, weights: [weights] }, checkpoint: smallCheckpoint(golden, `${weights}.safetensors`, one.config), expected: f32Tensors(golden, 'expected.safetensors')[`${name}/losses`] };
}

const graphOf = ({ checkpoint, one }: Small, options: { maskable?: readonly string[]; overlay?: ReadonlyMap<string, WeightReference> } = {}): ModelGraph =>
  applyArchitecture(checkpoint).architecture!.buildGraph!(checkpoint, { masking: options.maskable ? 'thresholds' : 'none', maskable: [], context: contextOf(one), ...options, ...(one.decoder && { decoder: one.decoder }) });

const lossesOn = (provider: 'cpu' | 'webgpu', graph: ModelGraph, runs: readonly { readonly window: WindowBatch; readonly thresholds: Float32Array | null }[]): Promise<Float32Array[]> =>
  withSession(graph, async (session) => {
    const all: Float32Array[] = [];
    for (const { window, thresholds } of runs) all.push((await session.run(window, thresholds)).losses);
    return all;
  }, { provider });

// Each has what the others have not: rotation and grouped heads; a table of F16, cross attention and buckets; gathered scores and
// a convolution; caps and local layers; gathered experts. SwiftShader has no `shader-f16`, as many GPUs have not.
const small: readonly (readonly [string, () => Small])[] = [
  ['Llama BF16', () => llamaCase('llama bf16')],
  ['T5 v1.1 F16', () => familyCase('t5', 't5 v1.1 f16')],
  ['DeBERTa with its enhanced mask decoder', () => familyCase('deberta-v2', 'deberta-v2 enhanced mask decoder')],
  ['Gemma 2', () => familyCase('gemma', 'gemma2')],
  ['a mixture of experts', () => familyCase('moe', 'qwen2-moe')],
];
for (const [title, read] of small) {
  test(`${title} on WebGPU has the losses of transformers, alone and in a batch of two`, { skip: skipWebGpu, timeout: 120_000 }, () => withSoftwareGpu(async () => {
    const one = read(), window = windowOf(one.kind, one.one);
    const [alone, both] = await lossesOn('webgpu', graphOf(one), [{ window, thresholds: null }, { window: twice(window), thresholds: null }]);
    assert.ok(relativeDifference(alone, one.expected) <= 2e-5, `losses differ by ${relativeDifference(alone, one.expected)}`);
    assert.ok(relativeDifference(both, [...one.expected, ...one.expected]) <= 2e-5, 'a batch of two differs');
  }));
}

/** Widened magnitudes of one F32 or BF16 tensor of a small file. */
function magnitudes(checkpoint: Checkpoint, name: string): number[] {
  const tensor = checkpoint.tensors.find((each) => each.name === name)!, bytes = readFileSync(checkpoint.files[0].path).subarray(tensor.from, tensor.to);
  const bits = Uint32Array.from({ length: tensor.elements }, (_, i) => (tensor.dtype === 'F32' ? bytes.readUInt32LE(4 * i) : bytes.readUInt16LE(2 * i) * 65536));
  return Array.from(new Float32Array(bits.buffer), Math.abs);
}

/** The file with every |w| <= t of each named tensor written as +0.0, as an overlay. */
function overlayOf(checkpoint: Checkpoint, thresholds: ReadonlyMap<string, number>, name: string): ReadonlyMap<string, WeightReference> {
  const all = readFileSync(checkpoint.files[0].path), file = path.join(scratch, name);
  for (const tensor of checkpoint.tensors) {
    const threshold = thresholds.get(tensor.name), size = (tensor.to - tensor.from) / tensor.elements;
    if (threshold !== undefined) magnitudes(checkpoint, tensor.name).forEach((size32, i) => { if (size32 <= threshold) all.fill(0, tensor.from + i * size, tensor.from + (i + 1) * size); });
  }
  writeFileSync(file, all);
  return new Map(checkpoint.tensors.filter((tensor) => thresholds.has(tensor.name)).map(({ name: tensor, from, to }) => [tensor, { realPath: file, from, byteLength: to - from }]));
}

for (const provider of ['cpu', 'webgpu'] as const) {
  const skip = provider === 'webgpu' && skipWebGpu;
  for (const [title, read] of [['Llama BF16', () => llamaCase('llama bf16')], ['T5', () => familyCase('t5', 't5')], ['DeBERTa', () => familyCase('deberta-v2', 'deberta-v2')]] as const) {
    test(`${title} on ${provider}: the levels of a sweep by threshold inputs of one session are those of pruned bytes, to 1e-5`, { skip, timeout: 180_000 }, () => withSoftwareGpu(async () => {
      const one = read(), model = applyArchitecture(one.checkpoint), window = windowOf(one.kind, one.one);
      const maskable = one.checkpoint.tensors.filter((_, i) => model.roles[i].prunable).map(({ name }) => name);
      // A threshold that is a stored magnitude, so that it has to be cut, and another one in each tensor.
      const levels = [0.3, 0.7].map((level) => Float32Array.from(maskable, (name) => { const sorted = magnitudes(one.checkpoint, name).sort((a, b) => a - b); return sorted[Math.floor(level * sorted.length)]; }));
      const inGraph = await lossesOn(provider, graphOf(one, { maskable }), [null, ...levels].map((thresholds) => ({ window, thresholds })));
      assert.ok(relativeDifference(inGraph[0], one.expected) <= 2e-5, 'without thresholds nothing is masked');
      for (const [i, thresholds] of levels.entries()) {
        const overlay = overlayOf(one.checkpoint, new Map(maskable.map((name, at) => [name, thresholds[at]])), `${title}-${provider}-${i}`);
        const [written] = await lossesOn(provider, graphOf(one, { overlay }), [{ window, thresholds: null }]);
        assert.ok(relativeDifference(written, inGraph[0]) > 1e-3, 'pruning changes the losses');
        assert.ok(relativeDifference(inGraph[i + 1], written) <= 1e-5, `level ${i}: differs by ${relativeDifference(inGraph[i + 1], written)}`);
      }
    }));
  }
}
