// NumPy arrays and archives: values as numpy has them, whatever the order, byte order and compression.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import type { ErrorCode } from '../../../server/core/errors';
import { openCheckpoint } from '../../../server/core/formats/openCheckpoint';
import { failsWith, scratch } from './build';
import { valuesOf } from './values';

const golden = path.resolve(__dirname, '../../golden/numpy');
const wanted = JSON.parse(readFileSync(path.join(golden, 'arrays.json'), 'utf8')) as Record<string, { shape: number[]; values: number[] }>;
const room = scratch();
after(room.close);

for (const name of ['arrays.npz', 'packed.npz']) {
  test(`${name} holds numpy's values`, () => {
    const checkpoint = openCheckpoint(path.join(golden, name));
    assert.equal(checkpoint.format, 'numpy');
    assert.deepEqual(checkpoint.tensors.map((tensor) => tensor.name).sort(), Object.keys(wanted).sort());
    for (const tensor of checkpoint.tensors) {
      assert.deepEqual(tensor.shape, wanted[tensor.name].shape, tensor.name);
      for (const io of ['pread', 'mmap'] as const) assert.deepEqual(valuesOf(checkpoint, tensor.name, io), wanted[tensor.name].values, tensor.name);
    }
    assert.deepEqual(checkpoint.opaque?.map((entry) => `${entry.name}: ${entry.detail}`) ?? [], name === 'arrays.npz' ? ['words: text', 'when: dates or durations'] : []);
  });
}

test('a single array in column order is read row by row', () => {
  const checkpoint = openCheckpoint(path.join(golden, 'column.npy'));
  assert.deepEqual(valuesOf(checkpoint, 'array'), wanted.column.values);
});

/** A header as numpy pads it, then `data` bytes. */
function npy(header: string, data: number): Buffer {
  const text = Buffer.from(`${header.padEnd(118 - 1)}\n`, 'latin1'), start = Buffer.from('\x93NUMPY\x01\0\0\0', 'latin1');
  start.writeUInt16LE(text.length, 8);
  return Buffer.concat([start, text, Buffer.alloc(data)]);
}

const broken: readonly (readonly [string, Buffer, ErrorCode])[] = [
  ['values cut short', npy("{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }", 8), 'file-cut-short'],
  ['bytes after the values', npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", 8), 'trailing-bytes'],
  ['no shape', npy("{'descr': '<f4', 'fortran_order': False}", 8), 'bad-tensor-entry'],
  ['a shape beyond every file', npy("{'descr': '<f4', 'fortran_order': False, 'shape': (9007199254740991, 9007199254740991), }", 8), 'bad-shape'],
  ['an unknown version', Buffer.concat([Buffer.from('\x93NUMPY\x09\0', 'latin1'), Buffer.alloc(20)]), 'bad-tensor-entry'],
  ['a header longer than the file', Buffer.concat([Buffer.from('\x93NUMPY\x01\0\xff\x7f', 'latin1'), Buffer.alloc(20)]), 'header-cut-short'],
];
for (const [title, bytes, code] of broken) test(`${title}: ${code}`, () => assert.throws(() => openCheckpoint(room.write('x.npy', bytes)), failsWith(code)));

test('pickled objects are never loaded', () => {
  const checkpoint = openCheckpoint(room.write('o.npy', npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", 40)));
  assert.deepEqual([checkpoint.tensors.length, checkpoint.opaque?.[0].detail], [0, 'pickled Python objects, which are not loaded']);
});

const real = path.resolve(__dirname, '../../../../shared/files/npz-hdf5/g2p_en_checkpoint20.npz');
if (!existsSync(real)) console.log('SKIPPED: ../shared/files is not here, so no real .npz was read');
test('a real archive of a speech model opens', { skip: !existsSync(real) }, () => {
  const checkpoint = openCheckpoint(real);
  assert.equal(checkpoint.tensors.reduce((sum, tensor) => sum + tensor.elements, 0), 834_890);
  assert.ok(valuesOf(checkpoint, checkpoint.tensors[0].name).every(Number.isFinite));
});
