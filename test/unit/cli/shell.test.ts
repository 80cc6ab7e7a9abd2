import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { CheckpointError, throwIfCancelled } from '../../../server/core/errors';
import type { VerbOutputs } from '../../../server/protocol/verbs';
import { runShell } from '../../../server/rpc/shell';
import type { Verb } from '../../../server/rpc/verbs/contract';
import { verbs as realVerbs } from '../../../server/rpc/verbs/registry';

/** A verb that does what the test says, in place of `catalog`. */
const fake = (run: Verb['run']): Verb => ({
  name: 'catalog', usage: '[WORD]', summary: 'A made-up verb.', flags: [{ name: 'level', value: 'N', help: 'a level' }], positional: [0, 1], run, text: () => 'words\n\n',
});

async function shell(words: string[], run: Verb['run'], signal = new AbortController().signal): Promise<{ code: number; out: string; err: string }> {
  let out = '', err = '';
  const code = await runShell(words, {
    cwd: '/', environment: {}, signal, verbs: [{ name: 'catalog', load: async () => fake(run) }],
    stdout: { write: (text, done) => { out += text; setImmediate(done, null); } }, stderr: { write: (text) => { err += text; } },
  });
  return { code, out, err };
}

 
const answer: Verb['run'] = async function* () { return { formats: [] } as unknown as VerbOutputs['catalog']; };
const fail = (error: unknown): Verb['run'] =>
   
  async function* () { throw error; };

test('a verb prints text, or with --json one document and nothing else', async () => {
  assert.deepEqual(await shell(['catalog'], answer), { code: 0, out: 'words\n', err: '' });
  const { out, code } = await shell(['catalog', '--json'], answer);
  assert.equal(code, 0);
  assert.deepEqual(JSON.parse(out), { formats: [] });
});

test('progress goes to stderr only', async () => {
  const { out, err } = await shell(['catalog', '--json'], async function* (args, context) {
    yield { stage: 'working', done: 1, total: 2, unit: 'files' };
    return yield* answer(args, context);
  });
  assert.deepEqual(JSON.parse(out), { formats: [] });
  assert.match(err, /^working 1 of 2 files\n$/);
});

test('wrong usage exits 2 with one line that helps', async () => {
  for (const [words, pattern] of [
    [[], /A verb is missing/], [['catlog'], /There is no verb `catlog`; did you mean `catalog`\?/], [['--json', 'catalog'], /The verb comes first/],
    [['catalog', 'a', 'b'], /`b` is one word too many/], [['catalog', '--lvel', '1'], /did you mean `--level`/], [['catalog', '--io', 'disk'], /--io takes auto, mmap or pread/],
    [['catalog', '--threads', '0'], /--threads takes a number/],
  ] as const) {
    const { code, out, err } = await shell([...words], answer);
    assert.equal(code, 2, words.join(' '));
    assert.equal(out, '');
    assert.match(err, /^winnow: usage: [^\n]*\n$/);
    assert.match(err, pattern);
  }
});

test('no more threads than the machine has processors', async () => {
  let threads = 0;
  await shell(['catalog', '--threads', '1024'], async function* (args, context) {
    threads = context.threads;
    return yield* answer(args, context);
  });
  assert.equal(threads, availableParallelism());
});

test('a failure exits 1 with one line; the stack only with --verbose', async () => {
  for (const error of [new CheckpointError('overlap', { tensor: 't' }, '1'), new TypeError('a bug'), 'text']) {
    const quiet = await shell(['catalog', '--json'], fail(error));
    assert.equal(quiet.code, 1);
    assert.equal(quiet.out, '');
    assert.match(quiet.err, /^winnow: (overlap|internal): [^\n]*\n$/);
    const loud = await shell(['catalog', '--verbose'], fail(error));
    assert.match(loud.err, /\n\s+at /);
  }
});

test('a cancelled verb exits 130', async () => {
  const cancel = new AbortController();
  const { code, err } = await shell(['catalog'], async function* (_args, context) {
    yield { stage: 's', done: 0, total: null, unit: 'files' };
    cancel.abort();
    throwIfCancelled(context.signal);
    throw new Error('not reached');
  }, cancel.signal);
  assert.equal(code, 130);
  assert.match(err, /winnow: cancelled: /);
});

test('--version and --help work anywhere and exit 0', async () => {
  for (const words of [['--version'], ['catalog', '--version']]) assert.match((await shell(words, answer)).out, /^\d+\.\d+\.\d+\n$/);
  for (const words of [['--help'], ['-h'], ['help', 'catalog'], ['catalog', '--help'], ['catalog', 'a', 'b', 'c', '--help']]) {
    const { code, out } = await shell(words, answer);
    assert.equal(code, 0);
    assert.match(out, /usage: winnow/);
    assert.doesNotMatch(out, /progress-file/);
  }
});

test('every verb of the real list says how it is used, and has no flag twice', async () => {
  for (const entry of realVerbs) {
    const verb = await entry.load();
    assert.equal(verb.name, entry.name);
    assert.ok(verb.usage.length > 0 && verb.summary.length > 10);
    const names = verb.flags.map((flag) => flag.name);
    assert.equal(new Set(names).size, names.length, entry.name);
    for (const common of ['json', 'force', 'io', 'threads', 'verbose', 'help', 'version', 'data']) assert.ok(!names.includes(common), `${entry.name} --${common}`);
  }
});

test('a reader that went away is no fault, and the job still counts as done', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'winnow-shell-')), progress = path.join(folder, 'p.jsonl');
  try {
    let err = '';
    const code = await runShell(['catalog', '--progress-file', progress], {
      cwd: folder, environment: {}, signal: new AbortController().signal, verbs: [{ name: 'catalog', load: async () => fake(answer) }], stderr: { write: (text) => { err += text; } },
      stdout: { write: (_text, done) => { setImmediate(done, Object.assign(new Error('write EPIPE'), { code: 'EPIPE' })); } },
    });
    assert.deepEqual([code, err], [0, '']);
    assert.deepEqual(JSON.parse(readFileSync(progress, 'utf8')), { state: 'done', out: null, message: null });
  } finally {
    rmSync(folder, { recursive: true });
  }
});
