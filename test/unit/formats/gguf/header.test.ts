import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { openTensor } from '../../../../server/core/bytes/decodedSource';
import { CheckpointError } from '../../../../server/core/errors';
import type { Checkpoint } from '../../../../server/core/formats/contract';
import { ggmlTypeNamed, swapBlocks } from '../../../../server/core/formats/gguf/ggmlTypes';
import { openCheckpoint } from '../../../../server/core/formats/openCheckpoint';
import { valueBytes } from '../../../../server/core/tensor/tensorInfo';
import { f32Bytes, ggufFile } from './build';
import type { FileOptions, Sketch, Value } from './build';

const folder = mkdtempSync(path.join(tmpdir(), 'winnow-gguf-'));
after(() => { rmSync(folder, { recursive: true, force: true }); });
let made = 0;
const placed = (bytes: Uint8Array, name = `${made++}.gguf`): string => { const file = path.join(folder, name); writeFileSync(file, bytes); return file; };
const open = (metadata: Readonly<Record<string, Value>>, tensors: readonly Sketch[], options?: FileOptions): Checkpoint => openCheckpoint(placed(ggufFile(metadata, tensors, options)));
const valuesOf = (checkpoint: Checkpoint, name: string): Float32Array => {
  const tensor = checkpoint.tensors.find((one) => one.name === name)!, source = openTensor(checkpoint.files[tensor.file], tensor, 'pread'), out = new Float32Array(valueBytes(tensor) / 4);
  source.read(0, out.byteLength, new Uint8Array(out.buffer));
  source.close();
  return out;
};
const codeOf = (work: () => unknown): string => {
  try { work(); } catch (error) { return error instanceof CheckpointError ? error.code : String(error); }
  return 'ok';
};

const golden = JSON.parse(readFileSync(path.join(__dirname, '../../../golden/gguf/blocks.json'), 'utf8')) as Record<string, { blocks: string; values: string }>;
const matrix: Sketch = { name: 'w', type: 'F32', shape: [2, 3], bytes: f32Bytes([1, 2, 3, 4, 5, 6]) };

for (const version of [1, 2, 3]) {
  test(`version ${version} opens, with shapes turned round and values in place`, () => {
    const checkpoint = open({ 'general.name': ['text', 'x'], list: ['texts', ['a', 'b']] }, [matrix], { version });
    assert.deepEqual(checkpoint.tensors[0].shape, [2, 3]);
    assert.deepEqual([...valuesOf(checkpoint, 'w')], [1, 2, 3, 4, 5, 6]);
    assert.equal(checkpoint.files[0].metadata?.list, '["a","b"]');
  });
}

test('a big-endian file gives the values of a little-endian one, plain and in blocks', () => {
  const type = ggmlTypeNamed('Q4_K')!, blocks = new Uint8Array(Buffer.from(golden.Q4_K.blocks, 'base64')), swapped = blocks.slice();
  swapBlocks(type, swapped, 0, blocks.length / type.bytes);
  const checkpoint = open({ 'general.alignment': ['u32', 64] }, [{ ...matrix, bytes: f32Bytes([1, 2, 3, 4, 5, 6], true) }, { name: 'q', type: 'Q4_K', shape: [3, 256], bytes: swapped }], { bigEndian: true, alignment: 64 });
  assert.deepEqual([...valuesOf(checkpoint, 'w')], [1, 2, 3, 4, 5, 6]);
  assert.deepEqual(valuesOf(checkpoint, 'q'), new Float32Array(new Uint8Array(Buffer.from(golden.Q4_K.values, 'base64')).buffer));
  assert.deepEqual([checkpoint.tensors[1].storedDtype, checkpoint.tensors[1].storedBits], ['Q4_K', 4.5]);
});

test('any range of a block tensor reads as the whole does', () => {
  const checkpoint = open({}, [{ name: 'q', type: 'Q6_K', shape: [3, 256], bytes: new Uint8Array(Buffer.from(golden.Q6_K.blocks, 'base64')) }]);
  const whole = new Uint8Array(valuesOf(checkpoint, 'q').buffer), source = openTensor(checkpoint.files[0], checkpoint.tensors[0], 'pread');
  for (const [from, to] of [[0, 4], [3, 1029], [1024, 2048], [2047, 3072], [5, 5]]) {
    const part = new Uint8Array(to - from);
    source.read(from, to, part);
    assert.deepEqual(part, whole.slice(from, to), `${from}..${to}`);
  }
  source.close();
});

