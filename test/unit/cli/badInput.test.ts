import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { errorCodes } from '../../../server/core/errors';
import { runShell } from '../../../server/rpc/shell';
import { asCheckpointError } from '../../../server/rpc/failure';
import { sentenceOf } from '../../../server/rpc/sentences';

const root = path.resolve(__dirname, '../../..');
const model = path.join(root, 'media/tiny-gpt2');
const folder = mkdtempSync(path.join(tmpdir(), 'winnow-bad-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string): string => path.join(folder, name);

/** One command line with --json in this process; asserts that a failure is one line with a code, and nothing on stdout. */
async function fails(words: readonly string[], status: 1 | 2, code: string | RegExp): Promise<string> {
  let out = '', err = '';
  const exit = await runShell([...words, '--json'], {
    cwd: folder, environment: {}, signal: new AbortController().signal,
    stdout: { write: (text, done) => { out += text; setImmediate(done, null); } }, stderr: { write: (text) => { err += text; } },
  });
  const shown = `${words.join(' ').slice(0, 200)}\n${err.slice(0, 500)}`;
  assert.deepEqual([exit, out], [status, ''], shown);
  const last = err.trimEnd().split('\n').at(-1)!;
  const match = /^winnow: ([a-z0-9-]+): \S/.exec(last);
  assert.ok(match && (errorCodes as readonly string[]).includes(match[1]) && match[1] !== 'internal', shown);
  assert.match(match[1], new RegExp(typeof code === 'string' ? `^${code}$` : code), shown);
  assert.ok(last.length < 1500, shown);
  return last;
}

test('an empty word is wrong usage, not the folder one happens to be in', async () => {
  for (const words of [['inspect', ''], ['prune', '', '--sparsity', '0.5'], ['prune', model, '--sparsity', '0.5', '--out', ''], ['compare', model, ''], ['inspect', '--', ''], ['eval', model, '--text='], ['prune', model, '--sparsity', ''], ['prune', model, '--sparsity', '0.5', '--include', 'a', '']]) {
    assert.match(await fails(words, 2, 'usage'), /empty/);
  }
});

test('devices, pipes, loops, folders and impossible names are refused by every verb that reads', { skip: process.platform === 'win32' && 'needs Unix' }, async () => {
  execFileSync('mkfifo', [at('fifo'), at('fifo.safetensors'), at('fifo.yaml')]);
  mkdirSync(at('dir'));
  for (const [name, to] of [['loop', 'loop'], ['zero', '/dev/zero'], ['zero.safetensors', '/dev/zero'], ['zero.yaml', '/dev/zero']]) symlinkSync(to, at(name));
  for (const file of ['fifo', 'fifo.safetensors', 'fifo.yaml', 'dir', 'loop', 'zero', 'zero.safetensors', 'zero.yaml', 'n'.repeat(300), 'd/'.repeat(3000), '/dev/null', '/proc/self/mem']) {
    for (const words of [
      ['inspect', file], ['stats', file], ['prune', file, '--sparsity', '0.5'], ['convert', file, '--to', 'safetensors', '--out', at('c')], ['compare', model, file],
      ['cell', file, '--out', at('cell.json')], ['report', file], ['sweep', file, '--out', at('sweep')], ['eval', model, '--text', file],
    ]) await fails(words, 1, /./);
  }
  assert.deepEqual(readdirSync(folder).filter((name) => ['c', 'cell.json', 'sweep'].includes(name)), []);
});

test('a refusal of the system is a code by what was asked of it, and never internal', () => {
  for (const [code, syscall, wanted] of [
    ['ELOOP', 'stat', 'not-readable'], ['ENAMETOOLONG', 'open', 'not-readable'], ['EACCES', 'scandir', 'not-readable'], ['ENOENT', 'open', 'not-found'], ['EACCES', 'mkdir', 'target-not-writable'],
    ['ENOENT', 'rename', 'target-not-writable'], ['ENOSPC', 'write', 'disk-full'], ['EIO', 'fsync', 'target-not-writable'], ['EFBIG', 'write', 'disk-full'], ['EROFS', 'open', 'target-not-writable'],
  ]) {
    const error = asCheckpointError(Object.assign(new Error('made up'), { code, syscall, path: '/x' }));
    assert.deepEqual([error.code, error.where.file], [wanted, '/x'], `${code} ${syscall}`);
  }
  assert.equal(asCheckpointError(Object.assign(new Error('no call of the system'), { code: 'ERR_INVALID_ARG_TYPE' })).code, 'internal');
});

test('a path of thousands of characters is told with its middle left out', () => {
  const sentence = sentenceOf({ code: 'not-found', where: { file: `/${'d/'.repeat(4000)}model.safetensors` }, detail: '' });
  assert.ok(sentence.length < 700);
  assert.match(sentence, /^\/d\/.*\[\.\.\.\].*model\.safetensors does not exist/);
});

test('a report elsewhere replaces no file that it does not know', async () => {
  const sweep = at('small-sweep');
  const made = spawnSync(process.execPath, ['--import', 'tsx', path.join(root, 'server/cli.ts'), 'sweep', model, '--benchmarks', 'sample', '--levels', '0.5', '--limit', '2', '--no-runtime', '--out', sweep], { cwd: root });
  assert.equal(made.status, 0, made.stderr.toString());
  assert.doesNotMatch(made.stderr.toString(), /Warning/);
  writeFileSync(at('config.json'), 'mine');
  await fails(['report', sweep, '--out', at('config.md')], 1, 'target-exists');
  assert.equal(readFileSync(at('config.json'), 'utf8'), 'mine');
  assert.deepEqual(readdirSync(folder).filter((name) => /^config(?!\.json$)/.test(name)), []);
});

test('a target that the system will not have is one sentence, at once', { skip: process.platform !== 'linux' && 'needs /proc' }, async () => {
  for (const out of ['/proc/winnow/x', '/proc/winnow', '/sys/winnow/x']) {
    await fails(['prune', model, '--sparsity', '0.5', '--out', out, '--threads', '1'], 1, /target-not-writable|disk-full|not-found/);
    await fails(['sweep', model, '--benchmarks', 'sample', '--levels', '0.5', '--limit', '1', '--no-runtime', '--out', out], 1, /target-not-writable|disk-full|not-found/);
  }
});

test('a list of nothing but commas is wrong usage', async () => {
  for (const flag of ['--levels', '--methods', '--benchmarks']) assert.match(await fails(['sweep', model, flag, ',', '--out', at('s')], 2, 'usage'), /names nothing/);
});

test('a full disk under the output is one sentence', { skip: process.platform !== 'linux' && 'needs /dev/full' }, () => {
  const full = openSync('/dev/full', 'w');
  try {
    for (const words of [['inspect', model, '--json'], ['--help'], ['--version']]) {
      const { status, stderr } = spawnSync(process.execPath, ['--import', 'tsx', path.join(root, 'server/cli.ts'), ...words], { cwd: root, stdio: ['ignore', full, 'pipe'], encoding: 'utf8' });
      assert.equal(status, 1, stderr);
      assert.match(stderr, /^winnow: disk-full: [^\n]*\n$/);
    }
  } finally {
    closeSync(full);
  }
});
