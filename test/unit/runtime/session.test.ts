import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { CheckpointError } from '../../../server/core/errors';
import { GraphBuilder } from '../../../server/core/graph/builder';
import type { ModelGraph } from '../../../server/core/graph/contract';
import { openSession } from '../../../server/core/runtime/session';
import { wholeWindow } from '../graph/smallCheckpoint';
import { childPid, someIds, tinyGpt2Graph, withSession } from './fixture';

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

/** A graph whose window takes minutes: one multiplication of 3,000 x 3,000 after the other, `length` times. */
function slowGraph(): ModelGraph {
  const g = new GraphBuilder('slow');
  const ids = g.input('input_ids', 'I64', ['batch', 'length']);
  const positions = g.input('positions', 'I64', ['batch', 'scored']);
  g.input('targets', 'I64', ['batch', 'scored']);
  const seed = g.op('Squeeze', [g.op('Slice', [g.reshape(ids, [-1]), g.ints64([0]), g.ints64([1])])]);
  // The length of the window decides the work: a product of (3000 n, 3000) with itself in slices.
  const side = g.op('Expand', [g.cast(seed, 'F32'), g.ints64([3000, 3000])]);
  let product = side;
  for (let i = 0; i < 60; i++) product = g.op('Softmax', [g.op('MatMul', [product, side])]);
  const sum = g.op('ReduceSum', [product, g.ints64([0, 1])], { keepdims: { i: 0 } });
  g.output('losses', g.op('Add', [g.op('Mul', [g.cast(positions, 'F32'), g.float(0)]), sum]), 'F32', ['batch', 'scored']);
  return { bytes: g.finish(), root: '/', thresholdInputs: [], weightBytes: 0, foldedBytes: 0, activationBytesPerToken: 0, vocabSize: 1 };
}

test('a graph that ONNX Runtime refuses is runtime-failed, and its child is gone', async () => {
  const graph = { ...tinyGpt2Graph(), bytes: Uint8Array.of(1, 2, 3) };
  await assert.rejects(openSession(graph, { provider: 'cpu', threads: 1, prepacking: false }), (error: unknown) => error instanceof CheckpointError && error.code === 'runtime-failed');
});

test('requests are answered in order, and the same window has the same bits again', async () => {
  await withSession(tinyGpt2Graph(), async (session) => {
    const windows = [10, 40, 3, 48].map((length) => wholeWindow(someIds(length)));
    const answers = await Promise.all(windows.map((window) => session.run(window, null)));
    assert.deepEqual(answers.map(({ losses }) => losses.length), [9, 39, 2, 47]);
    assert.ok(answers.every(({ ms }) => ms > 0));
    assert.deepEqual((await session.run(windows[1], null)).losses, answers[1].losses);
  });
});

test('a batch of windows has the losses of its windows, wherever they are scored', async () => {
  await withSession(tinyGpt2Graph(), async (session) => {
    const [a, b] = [someIds(30), someIds(60).slice(30)];
    const single = await Promise.all([a, b].map((ids) => session.run(wholeWindow(ids), null)));
    const scoredFrom = 12; // both windows: targets 13..29, and the second one's last target twice in place of the first
    const positions = [a, b].flatMap(() => Array.from({ length: 17 }, (_, i) => scoredFrom + i));
    const targets = [a, b].flatMap((ids) => Array.from({ length: 17 }, (_, i) => ids[scoredFrom + i + 1]));
    const both = await session.run({ inputIds: BigInt64Array.from([...a, ...b], BigInt), batch: 2, length: 30, positions: BigInt64Array.from(positions, BigInt), targets: BigInt64Array.from(targets, BigInt) }, null);
    const want = single.flatMap(({ losses }) => Array.from(losses.subarray(scoredFrom)));
    for (const [i, loss] of both.losses.entries()) assert.ok(Math.abs(loss - want[i]) < 2e-6 * Math.max(1, want[i]), `${i}: ${loss} is not ${want[i]}`);
  });
});

