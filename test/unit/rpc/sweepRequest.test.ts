import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { CheckpointError } from '../../../server/core/errors';
import { openModel } from '../../../server/core/models/openModel';
import { commonFlags, parseArguments } from '../../../server/rpc/arguments';
import { sweep } from '../../../server/rpc/verbs/sweep';
import { sweepRequest, sweepWish } from '../../../server/rpc/sweepRequest';
import type { VerbContext } from '../../../server/rpc/verbs/contract';

const sample = path.resolve(__dirname, '../../../media/tiny-gpt2');
const folder = mkdtempSync(path.join(os.tmpdir(), 'winnow-request-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const context: VerbContext = { cwd: folder, threads: 1, io: 'pread', force: false, verbose: false, dataFolder: null, signal: new AbortController().signal };
const wished = (...words: string[]) => sweepWish(parseArguments([sample, '--benchmarks', 'sample', ...words], [...commonFlags, ...sweep.flags]), context);
const request = (...words: string[]) => sweepRequest(wished(...words), openModel(sample), 'cpu', context, false);

test('a pattern implies its level: the same level may be named, another may not', () => {
  assert.deepEqual(request('--pattern', '2:4').levels, [0.5]);
  assert.deepEqual(request('--pattern', '2:4', '--levels', '0,0.5').levels, [0, 0.5]);
  assert.deepEqual(request('--levels', '0.2,0.9').levels, [0.2, 0.9]);
  assert.throws(() => request('--pattern', '2:4', '--levels', '0.9'), (error) => error instanceof CheckpointError && error.code === 'usage' && /0\.9/.test(error.detail));
});

test('a task and its text have to go together before anything is made; a benchmark brings its own protocol', () => {
  const data = path.join(folder, 'data'), lines = path.join(folder, 'lines.jsonl');
  mkdirSync(data, { recursive: true });
  writeFileSync(path.join(data, 'lambada_test.jsonl'), '{"text": "Call me Ishmael"}\n');
  const asked = (...words: string[]) => sweepRequest(sweepWish(parseArguments([sample, ...words], [...commonFlags, ...sweep.flags]), context), openModel(sample), 'cpu', { ...context, dataFolder: data }, false);
  const refused = (code: string, words: RegExp) => (error: unknown): boolean => error instanceof CheckpointError && error.code === code && words.test(error.detail);
  assert.equal(asked('--benchmarks', 'lambada').protocol, 'last-word');
  assert.deepEqual([asked('--text', lines, '--task', 'last-word', '--field', 'body').protocol, asked('--text', lines, '--task', 'last-word', '--field', 'body').field], ['last-word', 'body']);
  assert.throws(() => asked('--benchmarks', 'lambada,sample'), refused('usage', /one protocol.*lambada/));
  assert.throws(() => asked('--benchmarks', 'lambada', '--protocol', 'hf-stride'), refused('metric-makes-no-sense', /scored by last-word/));
  assert.throws(() => asked('--benchmarks', 'sample', '--task', 'last-word'), refused('metric-makes-no-sense', /JSON Lines/));
  assert.throws(() => asked('--text', lines, '--task', 'multiple-choice'), refused('metric-makes-no-sense', /winnow eval/));
  assert.throws(() => asked('--text', lines, '--task', 'lastword'), refused('usage', /last-word/));
  assert.throws(() => asked('--text', lines, '--task', 'last-word', '--protocol', 'gptq'), refused('usage', /not both/));
  assert.throws(() => asked('--benchmarks', 'sample', '--field', 'body'), refused('usage', /--field/));
});

test('a glob that names nothing stops a sweep before it makes a folder', async () => {
  const out = path.join(folder, 'out');
  const job = sweep.run(parseArguments([sample, '--benchmarks', 'sample', '--include', 'zzz', '--out', out, '--provider', 'cpu'], [...commonFlags, ...sweep.flags]), context);
  await assert.rejects(async () => { for (;;) if ((await job.next()).done) return; }, (error) => error instanceof CheckpointError && error.code === 'no-match');
  assert.equal(existsSync(out), false);
});
