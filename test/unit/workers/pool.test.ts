import assert from 'node:assert/strict';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { CheckpointError, isCancelled } from '../../../server/core/errors';
import type { SliceSource } from '../../../server/core/workers/contract';
import { makePool } from '../../../server/core/workers/pool';
import { scanTensor } from '../../../server/core/workers/tensorTasks';
import { scratchFolder, sourceOf } from './support';

const folder = scratchFolder();
const pool = makePool({ threads: 2 });
after(() => pool.close());

test('a scan answers with moments, histogram and the exact count above the threshold', async () => {
  const values = Float32Array.of(0, -0, 1, -2, NaN, Infinity, 0.2);
  const { moments, above } = await scanTensor(pool, sourceOf(folder, 'a', new Uint8Array(values.buffer), 'F32', [7]), { threshold: 0.2 });
  assert.deepEqual([moments.elements, moments.zeros, moments.nan, moments.inf, moments.min, moments.max], [7, 2, 1, 1, -2, 1]);
  // 0.2 as F32 is a little more than 0.2 as a double, so it counts as above: with 1, -2 and infinity that makes four.
  assert.equal(above, 4);
});

test('a task that fails rejects alone and the worker goes on', async () => {
  const gone = sourceOf(folder, 'b', new Uint8Array(8), 'F32', [2]);
  const missing: SliceSource = { ...gone, file: { ...gone.file, path: path.join(folder, 'none'), realPath: path.join(folder, 'none') } };
  const results = await Promise.allSettled([
    pool.run({ kind: 'scan', source: missing, threshold: null }),
    pool.run({ kind: 'scan', source: gone, threshold: null }),
  ]);
  assert.equal(results[0].status, 'rejected');
  assert.ok(results[0].status === 'rejected' && results[0].reason instanceof CheckpointError && results[0].reason.code === 'not-found');
  assert.ok(results[1].status === 'fulfilled');
});

test('copy moves bytes unchanged to the place asked for', async () => {
  const bytes = Uint8Array.from({ length: 1000 }, (_, i) => i * 7);
  const source = sourceOf(folder, 'c', bytes, 'U8', [1000], 3, 997);
  const target = path.join(folder, 'c.out');
  writeFileSync(target, new Uint8Array(1010));
  assert.deepEqual(await pool.run({ kind: 'copy', source, target: { path: target, at: 11 } }), { bytes: 994 });
  assert.deepEqual(new Uint8Array(readFileSync(target)).subarray(11, 1005), bytes.subarray(3, 997));
});

test('a cancelled task ends soon, its bytes are fewer than the file, and the pool still works', async () => {
  const large = path.join(folder, 'large');
  const bytes = new Uint8Array(256 * 2 ** 20);
  writeFileSync(large, bytes);
  const source: SliceSource = { ...sourceOf(folder, 'd', new Uint8Array(4), 'F32', [1]), shape: [bytes.length / 4], to: bytes.length };
  const { mtimeMs } = statSync(large);
  const whole = { ...source, file: { path: large, realPath: large, byteLength: bytes.length, mtimeMs } };
  const controller = new AbortController();
  let seen = 0, abortedAt = 0;
  const scan = pool.run({ kind: 'scan', source: whole, threshold: null }, controller.signal, (n) => {
    seen += n;
    if (abortedAt === 0) { abortedAt = performance.now(); controller.abort(); }
  });
  await assert.rejects(scan, isCancelled);
  const latency = performance.now() - abortedAt;
  assert.ok(latency < 1000, `cancel took ${latency} ms`);
  assert.ok(seen < bytes.length, 'the whole file was read');
  assert.equal((await scanTensor(pool, sourceOf(folder, 'e', new Uint8Array(4), 'F32', [1]), { threshold: null })).moments.zeros, 1);
});

test('a waiting task can be cancelled before it starts, and a closed pool refuses work', async () => {
  const one = makePool({ threads: 1 });
  const source = sourceOf(folder, 'f', new Uint8Array(8), 'F32', [2]);
  const controller = new AbortController();
  const first = one.run({ kind: 'scan', source, threshold: null });
  const second = one.run({ kind: 'scan', source, threshold: null }, controller.signal);
  controller.abort();
  await assert.rejects(second, isCancelled);
  await first;
  await one.close();
  await assert.rejects(one.run({ kind: 'scan', source, threshold: null }), isCancelled);
});
