import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import type { Checkpoint } from '../../../server/core/formats/contract';
import type { GraphOptions, WeightReference } from '../../../server/core/graph/contract';
import { buildGpt2Graph } from '../../../server/core/models/gpt2Graph';
import { buildLlamaGraph } from '../../../server/core/models/llamaGraph';
import type { WindowBatch } from '../../../server/core/runtime/contract';
import type { TensorInfo } from '../../../server/core/tensor/tensorInfo';
import { golden, someIds, withSession } from '../runtime/fixture';
import { smallCheckpoint, wholeWindow } from './smallCheckpoint';

const scratch = mkdtempSync(path.join(tmpdir(), 'winnow-masking-'));
after(() => rmSync(scratch, { recursive: true }));

interface Case { readonly weights: string; readonly config: Record<string, unknown>; readonly maskable: RegExp }
const cases = JSON.parse(readFileSync(path.join(golden, 'cases.json'), 'utf8')) as readonly { name: string; weights: string; config: Record<string, unknown> }[];
const configOf = (name: string): Record<string, unknown> => cases.find((one) => one.name === name)!.config;
const families: Readonly<Record<string, Case>> = {
  'gpt2 F32': { weights: 'gpt2', config: configOf('gpt2'), maskable: /attn\.c_|mlp\.c_.*weight/ },
  'gpt2 F16': { weights: 'gpt2-f16', config: configOf('gpt2 f16'), maskable: /(attn|mlp)\.c_\w+\.weight/ },
  'gpt2 BF16': { weights: 'gpt2-bf16', config: configOf('gpt2 bf16'), maskable: /(attn|mlp)\.c_\w+\.weight/ },
  'gpt2, tied table included': { weights: 'gpt2', config: configOf('gpt2'), maskable: /wte|wpe|mlp\.c_\w+\.weight/ },
  'llama BF16': { weights: 'llama-bf16', config: configOf('llama bf16'), maskable: /_proj\.weight/ },
  'llama F16, tied table included': { weights: 'llama-f16', config: configOf('llama f16'), maskable: /_proj\.weight|embed_tokens/ },
};

const build = (checkpoint: Checkpoint, options: Partial<GraphOptions>) =>
  (checkpoint.config!.model_type === 'gpt2' ? buildGpt2Graph : buildLlamaGraph)(checkpoint, { masking: 'none', maskable: [], context: 40, ...options });
const lossesOf = (checkpoint: Checkpoint, options: Partial<GraphOptions>, thresholds: Float32Array | null, window: WindowBatch): Promise<Float32Array> =>
  withSession(build(checkpoint, options), async (session) => (await session.run(window, thresholds)).losses);

/** |w| of one stored element, widened; the plain referee of the graph's Cast. */
function magnitude(tensor: TensorInfo, bytes: Buffer, index: number): number {
  if (tensor.dtype === 'F32') return Math.abs(bytes.readFloatLE(index * 4));
  const bits = bytes.readUInt16LE(index * 2);
  if (tensor.dtype === 'BF16') { const wide = Buffer.alloc(4); wide.writeUInt32LE((bits & 0x7fff) * 65536); return wide.readFloatLE(); }
  const exponent = (bits >> 10) & 31, fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : Infinity;
  return exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24;
}

/** The file with every |w| <= t of `names` written as +0.0. */
function writePrunedCopy(checkpoint: Checkpoint, thresholds: ReadonlyMap<string, number>, fileName: string): { path: string; overlay: ReadonlyMap<string, WeightReference> } {
  const all = readFileSync(checkpoint.files[0].path);
  for (const tensor of checkpoint.tensors) {
    const threshold = thresholds.get(tensor.name);
    if (threshold === undefined) continue;
    const size = (tensor.to - tensor.from) / tensor.elements;
    const bytes = all.subarray(tensor.from, tensor.to);
    for (let i = 0; i < tensor.elements; i++) if (magnitude(tensor, bytes, i) <= threshold) bytes.fill(0, i * size, (i + 1) * size);
  }
  const file = path.join(scratch, fileName);
  writeFileSync(file, all);
  const overlay = new Map(checkpoint.tensors.filter(({ name }) => thresholds.has(name)).map(({ name, from, to }) => [name, { realPath: file, from, byteLength: to - from }]));
  return { path: file, overlay };
}

