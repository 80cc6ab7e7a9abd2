// The same weights in a .bin, stored, compressed, as views and in shards: the same losses, bit for bit, and the same pruned copy.
import assert from 'node:assert/strict';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { deflateRawSync } from 'node:zlib';
import { evaluateModel, textBenchmark } from '../../../server/core/evaluation/evaluate';
import { withPlainWeights } from '../../../server/core/evaluation/materialise';
import { runJob } from '../../../server/core/job';
import { openModel } from '../../../server/core/models/openModel';
import { planPrune } from '../../../server/core/pruning/planPrune';
import { writePruned } from '../../../server/core/pruning/writePruned';
import { makePool } from '../../../server/core/workers/pool';
import type { WorkerPool } from '../../../server/core/workers/contract';
import { concat, dict, storedZip, streamOf, tensorPickle } from '../formats/pytorch/buildPickle';
import { root } from './material';

const source = path.join(root, 'media/tiny-gpt2');
const folder = mkdtempSync(path.join(tmpdir(), 'winnow-bin-eval-')), text = path.join(folder, 'text.txt');
let pool: WorkerPool;
before(() => {
  pool = makePool({ threads: 2 });
  writeFileSync(text, 'It was the best of times, it was the worst of times, it was the age of wisdom. '.repeat(20));
});
after(async () => {
  await pool.close();
  rmSync(folder, { recursive: true, force: true });
});

interface Weight { readonly name: string; readonly shape: readonly number[]; readonly bytes: Uint8Array }
const { checkpoint } = openModel(source), file = readFileSync(checkpoint.files[0].path);
const weights: readonly Weight[] = checkpoint.tensors.map(({ name, shape, from, to }) => ({ name, shape, bytes: new Uint8Array(file.subarray(from, to)) }));

const transposed = ({ name, shape: [rows, columns], bytes }: Weight): Weight => {
  const values = new Float32Array(bytes.slice().buffer), out = new Float32Array(values.length);
  for (let y = 0; y < rows; y++) for (let x = 0; x < columns; x++) out[x * rows + y] = values[y * columns + x];
  return { name, shape: [rows, columns], bytes: new Uint8Array(out.buffer) };
};
const pickleOf = (some: readonly Weight[], stride?: (one: Weight) => readonly number[]): Uint8Array =>
  concat('\x80\x02', dict(...some.map((one, i): [string, Uint8Array] => [one.name, tensorPickle(String(i), one.bytes.length / 4, one.shape, stride ? { stride: stride(one) } : {})])), '.');
const entries = (some: readonly Weight[]): [string, Uint8Array][] => some.map(({ bytes }, i) => [`m/data/${i}`, bytes]);

/** A model folder with these weight files. */
function model(name: string, files: Readonly<Record<string, Uint8Array | string>>): string {
  const made = path.join(folder, name);
  mkdirSync(made);
  for (const small of readdirSync(source)) if (small.endsWith('.json')) copyFileSync(path.join(source, small), path.join(made, small));
  for (const [one, content] of Object.entries(files)) writeFileSync(path.join(made, one), content);
  return made;
}

const builders: Readonly<Record<string, () => string>> = {
  stored: () => model('stored', { 'pytorch_model.bin': storedZip([['m/data.pkl', pickleOf(weights)], ...entries(weights)]) }),
  stream: () => model('stream', { 'pytorch_model.bin': streamOf(pickleOf(weights), weights.map((_, i) => String(i)), weights.map(({ bytes }) => bytes)) }),
  compressed: () => model('compressed', {
    'pytorch_model.bin': storedZip([['m/data.pkl', pickleOf(weights)], ...entries(weights).map(([name, bytes]): [string, Uint8Array] => [name, deflateRawSync(bytes, { level: 1 })])], { claim: Object.fromEntries(entries(weights).map(([name, bytes]) => [name, bytes.length])) }),
  }),
  views: () => {
    const turned = weights.map((one) => (one.shape.length === 2 ? transposed(one) : one));
    return model('views', { 'pytorch_model.bin': storedZip([['m/data.pkl', pickleOf(turned, ({ shape }) => (shape.length === 2 ? [1, shape[0]] : shape.map(() => 1)))], ...entries(turned)]) });
  },
  shards: () => {
    const halves = [weights.slice(0, 30), weights.slice(30)], names = halves.map((_, i) => `pytorch_model-0000${i + 1}-of-00002.bin`);
    return model('shards', {
      ...Object.fromEntries(halves.map((half, i) => [names[i], storedZip([['m/data.pkl', pickleOf(half)], ...entries(half)])])),
      'pytorch_model.bin.index.json': JSON.stringify({ metadata: { total_size: weights.reduce((sum, { bytes }) => sum + bytes.length, 0) }, weight_map: Object.fromEntries(halves.flatMap((half, i) => half.map(({ name }) => [name, names[i]]))) }),
    });
  },
};
const skip = existsSync(path.join(root, 'dist/onnxChild.js')) ? false : 'needs the build';
if (skip) console.warn('SKIPPED: no dist/onnxChild.js, so no .bin was evaluated');

