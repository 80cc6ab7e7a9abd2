import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { runJob } from '../../../server/core/job';
import type { EvalJson } from '../../../server/protocol/verbs';
import { commonFlags, parseArguments } from '../../../server/rpc/arguments';
import { encodeJson } from '../../../server/rpc/encode';
import type { Verb, VerbContext } from '../../../server/rpc/verbs/contract';
import { evaluate } from '../../../server/rpc/verbs/eval';
import { root, saying, shared, sharedIsThere, skipWithout } from './material';

const context: VerbContext = { cwd: root, threads: 2, io: 'pread', force: false, verbose: false, dataFolder: null, signal: new AbortController().signal };
/** One evaluation by one protocol. */
const one = async (...words: string[]): Promise<EvalJson> => {
  const output = await run(evaluate, ...words);
  assert.ok(!('runs' in output), 'one protocol is one document');
  return output;
};
const run = (verb: Verb<'eval'>, ...words: string[]) => runJob(verb.run(parseArguments(words, [...verb.flags, ...commonFlags]), context));

test('eval says the value with its protocol, its text and its setup', async () => {
  const output = await one('media/tiny-gpt2', '--benchmark', 'sample', '--limit', '2', '--provider', 'cpu');
  const text = evaluate.text(output);
  for (const words of [/^perplexity \d/, /hf-stride, context 256, stride 128/, /383 scored in 2 windows \(limit 2\)/, /no begin token/, /weights F32, computed in F32 on cpu/, /tokens\/s/]) assert.match(text, words);
  assert.equal('losses' in output, false, 'losses are not part of any printed output');
  assert.equal((JSON.parse(encodeJson(output)) as { windows: number }).windows, 2);
});

test('a perplexity that overflows is printed as infinite, and as text in JSON', { skip: skipWithout(sharedIsThere, '../shared') }, async () => {
  const folder = path.join(shared, 'cases/eval-inf-ppl');
  const output = await one(folder, '--text', path.join(folder, 'text.txt'), '--provider', 'cpu');
  assert.equal(output.value, 'Infinity');
  assert.match(evaluate.text(output), /^perplexity infinite\n/);
  assert.equal(output.benchmark, `text:${path.join(folder, 'text.txt')}`);
});

test('`<unk>` in a text is counted, with the tokens that it is for this tokenizer', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'winnow-unk-'));
  try {
    writeFileSync(path.join(folder, 'text.txt'), 'the <unk> of the sea <unk><unk> and a whale '.repeat(20));
    const output = await one('media/tiny-gpt2', '--text', path.join(folder, 'text.txt'), '--limit', '1', '--provider', 'cpu');
    assert.equal(output.unknownWords?.count, 60);
    assert.ok(output.unknownWords!.tokensEach > 1, 'the sample has no such token of its own');
    assert.match(evaluate.text(output), /<unk> +stands 60 times in the text, as \d tokens each/);
  } finally { rmSync(folder, { recursive: true }); }
});

test('eval refuses words that do not make one evaluation', async () => {
  const cases: [string[], Parameters<typeof saying>][] = [
    [['media/tiny-gpt2'], ['usage', '--benchmark', '--text']],
    [['media/tiny-gpt2', '--benchmark', 'sample', '--text', 'x.txt'], ['usage', 'not both']],
    [['media/tiny-gpt2', '--benchmark', 'sample', '--limit', '0'], ['usage', '--limit']],
    [['media/tiny-gpt2', '--benchmark', 'sample', '--context', '12.5'], ['usage', '--context']],
    [['media/tiny-gpt2', '--benchmark', 'sample', '--context', '0'], ['bad-window']],
    [['media/tiny-gpt2', '--benchmark', 'sample', '--context', '1000'], ['context-too-long', '256']],
    [['media/tiny-gpt2', '--benchmark', 'sample', '--provider', 'gpu'], ['unknown-provider', 'gpu']],
    [['media/tiny-gpt2', '--benchmark', 'sample', '--protocol', 'hfstride'], ['unknown-protocol', 'hf-stride']],
    [['media/tiny-gpt2', '--text', 'no-such.txt'], ['not-found', 'no-such.txt']],
  ];
  for (const [words, expected] of cases) await assert.rejects(run(evaluate, ...words), saying(...expected), words.join(' '));
});
