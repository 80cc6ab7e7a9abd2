import assert from 'node:assert/strict';
import { appendFileSync, existsSync, mkdtempSync, readFileSync, realpathSync, rmSync, statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import fc from 'fast-check';
import type { ByteSource } from '../../../server/core/bytes/byteSource';
import { isOnLocalFileSystem } from '../../../server/core/bytes/localFileSystem';
import { openMapped } from '../../../server/core/bytes/mappedSource';
import { GRANULARITY, loadMapper, type Mapper } from '../../../server/core/bytes/nativeMap';
import { openSource } from '../../../server/core/bytes/openSource';
import { openPread } from '../../../server/core/bytes/preadSource';
import type { FileStamp } from '../../../server/core/bytes/stamp';
import { CheckpointError, type ErrorCode } from '../../../server/core/errors';

const folder = realpathSync(mkdtempSync(path.join(tmpdir(), 'winnow-bytes-')));
after(() => rmSync(folder, { recursive: true, force: true }));

/** Four windows of 64 KiB and a ragged tail, no two bytes of a window alike by place. */
const content = Uint8Array.from({ length: 4 * GRANULARITY + 1234 }, (_, i) => (i * 31 + (i >> 8) * 7 + (i >> 16)) & 255);
let files = 0;
function fresh(bytes: Uint8Array = content): FileStamp {
  const file = path.join(folder, `f${files++}`);
  writeFileSync(file, bytes);
  const { size, mtimeMs } = statSync(file);
  return { path: file, realPath: file, byteLength: size, mtimeMs };
}

const code = (expected: ErrorCode) => (error: unknown): boolean => error instanceof CheckpointError && error.code === expected;
const { mapper, reason } = loadMapper();
if (!mapper) console.log(`SKIPPED: maps are not tested on this machine, koffi did not load: ${reason}`);

/** Counts what is mapped, so that a test can see that everything is given back. */
function counting(inner: Mapper): Mapper & { mapped: number; longest: number } {
  return {
    mapped: 0,
    longest: 0,
    map(file, from, length) {
      this.mapped++;
      this.longest = Math.max(this.longest, length);
      return inner.map(file, from, length);
    },
    unmap(address, length) {
      this.mapped--;
      inner.unmap(address, length);
    },
    copy: inner.copy.bind(inner),
  };
}
const refusing: Mapper = { map: () => null, unmap: () => assert.fail('nothing was mapped'), copy: () => assert.fail('nothing was mapped') };

const ways: readonly { readonly name: string; readonly open: (stamp: FileStamp) => ByteSource }[] = [
  { name: 'positioned reads', open: openPread },
  { name: 'a map that the system refuses', open: (stamp) => openMapped(stamp, refusing) },
  ...(mapper ? [
    { name: 'a map in one window', open: (stamp: FileStamp) => openMapped(stamp, mapper) },
    { name: 'a map in windows of 64 KiB', open: (stamp: FileStamp) => openMapped(stamp, mapper, GRANULARITY) },
  ] : []),
  { name: 'whatever auto chooses', open: (stamp) => openSource(stamp, 'auto') },
];

for (const { name, open } of ways) {
  describe(name, () => {
    test('gives exactly the bytes of any range, in any order', () => {
      const source = open(fresh());
      const range = fc.tuple(fc.nat(content.length), fc.nat(content.length)).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const);
      fc.assert(fc.property(range, fc.nat(40), ([from, to], slack) => {
        const into = new Uint8Array(to - from + slack).fill(0xee);
        source.read(from, to, into);
        assert.deepEqual(into.subarray(0, to - from), content.subarray(from, to));
        assert.ok(into.subarray(to - from).every((byte) => byte === 0xee), 'nothing behind the range is touched');
      }), { numRuns: 60 });
      source.close();
    });

    test('writes into a view of WebAssembly memory at its offset and nowhere else', () => {
      const memory = new WebAssembly.Memory({ initial: 8, maximum: 8 });
      const all = new Uint8Array(memory.buffer);
      const source = open(fresh());
      source.read(GRANULARITY - 5, GRANULARITY + 300, new Uint8Array(memory.buffer, 4099, 305));
      assert.deepEqual(all.slice(4099, 4099 + 305), content.slice(GRANULARITY - 5, GRANULARITY + 300));
      assert.ok(all.subarray(0, 4099).every((byte) => byte === 0) && all.subarray(4099 + 305).every((byte) => byte === 0));
      source.close();
    });

    test('an empty range reads nothing, at the very end too', () => {
      const source = open(fresh());
      source.read(0, 0, new Uint8Array(0));
      source.read(content.length, content.length, new Uint8Array(0));
      source.close();
      const nothing = open(fresh(new Uint8Array(0)));
      nothing.read(0, 0, new Uint8Array(0));
      nothing.close();
    });

    test('ranges and targets that do not fit are refused before anything is copied', () => {
      const source = open(fresh());
      const detached = new Uint8Array(64);
      structuredClone(detached, { transfer: [detached.buffer] });
      const wrong: readonly [number, number, Uint8Array][] = [
        [-1, 4, new Uint8Array(8)], [4, 3, new Uint8Array(8)], [0, content.length + 1, new Uint8Array(content.length + 1)], [0.5, 4, new Uint8Array(8)],
        [NaN, 4, new Uint8Array(8)], [0, 9, new Uint8Array(8)], [0, 8, detached], [2 ** 53, 2 ** 53 + 2, new Uint8Array(8)],
      ];
      for (const [from, to, into] of wrong) assert.throws(() => source.read(from, to, into), RangeError, `[${from}, ${to})`);
      source.close();
    });

    test('a file that was cut short is noticed before the next window, wherever it is read', () => {
      for (const at of [0, 3 * GRANULARITY]) {
        const stamp = fresh(), source = open(stamp), into = new Uint8Array(1000);
        source.read(at, at + 1000, into);
        truncateSync(stamp.path, 1000);
        assert.throws(() => source.read(at, at + 1000, into), code('file-changed-while-reading'));
        source.close();
      }
    });

    test('a file that grew or was written to is noticed', () => {
      const grown = fresh(), touched = fresh(), into = new Uint8Array(8);
      const first = open(grown), second = open(touched);
      appendFileSync(grown.path, 'x');
      utimesSync(touched.path, 1e9, 1e9);
      assert.throws(() => first.read(0, 8, into), code('file-changed-while-reading'));
      assert.throws(() => second.read(0, 8, into), code('file-changed-while-reading'));
      first.close();
      second.close();
    });

    test('a source of an earlier stamp does not read the file that took its place', () => {
      const stamp = fresh();
      writeFileSync(stamp.path, 'other');
      const source = open(stamp);
      assert.throws(() => source.read(0, 8, new Uint8Array(8)), code('file-changed-while-reading'));
      source.close();
    });

    test('closing twice is safe and reading afterwards throws', () => {
      const source = open(fresh());
      source.read(0, 10, new Uint8Array(10));
      source.close();
      source.close();
      assert.throws(() => source.read(0, 1, new Uint8Array(1)));
    });
  });
}