describe('weights in a .bin', { skip }, () => {
  const evaluate = (from: string): Promise<Float32Array> => runJob(evaluateModel(openModel(from), { benchmark: textBenchmark(text), protocol: 'hf-stride', context: 64, stride: 64, limit: 4, provider: 'cpu', threads: 2, dataFolder: null })).then((one) => one.losses as Float32Array);
  const prune = async (from: string, out: string): Promise<void> => {
    const opened = openModel(from), request = { sparsity: 0.5, scope: 'global', pattern: 'unstructured', include: [], exclude: [], seed: 0 } as const;
    const plan = await runJob(planPrune(opened, 'magnitude', request, pool, { io: 'auto' }));
    await runJob(writePruned(opened, plan, { out, force: false, io: 'auto' }, pool));
  };
  const valuesIn = (from: string): Map<string, string> => {
    const opened = openModel(from).checkpoint;
    return new Map(opened.tensors.map((tensor) => [tensor.name, readFileSync(opened.files[tensor.file].path).subarray(tensor.from, tensor.to).toString('base64')]));
  };
  let wanted: { losses: Float32Array; pruned: Map<string, string> };
  before(async () => {
    await prune(source, path.join(folder, 'wanted'));
    wanted = { losses: await evaluate(source), pruned: valuesIn(path.join(folder, 'wanted')) };
  });

  for (const [name, build] of Object.entries(builders)) {
    test(`${name}: the losses of the safetensors, to the last bit, and the same pruned bytes under transformers' names`, async () => {
      const made = build(), opened = openModel(made);
      assert.deepEqual([opened.checkpoint.format, opened.architecture?.id], ['pytorch', 'gpt2']);
      assert.equal(opened.checkpoint.tensors.some((tensor) => tensor.encoding !== undefined), name === 'compressed' || name === 'views');
      assert.deepEqual(await evaluate(made), wanted.losses);
      const out = path.join(folder, `${name}-pruned`);
      await prune(made, out);
      assert.deepEqual(valuesIn(out), wanted.pruned);
      const weightFiles = readdirSync(out).filter((one) => /safetensors|bin/.test(one)).sort();
      assert.deepEqual(weightFiles, name === 'shards' ? ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors', 'model.safetensors.index.json'] : ['model.safetensors']);
    });
  }

  test('safetensors goes before the .bin beside it', () => {
    const made = model('both', { 'pytorch_model.bin': 'never looked at' });
    copyFileSync(path.join(source, 'model.safetensors'), path.join(made, 'model.safetensors'));
    assert.equal(openModel(made).checkpoint.format, 'safetensors');
  });

  test('what is decoded for the runtime is written once, and goes away; what lies plainly is left where it is', async () => {
    const plain = await runJob(withPlainWeights(openModel(path.join(folder, 'stored')), null));
    assert.equal(plain.model.checkpoint.files.length, 1);
    const decoded = await runJob(withPlainWeights(openModel(path.join(folder, 'views')), null));
    const [, extra] = decoded.model.checkpoint.files;
    assert.ok(existsSync(extra.path));
    assert.ok(decoded.model.checkpoint.tensors.every((tensor) => tensor.encoding === undefined));
    decoded.close();
    assert.equal(existsSync(path.dirname(extra.path)), false);
  });
});