describe('masking inside the graph', { concurrency: 2 }, () => {
  for (const [title, { weights, config, maskable: pattern }] of Object.entries(families)) {
    test(`${title}: thresholds, overlay and written file have the same losses, bit for bit`, async () => {
      const checkpoint = smallCheckpoint(golden, `${weights}.safetensors`, config);
      const maskable = checkpoint.tensors.filter(({ name }) => pattern.test(name)).map(({ name }) => name);
      assert.ok(maskable.length >= 2);
      const window = wholeWindow(someIds(40));
      // A threshold of its own for each tensor, and one that is exactly a stored magnitude: it must be cut.
      const bytes = readFileSync(checkpoint.files[0].path);
      const thresholds = Float32Array.from(maskable, (name, i) => {
        const tensor = checkpoint.tensors.find((one) => one.name === name)!;
        return magnitude(tensor, bytes.subarray(tensor.from, tensor.to), 5 + i);
      });
      const pruned = writePrunedCopy(checkpoint, new Map(maskable.map((name, i) => [name, thresholds[i]])), `${title}.safetensors`);
      const baseline = await lossesOf(checkpoint, {}, null, window);
      const options = { masking: 'thresholds', maskable } as const;
      assert.deepEqual(await lossesOf(checkpoint, options, null, window), baseline, 'without thresholds nothing is masked');
      const masked = await lossesOf(checkpoint, options, thresholds, window);
      assert.notDeepEqual(masked, baseline);
      assert.deepEqual(await lossesOf(checkpoint, { overlay: pruned.overlay }, null, window), masked, 'overlay');
      assert.deepEqual(await lossesOf(smallCheckpoint(scratch, `${title}.safetensors`, config), {}, null, window), masked, 'written file');
    });
  }

  test('one session takes any number of levels; the overlay wins where a tensor has both', async () => {
    const checkpoint = smallCheckpoint(golden, 'gpt2.safetensors', configOf('gpt2'));
    const maskable = checkpoint.tensors.filter(({ name }) => /mlp\.c_\w+\.weight/.test(name)).map(({ name }) => name);
    const window = wholeWindow(someIds(30));
    const levels = [-1, 0, 0.1, 0.4, Infinity, -1];
    const answers = await withSession(build(checkpoint, { masking: 'thresholds', maskable }), async (session) => {
      const losses: Float32Array[] = [];
      for (const level of levels) losses.push((await session.run(window, new Float32Array(maskable.length).fill(level))).losses);
      return losses;
    });
    assert.deepEqual(answers[5], answers[0]);
    assert.deepEqual(answers[1], answers[0], 'zeros are zeros already');
    for (const i of [2, 3, 4]) assert.notDeepEqual(answers[i], answers[i - 1]);
    const emptied = writePrunedCopy(checkpoint, new Map(maskable.map((name) => [name, Infinity])), 'emptied.safetensors');
    assert.deepEqual(await lossesOf(checkpoint, { masking: 'thresholds', maskable, overlay: emptied.overlay }, null, window), answers[4]);
  });

  test('NaN is kept at every level', async () => {
    const checkpoint = smallCheckpoint(golden, 'gpt2.safetensors', configOf('gpt2'));
    const tensor = checkpoint.tensors.find(({ name }) => name.endsWith('h.0.mlp.c_fc.weight'))!;
    const all = readFileSync(checkpoint.files[0].path);
    all.writeFloatLE(NaN, tensor.from);
    writeFileSync(path.join(scratch, 'nan.safetensors'), all);
    const losses = await lossesOf(smallCheckpoint(scratch, 'nan.safetensors', configOf('gpt2')), { masking: 'thresholds', maskable: [tensor.name] }, Float32Array.of(Infinity), wholeWindow(someIds(8)));
    assert.ok(losses.every(Number.isNaN));
  });

  test('the inputs are named after the tensors, in the order asked', () => {
    const checkpoint = smallCheckpoint(golden, 'gpt2.safetensors', configOf('gpt2'));
    const maskable = ['transformer.h.1.mlp.c_fc.weight', 'transformer.h.0.attn.c_attn.weight'];
    assert.deepEqual(build(checkpoint, { masking: 'thresholds', maskable }).thresholdInputs, maskable.map((name) => `threshold:${name}`));
    assert.deepEqual(build(checkpoint, { masking: 'none', maskable }).thresholdInputs, []);
    assert.throws(() => build(checkpoint, { masking: 'thresholds', maskable: ['nobody'] }), { code: 'tensor-missing' });
  });
});
