import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { deflateSync } from 'node:zlib';
import { runJob } from '../../../server/core/job';
import { bitmaskBytes, csrBytes, deflatedBytes, measureSizes } from '../../../server/core/sweep/sizes';

const folder = mkdtempSync(path.join(tmpdir(), 'winnow-sizes-'));
after(() => rmSync(folder, { recursive: true }));

/** Really builds the compressed form and counts its bytes. */
function csrByHand(rows: number[][], item: number, pointer: number): number {
  const values = rows.flat().filter((v) => v !== 0);
  return values.length * item + values.length * 4 + (rows.length + 1) * pointer;
}

test('bitmask and CSR sizes are those of the real thing', () => {
  const rows = [[0, 1, 0, 2], [0, 0, 0, 0], [3, 4, 5, 6]];
  for (const item of [2, 4]) {
    assert.equal(csrBytes([3, 4], 12, 6, item), csrByHand(rows, item, 4));
    assert.equal(csrBytes([1, 3, 4], 12, 6, item), csrByHand(rows, item, 4));
    assert.equal(bitmaskBytes(12, 6, item), 2 + 6 * item);
  }
  assert.equal(csrBytes([10], 10, 1, 4), 1 * 8 + 2 * 4, 'a vector is one row');
  assert.equal(csrBytes([], 1, 1, 4), 8 + 8, 'a scalar is one row of one');
  assert.equal(csrBytes([0, 4], 0, 0, 4), 4);
  assert.equal(csrBytes([1 << 16, 1 << 16], 2 ** 32, 2 ** 31, 2), 2 ** 31 * 6 + ((1 << 16) + 1) * 8, 'int64 pointers where int32 would overflow');
});

test('deflate really runs over exactly the bytes of the tensor', async () => {
  const bytes = Buffer.from(Array.from({ length: 3_000_000 }, (_, i) => (i * i) >> 7));
  const file = path.join(folder, 'a.bin');
  writeFileSync(file, bytes);
  for (const [from, byteLength] of [[0, bytes.length], [1, 100], [2_000_001, 999_999], [5, 0]] as const) {
    const expected = byteLength === 0 ? 0 : deflateSync(bytes.subarray(from, from + byteLength), { level: 6 }).length;
    const measured = await deflatedBytes({ realPath: file, from, byteLength });
    // The stream may flush at other places than the one-shot call: a few bytes, never more.
    assert.ok(Math.abs(measured - expected) <= 64, `${measured} against ${expected}`);
  }
  await assert.rejects(deflatedBytes({ realPath: file, from: bytes.length - 10, byteLength: 20 }), { code: 'short-read' });
  const cancel = new AbortController();
  const stopped = deflatedBytes({ realPath: file, from: 0, byteLength: bytes.length }, cancel.signal, () => cancel.abort());
  await assert.rejects(stopped, { code: 'cancelled' });
});

test('tensors out of scope stay dense in every form', async () => {
  const file = path.join(folder, 'b.bin');
  writeFileSync(file, Buffer.alloc(4000));
  const reference = { realPath: file, from: 0, byteLength: 4000 };
  const sizes = await runJob(measureSizes([
    { dtype: 'F32', shape: [10, 100], elements: 1000, byteLength: 4000, nonzeros: 0, bytes: reference },
    { dtype: 'BF16', shape: [50], elements: 50, byteLength: 100, nonzeros: null, bytes: null },
  ], { threads: 2 }));
  assert.equal(sizes.dense, 4100);
  assert.equal(sizes.bitmask, 125 + 100);
  assert.equal(sizes.csr, 11 * 4 + 100);
  assert.ok(sizes.deflate > 100 && sizes.deflate < 150);
});
