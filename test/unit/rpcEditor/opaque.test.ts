// What the inspector is told of quantised types and of entries that are no plain weights.
import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { shownDtype } from '../../../server/core/tensor/tensorInfo';
import type { Facts, Row } from '../../../server/protocol/editor';
import type { WorkerPool } from '../../../server/core/workers/contract';
import { makeHandlers } from '../../../server/rpc/editor/handlers';
import { HistogramBudget } from '../../../server/core/stats/histogramBudget';
import { scratch } from '../formats/build';
import { onnxFile } from '../formats/protobufBuild';

test('a packed type is shown with its bits a weight, a plain one by itself', () => {
  assert.equal(shownDtype({ dtype: 'F32' }), 'F32');
  assert.equal(shownDtype({ dtype: 'F32', storedDtype: 'Q4_K', storedBits: 4.5 }), 'Q4_K (4.5 bits)');
  assert.equal(shownDtype({ dtype: 'F32', storedDtype: 'Q6_K', storedBits: 6.5625 }), 'Q6_K (6.56 bits)');
  assert.equal(shownDtype({ dtype: 'F32', storedDtype: 'QINT8' }), 'QINT8');
});

test('facts and rows name packed types, and list what is no plain weight', async () => {
  const room = scratch();
  // Headers only: no worker is asked for anything.
  const engine = makeHandlers({ pool: { threads: 1 } as WorkerPool, io: 'pread', emit: () => {}, budget: new HistogramBudget(4096) });
  const call = async <T>(method: 'inspect' | 'rows', params: object): Promise<T> => await (engine.handlers[method] as unknown as (params: object, signal: AbortSignal) => T)(params, new AbortController().signal);
  try {
    const arrays = await call<Facts>('inspect', { path: path.resolve(__dirname, '../../golden/numpy/arrays.npz') });
    assert.deepEqual([arrays.opaqueCount, arrays.opaque?.map((entry) => entry.name)], [2, ['words', 'when']]);
    const file = room.write('small.onnx', onnxFile([{ name: 'w', dims: [2, 2], type: 22, values: (tensor) => { tensor.bytes(9, Uint8Array.of(0x12, 0x34)); } }]));
    const facts = await call<Facts>('inspect', { path: file });
    assert.deepEqual(facts.dtypes, { 'INT4 (4 bits)': 4 });
    assert.equal(facts.opaque, undefined);
    const { rows } = await call<{ rows: Row[] }>('rows', { path: file, expanded: ['g:w'], from: 0, to: 9, filter: '', sort: 'file' });
    assert.equal(rows.find((row) => row.kind === 'tensor')?.dtype, 'INT4 (4 bits)');
  } finally {
    engine.close();
    room.close();
  }
});
