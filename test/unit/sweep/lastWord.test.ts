// A sweep over passages: losses are one a passage, and the accuracy goes along.
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { reportCsv } from '../../../server/core/report/csv';
import { reportMarkdown } from '../../../server/core/report/markdown';
import { runJob } from '../../../server/core/job';
import type { SweepJson } from '../../../server/protocol/verbs';
import { commonFlags, parseArguments } from '../../../server/rpc/arguments';
import { summaryOfFolder } from '../../../server/rpc/sweepJson';
import type { VerbContext } from '../../../server/rpc/verbs/contract';
import { sweep } from '../../../server/rpc/verbs/sweep';

const root = path.resolve(__dirname, '../../..'), ready = existsSync(path.join(root, 'dist/onnxChild.js')) && existsSync(path.join(root, 'dist/worker.js'));
if (!ready) console.warn('SKIPPED: a sweep needs the build (`npm run build`)');
const folder = mkdtempSync(path.join(tmpdir(), 'winnow-passages-')), out = path.join(folder, 'out');
after(() => rmSync(folder, { recursive: true }));

const context: VerbContext = { cwd: root, threads: 2, io: 'pread', force: false, verbose: false, dataFolder: null, signal: new AbortController().signal };
const words = ['media/tiny-gpt2', '--text', 'test/golden/evaluation/harness_passages.jsonl', '--task', 'last-word', '--limit', '30', '--levels', '0.5,0.95', '--no-runtime', '--provider', 'cpu', '--out', out];
const run = (): Promise<SweepJson> => runJob(sweep.run(parseArguments(words, [...sweep.flags, ...commonFlags]), context));

test('a sweep over passages has an accuracy and a paired ratio in every cell, and resumes', { skip: !ready }, async () => {
  const output = await run();
  assert.equal(output.cells.length, 3);
  for (const cell of output.cells) {
    assert.deepEqual([cell.protocol, cell.metric], ['last-word', 'perplexity']);
    assert.ok(cell.accuracy !== undefined && cell.accuracy.value >= 0 && cell.accuracy.value <= 1);
    assert.notEqual(cell.standardError, null, '30 passages are enough for an error over passages');
  }
  const [, half, most] = output.cells.map(({ ratioToBaseline }) => ratioToBaseline);
  for (const ratio of [half, most]) assert.ok(ratio && Number(ratio.low) > 0 && Number(ratio.low) < Number(ratio.value) && Number(ratio.high) > Number(ratio.value) && Number.isFinite(Number(ratio.high)));
  assert.ok(Number(most?.value) > 5, 'a model without 95 % of its weights tells no last word');
  const losses = readdirSync(path.join(out, 'cells')).filter((name) => name.endsWith('.f32'));
  assert.deepEqual(losses.map((name) => statSync(path.join(out, 'cells', name)).size), [120, 120, 120], 'one loss a passage');

  assert.match(sweep.text(output), /pruned +perplexity +accuracy +against dense/);
  const summary = summaryOfFolder(out);
  assert.match(reportCsv(summary).split('\r\n')[0], /,accuracy,accuracyStandardError,/);
  assert.match(reportMarkdown(summary, { perplexity: [], size: [], time: null }), /accuracy ± SE/);

  const again = await run();
  assert.deepEqual(again.cells.map(({ seconds }) => seconds), output.cells.map(({ seconds }) => seconds), 'finished cells are read, not run');
  assert.deepEqual(again.cells.map(({ ratioToBaseline }) => ratioToBaseline), output.cells.map(({ ratioToBaseline }) => ratioToBaseline));
});