test('what cannot be true is refused by its name', () => {
  const long = (length: number): Uint8Array => { const bytes = new Uint8Array(12); new DataView(bytes.buffer).setUint32(0, 8, true); new DataView(bytes.buffer).setBigUint64(4, BigInt(length), true); return bytes; };
  const nested = (depth: number): Uint8Array => {
    const bytes = new Uint8Array(depth * 12 + 12), view = new DataView(bytes.buffer);
    for (let i = 0; i < depth; i++) { view.setUint32(i * 12, 9, true); view.setBigUint64(i * 12 + 4, 1n, true); }
    return bytes;
  };
  const cases: readonly [string, string, () => unknown][] = [
    ['an array longer than the file', 'header-cut-short', () => open({ a: ['raw', 9, long(2 ** 40)] }, [])],
    ['arrays in arrays in arrays', 'metadata-broken', () => open({ a: ['raw', 9, nested(40)] }, [])],
    ['a value of no type', 'metadata-broken', () => open({ a: ['raw', 99, new Uint8Array(0)] }, [])],
    ['version 4', 'unsupported-format', () => open({}, [], { version: 4 })],
    ['more tensors than bytes', 'header-cut-short', () => open({}, [matrix], { tensorCount: 2 ** 40 })],
    ['a type of the future', 'unknown-dtype', () => open({}, [{ ...matrix, typeId: 99 }])],
    ['a type that was dropped', 'unknown-dtype', () => open({}, [{ ...matrix, typeId: 4 }])],
    ['one name twice', 'duplicate-tensor', () => open({}, [matrix, matrix])],
    ['tensors that overlap', 'overlap', () => open({}, [{ ...matrix, shape: [20] , bytes: new Uint8Array(80) }, { ...matrix, name: 'v', offset: 32 }])],
    ['an offset between alignments', 'bad-tensor-entry', () => open({}, [{ ...matrix, offset: 4 }, { ...matrix, name: 'v', offset: 64 }])],
    ['five dimensions', 'bad-shape', () => open({}, [{ ...matrix, shape: [1, 1, 1, 2, 3] }])],
    ['a shape beyond all numbers', 'bad-shape', () => open({}, [{ ...matrix, shape: [2 ** 40, 2 ** 40] }])],
    ['half a block', 'bad-shape', () => open({}, [{ ...matrix, type: 'Q8_0', shape: [2, 16], bytes: new Uint8Array(34) }])],
    ['a file cut inside a tensor', 'file-cut-short', () => openCheckpoint(placed(ggufFile({}, [matrix]).slice(0, -20)))],
    ['a file cut inside the header', 'header-cut-short', () => openCheckpoint(placed(ggufFile({ key: ['text', 'value'] }, [matrix]).slice(0, 40)))],
  ];
  for (const [title, code, work] of cases) assert.equal(codeOf(work), code, title);
});

test('a large array of the metadata is stepped over, not kept', () => {
  const checkpoint = open({ numbers: ['floats', new Array<number>(100_000).fill(1)], words: ['texts', new Array<string>(50_000).fill('word')] }, [matrix]);
  assert.deepEqual([checkpoint.files[0].metadata?.numbers, checkpoint.files[0].metadata?.words], ['[100000 numbers]', '[50000 texts]']);
});

test('any part of a split opens the whole; parts and totals are checked', () => {
  const part = (no: number, total: number, name: string): Uint8Array => ggufFile({ 'split.no': ['u16', no], 'split.count': ['u16', 2], 'split.tensors.count': ['i32', total] }, [{ ...matrix, name }]);
  placed(part(0, 2, 'a'), 's-00001-of-00002.gguf');
  const second = placed(part(1, 2, 'b'), 's-00002-of-00002.gguf');
  assert.deepEqual(openCheckpoint(second).tensors.map(({ name, file }) => [name, file]), [['a', 0], ['b', 1]]);
  placed(part(0, 3, 'a'), 't-00001-of-00002.gguf');
  assert.equal(codeOf(() => openCheckpoint(placed(part(1, 3, 'b'), 't-00002-of-00002.gguf'))), 'shard-missing', 'a tensor is missing');
  assert.equal(codeOf(() => openCheckpoint(placed(part(1, 2, 'b'), 'renamed.gguf'))), 'shard-missing', 'a part under another name');
});
