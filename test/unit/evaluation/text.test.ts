import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { benchmarks, filesOfSplit, findBenchmark, locateBenchmark, readBenchmark } from '../../../server/core/evaluation/benchmarks';
import { joinRows, readTextFile } from '../../../server/core/evaluation/text';
import { saying, shared, sharedIsThere, skipWithout } from './material';

let folder = '';
before(() => { folder = mkdtempSync(path.join(tmpdir(), 'winnow-text-')); });
after(() => rmSync(folder, { recursive: true }));
function written(bytes: Uint8Array | string): string {
  const file = path.join(folder, 'text.txt');
  writeFileSync(file, bytes);
  return file;
}

test('UTF-8 is read as it is, NUL and all', () => {
  for (const text of ['', 'a', 'The\0cat', 'naïve 你好 \u{1f40b}\r\n', ' \n\t']) assert.deepEqual([readTextFile(written(text)).text, readTextFile(written(text)).problems], [text, []]);
});

test('a byte order mark is left out and said', () => {
  const read = readTextFile(written('\ufeffThe cat'));
  assert.equal(read.text, 'The cat');
  assert.deepEqual(read.problems.map((problem) => problem.code), ['byte-order-mark']);
});

test('other encodings are refused by name', () => {
  const utf16 = (text: string) => Buffer.from(text, 'utf16le');
  const cases: [string, Uint8Array, string[]][] = [
    ['Latin-1', Buffer.from('caf\xe9 na\xefve\n', 'latin1'), ['0xE9', 'at 3', 'Latin-1']],
    ['Latin-1 far in', Buffer.concat([Buffer.from('ü'.repeat(5000)), Buffer.from([0xfc, 0x20])]), ['0xFC', 'at 10000']],
    ['UTF-8 cut inside a character', Buffer.from('ab你').subarray(0, 4), ['at 2']],
    ['UTF-16 with a mark', Buffer.concat([Buffer.from([0xff, 0xfe]), utf16('The cat')]), ['UTF-16', 'little endian']],
    ['UTF-16 big endian with a mark', Buffer.concat([Buffer.from([0xfe, 0xff]), utf16('The cat').swap16()]), ['UTF-16', 'big endian']],
    ['UTF-16 without a mark', utf16('The cat sat on the mat'), ['UTF-16', 'NUL']],
    ['UTF-16 big endian without a mark', utf16('The cat sat on the mat').swap16(), ['UTF-16', 'big endian']],
  ];
  for (const [title, bytes, words] of cases) assert.throws(() => readTextFile(written(bytes)), saying('text-not-utf8', ...words), title);
});

test('a text that is not there, or a folder, is said so', () => {
  assert.throws(() => readTextFile(path.join(folder, 'nothing.txt')), saying('not-found', 'nothing.txt'));
  assert.throws(() => readTextFile(folder), saying('not-readable', 'folder'));
});

test('rows are joined as the data set loader gives them', () => {
  const cases: [string, string][] = [
    ['', ''],
    [' \n = Title = \n \n Text . \n', '\n\n = Title = \n\n\n\n\n Text . \n'],
    ['a\nb', 'a\n\n\nb'],
  ];
  for (const [text, joined] of cases) assert.equal(joinRows(text), joined, JSON.stringify(text));
});

test('the raw WikiText test split joined is 1,296,370 bytes', { skip: skipWithout(sharedIsThere, '../shared') }, () => {
  const read = readBenchmark('wikitext-2-raw', path.join(shared, 'data'));
  assert.equal(Buffer.byteLength(read.text), 1_290_590);
  assert.equal(Buffer.byteLength(joinRows(read.text)), 1_296_370);
});

test('every WikiText of ../shared/data is found, with its published checksum', { skip: skipWithout(sharedIsThere, '../shared') }, () => {
  const there = benchmarks.filter(({ rows, id }) => rows || id === 'sample');
  assert.equal(there.length, 5);
  for (const benchmark of there) assert.deepEqual(readBenchmark(benchmark.id, path.join(shared, 'data')).problems, [], benchmark.id);
});

test('WikiText-2 and -103 share their raw text, and both say so', () => {
  const [two, hundred] = [findBenchmark('wikitext-2-raw'), findBenchmark('wikitext-103-raw')];
  assert.equal(two.sha256, hundred.sha256);
  for (const benchmark of [two, hundred]) assert.match(benchmark.note ?? '', /same raw test text/);
});

test('the two tokenised texts are told apart where they lie flat under one name', { skip: skipWithout(sharedIsThere, '../shared') }, () => {
  const data = path.join(folder, 'flat');
  mkdirSync(data);
  copyFileSync(path.join(shared, 'data/wikitext-103/wiki.test.tokens'), path.join(data, 'wiki.test.tokens'));
  assert.equal(locateBenchmark(findBenchmark('wikitext-2'), data), null);
  assert.equal(locateBenchmark(findBenchmark('wikitext-103'), data), path.join(data, 'wiki.test.tokens'));
});

test('a text with another checksum is used, with a remark', () => {
  const data = path.join(folder, 'other');
  mkdirSync(path.join(data, 'wikitext-2'), { recursive: true });
  writeFileSync(path.join(data, 'wikitext-2/wiki.test.raw'), 'not the published text');
  assert.deepEqual(readBenchmark('wikitext-2-raw', data).problems.map((problem) => problem.code), ['benchmark-text-differs']);
});

test('the sample text is in the build and is the one whose perplexity is known', () => {
  const read = readBenchmark('sample', null);
  assert.deepEqual(read.problems, []);
  assert.match(read.text, /^CHAPTER 116\./);
});

test('what is not there says where it was looked for', () => {
  assert.throws(() => readBenchmark('wikitext-2-raw', null), saying('benchmark-not-found', '--data', 'WINNOW_DATA'));
  assert.throws(() => readBenchmark('wikitext-2-raw', folder), saying('benchmark-not-found', 'wikitext-2/wiki.test.raw', folder));
  assert.throws(() => readBenchmark('wikitext2', folder), saying('unknown-benchmark', 'wikitext-2-raw', 'sample'));
});

test('other splits lie beside the one that is evaluated', () => {
  assert.equal(filesOfSplit(findBenchmark('wikitext-2-raw'), 'train')[0], 'wikitext-2/wiki.train.raw');
});
