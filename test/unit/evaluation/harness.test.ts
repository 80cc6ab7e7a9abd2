// Values of lm-evaluation-harness itself: test/golden/evaluation/make_harness.py ran its own tasks.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import type { Evaluation, EvaluationRequest } from '../../../server/core/evaluation/contract';
import { evaluateModel, textBenchmark } from '../../../server/core/evaluation/evaluate';
import { countWords, detokenise, splitPages } from '../../../server/core/evaluation/wikitextPages';
import { runJob } from '../../../server/core/job';
import { openModel } from '../../../server/core/models/openModel';
import { golden, readJson, root, saying, shared, sharedIsThere, skipWithout } from './material';

type Numbers = Record<string, number> & { nats: number[] };
interface Golden {
  pages: { file: string; count: number; words: number; bytes: number; pages: string; detokenised: string }[];
  models: ({ model: string; context: number } & Record<string, Numbers>)[];
}
const harness = readJson<Golden>(path.join(golden, 'harness.json'));
const skip = skipWithout(sharedIsThere, '../shared');
const folderOf = (model: string): string => model === 'tiny-gpt2' ? path.join(root, 'media/tiny-gpt2') : path.join(shared, 'models', model);
const fileOf = (name: string): string => textBenchmark(path.join(golden, name));
const run = (model: string, request: Partial<EvaluationRequest>): Promise<Evaluation> =>
  runJob(evaluateModel(openModel(folderOf(model)), { benchmark: 'sample', protocol: null, context: 64, stride: null, limit: null, provider: 'cpu', threads: 2, dataFolder: null, ...request }));
const near = (actual: number | null | undefined, expected: number, relative: number, what: string): void => assert.ok(typeof actual === 'number' && Math.abs(actual / expected - 1) <= relative, `${what}: ${actual}, expected ${expected}`);
const digest = (texts: readonly string[]): string => createHash('sha256').update(texts.join('\0')).digest('hex');
const sum = (values: Float32Array): number => values.reduce((total, value) => total + value, 0);

const temporary = mkdtempSync(path.join(tmpdir(), 'winnow-harness-'));
after(() => rmSync(temporary, { recursive: true }));

for (const expected of harness.pages) {
  const own = expected.file.startsWith('harness');
  test(`${expected.file} has the pages, the words and the detokenised text that the harness makes of it`, { skip: own ? false : skip }, () => {
    const pages = splitPages(readFileSync(path.join(own ? golden : shared, expected.file), 'utf8'));
    assert.equal(pages.length, expected.count);
    assert.equal(digest(pages), expected.pages);
    assert.equal(digest(pages.map(detokenise)), expected.detokenised);
    assert.equal(pages.reduce((words, page) => words + countWords(page), 0), expected.words);
    assert.equal(pages.reduce((bytes, page) => bytes + Buffer.byteLength(page), 0), expected.bytes);
  });
}

for (const expected of harness.models) {
  const options = { skip: expected.model === 'tiny-gpt2' ? false : skip }, { model } = expected;

  test(`${model}: word perplexity, byte perplexity and bits per byte are those of the harness`, options, async () => {
    const of = expected['lm-eval-word'], got = await run(model, { protocol: 'lm-eval-word', benchmark: fileOf('harness_pages.txt') });
    assert.equal(got.metric, 'word-perplexity');
    // An error of the loss counts ten times in a word perplexity of 58,000, so the sum is held tighter than the value.
    near(sum(got.losses), of.nats.reduce((a, b) => a + b, 0), 2e-6, 'nats');
    near(got.value, of.word_perplexity, 2e-5, 'word perplexity');
    near(got.perWord?.bytePerplexity, of.byte_perplexity, 2e-5, 'byte perplexity');
    near(got.perWord?.bitsPerByte, of.bits_per_byte, 2e-5, 'bits per byte');
    assert.equal(got.tokens, got.scoredTokens, 'every token is scored');
    assert.equal(got.items, undefined, 'losses stay one a token');
  });

  test(`${model}: accuracy and perplexity of the last word are those of the harness, passage by passage`, options, async () => {
    const of = expected['last-word'], got = await run(model, { protocol: 'last-word', benchmark: fileOf('harness_passages.jsonl') });
    of.nats.forEach((nats, i) => assert.ok(Math.abs(got.losses[i] - nats) < 2e-4 + 2e-5 * nats, `passage ${i}: ${got.losses[i]}, the harness ${nats}`));
    assert.equal(got.items, of.nats.length);
    near(got.value, of.perplexity, 2e-4, 'perplexity');
    assert.equal(got.accuracy?.value, of.acc);
    assert.ok(got.standardError !== null && got.standardError > 0, '64 passages are more than 20 blocks');
  });

  test(`${model}: acc and acc_norm are those of the harness, choice by choice`, options, async () => {
    const of = expected['multiple-choice'], got = await run(model, { protocol: 'multiple-choice', benchmark: fileOf('harness_questions.jsonl') });
    assert.equal(got.metric, 'accuracy');
    near(got.value, of.acc, 1e-12, 'acc');
    near(got.accuracy?.standardError, of.acc_stderr, 1e-9, 'acc_stderr');
    near(got.accuracyNorm?.value, of.acc_norm, 1e-12, 'acc_norm');
    near(got.accuracyNorm?.standardError, of.acc_norm_stderr, 1e-9, 'acc_norm_stderr');
    assert.equal(got.items, 41);
    assert.equal(got.windows, of.nats.length);
  });
}