test('a child that is killed between windows is made again and computes the same', async () => {
  await withSession(tinyGpt2Graph(), async (session) => {
    const before = await session.run(wholeWindow(someIds(20)), null);
    const pid = childPid(session)!;
    process.kill(pid, 'SIGKILL');
    while (childPid(session) === pid) await new Promise((resolve) => { setImmediate(resolve); });
    const after = await session.run(wholeWindow(someIds(20)), null);
    assert.notEqual(childPid(session), pid);
    assert.deepEqual(after.losses, before.losses);
  });
});

test('a child that dies inside a window is child-died with its signal, and the next call has a new one', async () => {
  await withSession(slowGraph(), async (session) => {
    const window = wholeWindow([0, 0]);
    const pid = childPid(session)!;
    const running = session.run(window, null);
    setTimeout(() => process.kill(pid, 'SIGBUS'), 150);
    await assert.rejects(running, (error: unknown) => error instanceof CheckpointError && error.code === 'child-died' && error.detail.includes('SIGBUS'));
    const controller = new AbortController();
    const again = session.run(window, null, controller.signal);
    setTimeout(() => controller.abort(), 300);
    await assert.rejects(again, { code: 'cancelled' });
  });
});

test('a cancel is heard at once; a child still inside its window is killed, and the next window runs in a new one', { timeout: 60_000 }, async () => {
  await withSession(slowGraph(), async (session) => {
    const pid = childPid(session)!;
    const controller = new AbortController();
    const running = session.run(wholeWindow([0, 0]), null, controller.signal);
    await new Promise((resolve) => { setTimeout(resolve, 200); });
    const from = performance.now();
    controller.abort();
    await assert.rejects(running, { code: 'cancelled' });
    assert.ok(performance.now() - from < 1000, 'the cancel waited for the window');
    while (isAlive(pid) && performance.now() - from < 20_000) await new Promise((resolve) => { setTimeout(resolve, 20); });
    assert.ok(!isAlive(pid), 'the child is still inside its window');
  });
  await withSession(tinyGpt2Graph(), async (session) => {
    const controller = new AbortController();
    controller.abort();
    await assert.rejects(session.run(wholeWindow(someIds(4)), null, controller.signal), { code: 'cancelled' });
    assert.equal((await session.run(wholeWindow(someIds(4)), null)).losses.length, 3);
  });
});

test('a session that is closed says so and leaves no child', async () => {
  const session = await openSession(tinyGpt2Graph(), { provider: 'cpu', threads: 1, prepacking: false });
  const pid = childPid(session)!;
  await session.close();
  assert.ok(!isAlive(pid));
  await assert.rejects(session.run(wholeWindow(someIds(4)), null), { code: 'runtime-failed' });
  await session.close();
});

test('the child leaves when its parent is killed', { timeout: 60_000 }, async () => {
  const script = path.join(import.meta.dirname, 'orphan.ts');
  const parent = spawn(process.execPath, ['--import', 'tsx', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const pid = await new Promise<number>((resolve) => { parent.stdout.setEncoding('utf8').once('data', (text: string) => resolve(Number(text))); });
  assert.ok(isAlive(pid));
  parent.kill('SIGKILL');
  const from = performance.now();
  const isGone = (): boolean => !isAlive(pid) || (process.platform === 'linux' && !existsSync(`/proc/${pid}/exe`));
  while (!isGone() && performance.now() - from < 30_000) await new Promise((resolve) => { setTimeout(resolve, 20); });
  assert.ok(isGone(), 'the child outlived its parent');
});

test('prepacked weights give the same losses to 2e-6', async () => {
  const window = wholeWindow(someIds(48));
  const [plain, packed] = [await withSession(tinyGpt2Graph(), (s) => s.run(window, null)), await withSession(tinyGpt2Graph(), (s) => s.run(window, null), { prepacking: true })];
  for (const [i, loss] of packed.losses.entries()) assert.ok(Math.abs(loss - plain.losses[i]) < 2e-6 * Math.max(1, loss));
});
