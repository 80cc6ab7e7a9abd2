import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { readWhole, readWholeText } from '../../../server/core/bytes/readWhole';
import { makeFolder } from '../../../server/core/bytes/makeFolder';
import type { CheckpointError } from '../../../server/core/errors';

const root = path.resolve(__dirname, '../../..');
const folder = mkdtempSync(path.join(tmpdir(), 'winnow-whole-'));
after(() => rmSync(folder, { recursive: true }));

test('a regular file is read whole, through links too', () => {
  const file = path.join(folder, 'a'), link = path.join(folder, 'link');
  writeFileSync(file, 'a\u{1f600}\0');
  symlinkSync(file, link);
  assert.equal(readWholeText(link, 100), 'a\u{1f600}\0');
  writeFileSync(file, '');
  assert.equal(readWhole(file, 0).length, 0);
});

test('what is no regular file, or too long, or not there, is refused at once', { skip: process.platform === 'win32' && 'devices and pipes of Unix' }, () => {
  const at = (name: string): string => path.join(folder, name);
  mkdirSync(at('dir'));
  execFileSync('mkfifo', [at('fifo')]);
  symlinkSync('/dev/zero', at('zero'));
  symlinkSync(at('loop'), at('loop'));
  writeFileSync(at('long'), 'x'.repeat(11));
  for (const [file, code] of [
    [at('dir'), 'not-readable'], [at('fifo'), 'not-readable'], [at('zero'), 'not-readable'], [at('loop'), 'not-readable'], [at('long'), 'not-readable'], ['/dev/null', 'not-readable'],
    [at('n'.repeat(300)), 'not-readable'], [at('gone'), 'not-found'], [path.join(at('long'), 'below'), 'not-found'],
  ] as const) assert.throws(() => readWhole(file, 10), (error: CheckpointError) => error.code === code && error.where.file === file, file);
});

test('nothing else of the core and the verbs reads a whole file by its name', () => {
  // What the system or our own build provides: /proc, a package.json, the kernels.
  const own = new Set(['core/runtime/memory.ts', 'core/runtime/version.ts', 'core/kernels/kernels.ts']);
  const files = ['core', 'rpc/verbs'].flatMap((room) => readdirSync(path.join(root, 'server', room), { recursive: true, encoding: 'utf8' }).map((file) => `${room}/${file.split(path.sep).join('/')}`));
  assert.ok(files.length > 100);
  assert.deepEqual(files.filter((file) => file.endsWith('.ts') && !own.has(file) && /\breadFile(Sync)?\b/.test(readFileSync(path.join(root, 'server', file), 'utf8'))), []);
});

test('a folder is made with its parents, and a system that refuses is an error and not an endless loop', () => {
  const outer = path.join(folder, 'p');
  assert.equal(makeFolder(path.join(outer, 'q', 'r')), outer);
  assert.equal(makeFolder(path.join(outer, 'q', 'r')), undefined);
  writeFileSync(path.join(outer, 'file'), '');
  assert.throws(() => makeFolder(path.join(outer, 'file')), { code: 'EEXIST' });
  assert.throws(() => makeFolder(path.join(outer, 'file', 'below')));
  if (process.platform === 'linux') assert.throws(() => makeFolder('/proc/winnow/below'), { code: 'ENOENT' });
});

test('no other code makes folders with their parents', () => {
  const found = readdirSync(path.join(root, 'server'), { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts') && /mkdir(Sync)?\(.*recursive/.test(readFileSync(path.join(root, 'server', file), 'utf8').replace(/^ \*.*$/gm, '')));
  assert.deepEqual(found, []);
});
