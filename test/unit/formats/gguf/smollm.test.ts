// A real GGUF (SmolLM2-135M, Q4_1) against transformers with `gguf_file=`.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { test } from 'node:test';
import { evaluateModel } from '../../../../server/core/evaluation/evaluate';
import { runJob } from '../../../../server/core/job';
import { openModel } from '../../../../server/core/models/openModel';

const root = path.join(__dirname, '../../../..'), data = path.join(root, '../shared/data');
const golden = JSON.parse(readFileSync(path.join(root, 'test/golden/gguf/smollm.json'), 'utf8')) as { readonly windowLosses: readonly number[] };
const WINDOWS = 2;

test('SmolLM2-135M in Q4_1 has the perplexity that transformers gives it', async (t) => {
  const { realFolder } = await import(pathToFileURL(path.join(root, 'scripts/fetchReal.mjs')).href) as { realFolder: (name: string) => string | null };
  const folder = existsSync(data) ? realFolder('smollm2-gguf') : null;
  if (folder === null) {
    console.log('SKIPPED: the perplexity of a real GGUF needs the package registry and ../shared/data');
    t.skip('not here');
    return;
  }
  const model = openModel(path.join(folder, readdirSync(folder).find((name) => name.endsWith('.gguf'))!));
  assert.equal(model.architecture?.id, 'llama');
  assert.deepEqual([...new Set(model.checkpoint.tensors.map(({ storedDtype, dtype }) => storedDtype ?? dtype))].sort(), ['F32', 'Q4_1', 'Q8_0']);
  const result = await runJob(evaluateModel(model, {
    benchmark: 'wikitext-2-raw', protocol: 'hf-stride', context: 1024, stride: 1024, limit: WINDOWS, dataFolder: data, provider: 'cpu', threads: 2,
  }));
  const expected = golden.windowLosses.slice(0, WINDOWS).reduce((sum, loss) => sum + loss, 0) / WINDOWS;
  const ratio = result.value / Math.exp(expected);
  assert.ok(Math.abs(ratio - 1) < 2e-5, `perplexity ${result.value}, transformers ${Math.exp(expected)}`);
});
