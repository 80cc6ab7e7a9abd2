import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GraphBuilder } from '../../../server/core/graph/builder';
import type { GraphSession, GraphTensor } from '../../../server/core/runtime/contract';
import { openGraphSession } from '../../../server/core/runtime/graphSession';

/** total = sum + X^T X, and beside it the number of rows and whether each is above zero on the whole. */
function momentsGraph(): Uint8Array {
  const g = new GraphBuilder('moments');
  const x = g.input('x', 'F32', ['rows', 2]), sum = g.input('sum', 'F32', [2, 2]);
  g.output('total', g.op('Add', [sum, g.op('MatMul', [g.op('Transpose', [x]), x])]), 'F32', [2, 2]);
  g.output('rows', g.op('Shape', [x], { end: { i: 1 } }), 'I64', [1]);
  g.output('above', g.op('Greater', [g.op('ReduceSum', [x, g.ints64([1])], { keepdims: { i: 0 } }), g.float(0)]), 'BOOL', ['rows']);
  g.output('wide', g.cast(x, 'F64'), 'F64', ['rows', 2]);
  return g.finish();
}

const floats = (values: readonly number[], dims: readonly number[]): GraphTensor => ({ type: 'float32', data: Float32Array.from(values), dims });

async function withMoments<T>(use: (session: GraphSession) => Promise<T>): Promise<T> {
  const session = await openGraphSession(momentsGraph(), '/', { provider: 'cpu', threads: 1 });
  try {
    return await use(session);
  } finally {
    await session.close();
  }
}

test('values of every type come back with their shapes, and only those that were asked for', async () => {
  await withMoments(async (session) => {
    const feeds = { x: floats([1, 2, -3, 1], [2, 2]), sum: floats([0, 0, 0, 1], [2, 2]) };
    const all = (await session.run(feeds)).outputs;
    assert.deepEqual(all.total, { type: 'float32', data: Float32Array.of(10, -1, -1, 6), dims: [2, 2] });
    assert.deepEqual(all.rows, { type: 'int64', data: BigInt64Array.of(2n), dims: [1] });
    assert.deepEqual(all.above, { type: 'bool', data: Uint8Array.of(1, 0), dims: [2] });
    assert.deepEqual(all.wide, { type: 'float64', data: Float64Array.of(1, 2, -3, 1), dims: [2, 2] });
    assert.deepEqual(Object.keys((await session.run(feeds, { fetch: ['rows'] })).outputs), ['rows']);
  });
});

test('an output that is kept never crosses, and is fed to the next run under its name', async () => {
  await withMoments(async (session) => {
    const none = floats([0, 0, 0, 0], [2, 2]);
    const first = await session.run({ x: floats([1, 2], [1, 2]), sum: none }, { keep: ['total'], fetch: [] });
    assert.deepEqual(first.outputs, {});
    await session.run({ x: floats([3, 4], [1, 2]), sum: { kept: 'total' } }, { keep: ['total'], fetch: [] });
    const { outputs } = await session.run({ x: floats([5, 6], [1, 2]), sum: { kept: 'total' } }, { keep: ['total'], fetch: ['total', 'rows'] });
    assert.deepEqual(outputs.total.data, Float32Array.of(35, 44, 44, 56));
    assert.deepEqual(outputs.rows.data, BigInt64Array.of(1n));
  });
});

test('an input that nothing was kept for, or of another shape, is runtime-failed with the name', async () => {
  await withMoments(async (session) => {
    await assert.rejects(session.run({ x: floats([1, 2], [1, 2]), sum: { kept: 'total' } }), (error: Error & { code?: string; detail?: string }) => error.code === 'runtime-failed' && error.detail!.includes('total'));
    await assert.rejects(session.run({ x: floats([1, 2, 3], [1, 3]), sum: floats([0, 0, 0, 0], [2, 2]) }), (error: Error & { code?: string; detail?: string }) => error.code === 'runtime-failed' && error.detail!.includes('x'));
  });
});
