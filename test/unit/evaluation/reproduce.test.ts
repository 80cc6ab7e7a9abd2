import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import Ajv from 'ajv';
import { evaluateModel } from '../../../server/core/evaluation/evaluate';
import { publishedValues } from '../../../server/core/evaluation/published';
import type { PublishedValue } from '../../../server/core/evaluation/published';
import { runJob } from '../../../server/core/job';
import { openModel } from '../../../server/core/models/openModel';
import { planPrune } from '../../../server/core/pruning/planPrune';
import { writePruned } from '../../../server/core/pruning/writePruned';
import { makePool } from '../../../server/core/workers/pool';
import schemas from '../../../server/protocol/schemas.json';
import { commonFlags, parseArguments } from '../../../server/rpc/arguments';
import type { VerbContext } from '../../../server/rpc/verbs/contract';
import { reproduce, reproduceAll } from '../../../server/rpc/verbs/reproduce';
import { golden, readJson, root } from './material';

const scratch = mkdtempSync(path.join(tmpdir(), 'winnow-reproduce-'));
after(() => rmSync(scratch, { recursive: true }));
const context: VerbContext = { cwd: root, threads: 2, io: 'pread', force: false, verbose: false, dataFolder: null, signal: new AbortController().signal };
const media = path.join(root, 'media');
const fits = (output: unknown): void => {
  const validate = new Ajv({ strict: false }).compile({ ...schemas, $ref: '#/definitions/ReproduceJson' });
  assert.ok(validate(output), JSON.stringify(validate.errors));
};

/** What the golden script found for the sample, as if it had been published. */
const known = readJson<{ model: string; protocol: string; context: number; stride: number; limit: number; value: number }[]>(path.join(golden, 'perplexity.json')).find(({ model, protocol }) => model === 'tiny-gpt2' && protocol === 'gptq')!;
const fake: PublishedValue = {
  checkpoint: 'made up', names: ['tiny-gpt2'], config: { model_type: 'gpt2', n_embd: 128 }, setting: 'in a test', source: 'a golden file', published: known.value, tolerance: 2e-5 * known.value,
  request: { benchmark: 'sample', protocol: known.protocol, context: known.context, stride: known.stride, limit: known.limit },
};
const rowsOf = async (values: readonly PublishedValue[], folders: readonly string[] = [media]) => {
  const rows = await runJob(reproduceAll(values, folders, context));
  fits({ rows });
  return rows;
};

test('a value that is found again agrees, one that is not differs, and both are told', async () => {
  const [same, other] = await rowsOf([fake, { ...fake, published: known.value + 1, tolerance: 0.5 }]);
  assert.deepEqual([same.status, same.reason, other.status], ['agrees', null, 'differs']);
  assert.ok(Math.abs(Number(same.value) - known.value) <= same.tolerance && same.value === other.value);
});

test('a pruned value is that of the checkpoint which prune writes', async () => {
  const pool = makePool({ threads: 2 }), out = path.join(scratch, 'pruned'), model = openModel(path.join(media, 'tiny-gpt2'));
  try {
    const plan = await runJob(planPrune(model, 'magnitude', { sparsity: 0.5, scope: 'tensor', pattern: 'unstructured', include: [], exclude: [], seed: 0 }, pool, { io: 'pread' }));
    await runJob(writePruned(model, plan, { out, force: false, io: 'pread' }, pool));
  } finally {
    await pool.close();
  }
  const written = await runJob(evaluateModel(openModel(out), { ...fake.request, provider: 'cpu', threads: 2, dataFolder: null }));
  assert.ok(written.value > 1.01 * known.value);
  const [row] = await rowsOf([{ ...fake, pruned: { method: 'magnitude', scope: 'tensor', level: 0.5 }, published: written.value }]);
  assert.deepEqual([row.status, row.pruned], ['agrees', { method: 'magnitude', level: 0.5 }]);
  assert.match(reproduce.text({ rows: [row] }), /made up, magnitude 50 %/);
});

test('what cannot be run is not run, with the reason', async () => {
  const impostor = path.join(scratch, 'models/tiny-gpt2');
  mkdirSync(impostor, { recursive: true });
  writeFileSync(path.join(impostor, 'config.json'), JSON.stringify({ model_type: 'gpt2', n_embd: 768 }));
  const rows = await rowsOf([
    { ...fake, pruned: { method: 'nobody-wrote-it', scope: null, level: 0.5 } }, { ...fake, names: ['no-such-model'] }, { ...fake, missing: 'the script was never published' },
    { ...fake, request: { ...fake.request, context: 4096, stride: 4096 } },
  ]);
  assert.deepEqual(rows.map(({ status, value }) => [status, value]), Array(4).fill(['not run', null]));
  [/^method missing: .*magnitude/, /no checkpoint named no-such-model below/, /^the script was never published$/, /4096 tokens/].forEach((reason, i) => assert.match(rows[i].reason ?? '', reason));
  const [other] = await rowsOf([fake], [path.dirname(impostor)]);
  assert.match(other.reason ?? '', /no checkpoint named tiny-gpt2/, 'the name is right, the sizes are not');
});

test('a checkpoint is found in a Hugging Face cache', async () => {
  const snapshots = path.join(scratch, 'hub/models--somebody--small/snapshots');
  mkdirSync(snapshots, { recursive: true });
  symlinkSync(path.join(media, 'tiny-gpt2'), path.join(snapshots, '0123456789abcdef'));
  const [row] = await rowsOf([{ ...fake, names: ['somebody/small'] }], [path.join(scratch, 'hub')]);
  assert.equal(row.status, 'agrees');
});

test('reproduce agrees with the number that the sample was published with; every row has its source and a setting', async () => {
  const run = (...words: string[]) => runJob(reproduce.run(parseArguments(words, [...reproduce.flags, ...commonFlags]), context));
  const { rows: [sample] } = await run('--only', 'tiny');
  assert.deepEqual([sample.status, sample.published, sample.reason], ['agrees', 66.39656, null]);
  for (const value of publishedValues) assert.ok(value.tolerance > 0 && value.source !== '' && value.setting !== '', value.checkpoint);
  for (const [checkpoint, values] of [['GPT-2 124M', [29.41, 29.96, 30.63, 27.23]], ['GPT-2 large', [19.44, 16.44]], ['OPT-125M', [27.66, 193, 36.85]], ['LLaMA-2-7B', [5.47, 5.12]]] as const) {
    for (const value of values) assert.ok(publishedValues.some((one) => one.checkpoint === checkpoint && one.published === value), `${checkpoint} ${value}`);
  }
});