test('a JSON Lines file of pages gives the value of the file of pages, and a limit counts pages', async () => {
  const pages = splitPages(readFileSync(path.join(golden, 'harness_pages.txt'), 'utf8')), file = path.join(temporary, 'pages.jsonl');
  writeFileSync(file, pages.map((page) => `${JSON.stringify({ id: 1, page })}\n`).join('\n'));
  const [whole, lines, two] = await Promise.all([
    run('tiny-gpt2', { protocol: 'lm-eval-word', benchmark: fileOf('harness_pages.txt') }),
    run('tiny-gpt2', { protocol: 'lm-eval-word', benchmark: textBenchmark(file), field: 'page' }),
    run('tiny-gpt2', { protocol: 'lm-eval-word', benchmark: fileOf('harness_pages.txt'), limit: 2 }),
  ]);
  assert.deepEqual(lines.losses, whole.losses);
  assert.equal(lines.value, whole.value);
  assert.equal(lines.field, 'page');
  assert.equal(two.perWord?.words, pages.slice(0, 2).reduce((words, page) => words + countWords(page), 0));
  assert.deepEqual(two.losses, whole.losses.slice(0, two.scoredTokens));
});

test('documents are joined with a blank line for protocols of running text', async () => {
  const documents = Array.from({ length: 6 }, (_, i) => `Call me Ishmael, said whale number ${i}. `.repeat(8).trim()), lines = path.join(temporary, 'documents.jsonl'), plain = path.join(temporary, 'documents.txt');
  writeFileSync(lines, documents.map((text) => JSON.stringify({ text })).join('\n'));
  writeFileSync(plain, documents.join('\n\n'));
  const [a, b] = await Promise.all([run('tiny-gpt2', { benchmark: textBenchmark(lines) }), run('tiny-gpt2', { benchmark: textBenchmark(plain) })]);
  assert.deepEqual(a.losses, b.losses);
});

test('what does not go together is refused, with the line where there is one', async () => {
  const write = (name: string, text: string): string => { writeFileSync(path.join(temporary, name), text); return textBenchmark(path.join(temporary, name)); };
  const cases: [Partial<EvaluationRequest>, Parameters<typeof saying>][] = [
    [{ protocol: 'last-word' }, ['metric-makes-no-sense', 'last-word', '.jsonl']],
    [{ protocol: 'multiple-choice', benchmark: fileOf('harness_pages.txt') }, ['metric-makes-no-sense', 'multiple-choice']],
    [{ protocol: 'gptq', benchmark: 'lambada' }, ['metric-makes-no-sense', 'lambada is scored by last-word']],
    [{ benchmark: fileOf('harness_pages.txt'), field: 'page' }, ['usage', '--field']],
    [{ benchmark: write('a.jsonl', '{"text": "a"}\n{"body": "b"}\n') }, ['json-lines-broken', 'no field "text"', 'body', '2']],
    [{ benchmark: write('b.jsonl', '{"text": "a"}\n\n{"text": \n') }, ['json-lines-broken', '3']],
    [{ benchmark: write('c.jsonl', '["a"]') }, ['json-lines-broken', 'not an object']],
    [{ benchmark: write('d.jsonl', '{"question": "a", "choices": ["b", "c"], "answer": 2}'), protocol: 'multiple-choice' }, ['json-lines-broken', 'none of the 2 choices']],
    [{ benchmark: write('e.jsonl', '{"question": "a", "choices": ["b"], "answer": 0}'), protocol: 'multiple-choice' }, ['json-lines-broken', 'choices']],
    [{ benchmark: write('f.jsonl', ''), protocol: 'last-word' }, ['too-few-tokens', 'f.jsonl']],
    [{ protocol: 'lm-eval-word', stride: 3 }, ['bad-window', 'lm-eval-word']],
  ];
  for (const [request, expected] of cases) await assert.rejects(run('tiny-gpt2', request), saying(...expected), JSON.stringify(request));
});

test('a masked or an encoder-decoder model has no last word', { skip }, async () => {
  for (const [model, kind] of [['tiny-deberta-v2', 'encoder'], ['tiny-t5', 'encoder-decoder']]) await assert.rejects(run(model, { benchmark: 'lambada' }), saying('metric-makes-no-sense', 'last-word', `${kind} model`));
});

test('the right choice may be named by its text or by the digits of its index', async () => {
  const file = path.join(temporary, 'names.jsonl'), choices = ['a whale', 'the sea'];
  writeFileSync(file, ['the sea', '1', 1].map((answer) => JSON.stringify({ context: 'Ahab saw', choices, answer })).join('\n'));
  const { losses } = await run('tiny-gpt2', { benchmark: textBenchmark(file), protocol: 'multiple-choice' });
  assert.deepEqual([losses[1], losses[2]], [losses[0], losses[0]]);
});