test('a file that is not there is not-found in every mode', () => {
  const gone = { ...fresh(), path: path.join(folder, 'gone'), realPath: path.join(folder, 'gone') };
  for (const io of ['auto', 'mmap', 'pread'] as const) assert.throws(() => openSource(gone, io), code('not-found'));
});

test('maps are made one at a time, never longer than the window, and all given back', { skip: !mapper }, () => {
  const counted = counting(mapper as Mapper), source = openMapped(fresh(), counted, 2 * GRANULARITY);
  for (const at of [0, 3 * GRANULARITY, GRANULARITY, content.length - 9]) {
    source.read(at, at + 9, new Uint8Array(9));
    assert.equal(counted.mapped, 1);
  }
  source.read(0, content.length, new Uint8Array(content.length));
  assert.equal(counted.mapped, 1);
  assert.ok(counted.longest <= 2 * GRANULARITY);
  source.close();
  assert.equal(counted.mapped, 0);
});

test('the system itself knows of no map after close', { skip: !mapper || !existsSync('/proc/self/maps') }, () => {
  const stamp = fresh(), source = openMapped(stamp, mapper as Mapper);
  source.read(0, 10, new Uint8Array(10));
  assert.ok(readFileSync('/proc/self/maps', 'utf8').includes(stamp.path));
  source.close();
  assert.ok(!readFileSync('/proc/self/maps', 'utf8').includes(stamp.path));
});

test('a file system that is no disk of this machine is not mapped by auto', { skip: process.platform !== 'linux' }, () => {
  assert.equal(isOnLocalFileSystem('/proc/self/status'), false);
  assert.equal(isOnLocalFileSystem(path.join(folder, 'not there')), false);
});
