import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { ProgressBar, describeProgress, formatBytes, formatSeconds, printable } from '../../../server/rpc/progressBar';
import type { JobProgressJson } from '../../../server/protocol/verbs';
import { ProgressFile, isJobEnd } from '../../../server/rpc/progressFile';
import type { JobEndJson } from '../../../server/rpc/progressFile';

test('bytes are short, decimal and carry their unit', () => {
  for (const [bytes, text] of [[0, '0 B'], [999, '999 B'], [1000, '1 kB'], [999_499, '999 kB'], [999_500, '1 MB'], [6_430_000_000, '6.43 GB'], [1.5e15, '1500 TB']] as const)
    assert.equal(formatBytes(bytes), text);
  for (const [seconds, text] of [[0, '0:00'], [42, '0:42'], [61, '1:01'], [3723, '1:02:03']] as const) assert.equal(formatSeconds(seconds), text);
});

test('piped progress is plain lines, at most one a second, however often it is reported', () => {
  let now = 0, out = '';
  const bar = new ProgressBar({ write: (text) => { out += text; } }, () => now);
  for (let i = 0; i <= 3000; i++) {
    now = i;
    bar.report({ stage: `stage ${i % 7}`, done: i, total: 3000, unit: 'bytes' });
  }
  bar.end();
  assert.equal(out.split('\n').length - 1, 4);
  assert.doesNotMatch(out, /[\r\u001b]/);
});

test('on a terminal the line is redrawn in place, fits, and is taken away at the end', () => {
  let now = 0, out = '';
  const bar = new ProgressBar({ isTTY: true, columns: 60, write: (text) => { out += text; } }, () => now);
  for (let i = 1; i <= 10; i++) {
    now += 100;
    bar.report({ stage: 'scanning a checkpoint with a long name', done: i, total: 10, unit: 'tensors', note: 'x'.repeat(100) });
  }
  bar.end();
  assert.doesNotMatch(out, /\n/);
  const lines = out.split('\r\u001b[2K');
  assert.equal(lines.at(-1), '');
  assert.equal(lines.length, 12);
  for (const line of lines) assert.ok(line.length < 60, line);
});

test('a name out of a file cannot steer the terminal', () => {
  assert.equal(printable('a\u001b[2Jb\nc\u202ed'), 'a\\u001b[2Jb\\u000ac\\u202ed');
  assert.match(describeProgress({ stage: 's', done: 1, total: null, unit: 'windows', note: 'n' }, 0), /^s 1 window · n$/);
});

test('the progress file holds one JSON document a line and ends with exactly one end line', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'winnow-progress-'));
  try {
    const target = path.join(folder, 'p.jsonl');
    const file = new ProgressFile(target);
    file.report({ stage: 'a', done: 1, total: 9, unit: 'bytes' });
    file.report({ stage: 'a', done: 2, total: 9, unit: 'bytes' }); // too soon: dropped
    file.report({ stage: 'b', done: 9, total: 9, unit: 'cells', note: 'n' });
    file.end({ state: 'done', out: '/x', message: null });
    file.end({ state: 'failed', out: null, message: 'never' });
    const lines = readFileSync(target, 'utf8').trimEnd().split('\n').map((line) => JSON.parse(line) as JobProgressJson | JobEndJson);
    assert.deepEqual(lines, [
      { stage: 'a', done: 1, total: 9, unit: 'bytes' }, { stage: 'b', done: 9, total: 9, unit: 'cells', note: 'n' }, { state: 'done', out: '/x', message: null },
    ]);
    assert.deepEqual(lines.map((line) => isJobEnd(line)), [false, false, true]);
    assert.throws(() => new ProgressFile(path.join(folder, 'none', 'p')), { code: 'target-not-writable' });
    new ProgressFile(null).report({ stage: 'a', done: 1, total: 9, unit: 'bytes' });
  } finally {
    rmSync(folder, { recursive: true });
  }
});
