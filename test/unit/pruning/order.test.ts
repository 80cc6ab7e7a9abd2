import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { compare, tableOf, waysAt, writeTrainedChapters } from '../../bench/comparison';
import { scratch, winnow } from './helpers';

const folder = scratch('order'), root = path.resolve(__dirname, '../../..'), sample = path.join(root, 'dist/sample.txt');
const skip = existsSync(sample) ? false : 'SKIPPED: dist/sample.txt is not built (node esbuild.mjs)';
if (skip) console.log(skip);

test('on held-out text SparseGPT is below Wanda, and Wanda below magnitude, each row by row at 50 %, beyond doubt', { skip, timeout: 300_000 }, async () => {
  const text = path.join(folder, 'trained.txt');
  writeTrainedChapters(text, 20);
  const calibration = ['--calibration', text, '--calibration-samples', '32', '--calibration-length', '128', '--provider', 'cpu'];
  const names = ['magnitude, row', 'wanda, row', 'sparsegpt'], ways = waysAt(0.5, calibration).filter(({ name }) => names.includes(name));
  const compared = await compare({
    model: path.join(root, 'media/tiny-gpt2'), heldOut: sample, context: 128, limit: 165, ways, against: ['dense', 'magnitude, row', 'wanda, row'], scratch: path.join(folder, 'out'), threads: 2,
    async prune(words) {
      const { code, err } = await winnow(['prune', ...words]);
      assert.equal(code, 0, err);
    },
  });
  const of = (name: string) => compared.find((one) => one.name === name)!, table = tableOf(compared, ['dense', 'magnitude, row', 'wanda, row']);
  assert.ok(of('dense').scoredTokens >= 20_000, `${of('dense').scoredTokens} tokens`);
  assert.ok(of('wanda, row').against['magnitude, row'].high < 1, table);
  assert.ok(of('sparsegpt').against['wanda, row'].high < 1, table);
  for (const name of names) assert.ok(of(name).against.dense.low > 1, table);
});
