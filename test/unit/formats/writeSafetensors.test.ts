import assert from 'node:assert/strict';
import { appendFileSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import type { Checkpoint } from '../../../server/core/formats/contract';
import { openCheckpoint } from '../../../server/core/formats/openCheckpoint';
import { encodeShardIndex, layOutFile, layOutLike, type FileLayout } from '../../../server/core/formats/writeSafetensors';
import { failsWith, rawFile, scratch, sketch, soundFile } from './build';

const room = scratch();
after(room.close);

/** Writes a file of the layout with the source's bytes, as pruning to 0 % would. */
function copyThrough(layout: FileLayout, checkpoint: Checkpoint, number: number): Buffer {
  const source = readFileSync(checkpoint.files[number].path), target = Buffer.alloc(layout.byteLength, 0xee);
  target.set(layout.head, 0);
  for (const tensor of checkpoint.tensors.filter((item) => item.file === number)) {
    const place = layout.places.get(tensor.name);
    assert.ok(place && place.to - place.from === tensor.to - tensor.from);
    target.set(source.subarray(tensor.from, tensor.to), place.from);
  }
  return target;
}
const facts = (checkpoint: Checkpoint): unknown => checkpoint.tensors.map(({ name, dtype, shape, from, to, file }) => {
  const bytes = readFileSync(checkpoint.files[file].path).subarray(from, to);
  return { name, dtype, shape, bytes: bytes.toString('hex') };
});

test('whatever is laid out reads back: names, order, dtypes, shapes, metadata', () => {
  const name = fc.string({ unit: 'grapheme', maxLength: 12 }).filter((text) => text !== '__metadata__');
  const tensor = fc.record({ name, dtype: fc.constantFrom('F32', 'BF16', 'U8', 'F64', 'BOOL' as const), shape: fc.array(fc.nat(4), { maxLength: 3 }) });
  const metadata = fc.option(fc.dictionary(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' }), { maxKeys: 3 }));
  fc.assert(fc.property(fc.uniqueArray(tensor, { selector: (item) => item.name, maxLength: 8 }), metadata, (tensors, texts) => {
    const layout = layOutFile(tensors, texts, 'x');
    assert.equal(layout.dataFrom % 8, 0);
    assert.equal(layout.head.length, layout.dataFrom);
    const { tensors: back, files } = openCheckpoint(room.write('out.safetensors', Buffer.concat([layout.head, Buffer.alloc(layout.byteLength - layout.dataFrom)])));
    // Empty tensors share their place with a neighbour, so only the order of the rest is the file's.
    const some = <T extends { shape: readonly number[] }>(items: readonly T[]): readonly T[] => items.filter((item) => !item.shape.includes(0));
    assert.deepEqual(some(back).map((item) => [item.name, item.dtype, [...item.shape]]), some(tensors).map((item) => [item.name, item.dtype, item.shape]));
    assert.equal(back.length, tensors.length);
    for (const item of back) assert.deepEqual({ from: item.from, to: item.to }, layout.places.get(item.name));
    assert.deepEqual(Object.entries(files[0].metadata ?? {}).sort(), Object.entries(texts ?? {}).sort());
  }), { numRuns: 120 });
});

test('a sound file is laid out again byte for byte, odd header and all', () => {
  for (const content of [
    soundFile([sketch('b', [3]), sketch('a', [2, 2])], { format: 'pt' }),
    rawFile('{ "w" : {"shape":[1], "extra": 1, "data_offsets":[0,4], "dtype":"F32"} , "__metadata__": {"k":"v"}}  \n ', 4),
    rawFile('{}'),
  ]) {
    const checkpoint = openCheckpoint(room.write('same.safetensors', content));
    assert.deepEqual(copyThrough(layOutLike(checkpoint, 0), checkpoint, 0), content);
  }
});

test('a header that others refuse is written anew, with the same tensors in the same order', () => {
  for (const [header, metadata] of [
    ['{"__metadata__":{"epoch":3,"format":"pt"},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"I32","shape":[1],"data_offsets":[4,8]}}', { format: 'pt' }],
    [' {"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"I32","shape":[1],"data_offsets":[4,8]}}', null],
  ] as const) {
    const checkpoint = openCheckpoint(room.write('odd.safetensors', rawFile(header, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8))));
    const copy = openCheckpoint(room.write('copy.safetensors', copyThrough(layOutLike(checkpoint, 0), checkpoint, 0)));
    assert.deepEqual(copy.problems, []);
    assert.deepEqual(copy.files[0].metadata, metadata);
    assert.deepEqual(facts(copy), facts(checkpoint));
  }
});

test('a stale copy is left out, and the written index is right where the source\'s lied', () => {
  const a = sketch('a', [2]), b = sketch('b', [3]), stale = { ...sketch('b', [3]), data: new Uint8Array(12) };
  room.write('set/x.safetensors', soundFile([a, stale]));
  room.write('set/y.safetensors', soundFile([b]));
  room.write('set/model.safetensors.index.json', JSON.stringify({ metadata: { total_size: 1 }, weight_map: { a: 'x.safetensors', b: 'y.safetensors' } }));
  const checkpoint = openCheckpoint(path.join(room.folder, 'set'));
  const shards = checkpoint.files.map((file, number) => ({ name: path.basename(file.path), layout: layOutLike(checkpoint, number), number }));
  for (const { name, layout, number } of shards) room.write(`copy/${name}`, copyThrough(layout, checkpoint, number));
  room.write('copy/model.safetensors.index.json', encodeShardIndex(shards));
  const copy = openCheckpoint(path.join(room.folder, 'copy'));
  assert.deepEqual(copy.problems, []);
  assert.deepEqual(facts(copy), facts(checkpoint));
  assert.deepEqual(JSON.parse(readFileSync(copy.index as string, 'utf8')), { metadata: { total_size: 20 }, weight_map: { a: 'x.safetensors', b: 'y.safetensors' } });
});

test('names that cannot stand in a file, and a source that changed, are refused', () => {
  const w = { name: 'w', dtype: 'F32', shape: [1] } as const;
  assert.throws(() => layOutFile([w, w], null, 'x'), failsWith('duplicate-tensor', 'w'));
  assert.throws(() => layOutFile([{ ...w, name: '__metadata__' }], null, 'x'), failsWith('duplicate-tensor'));
  assert.throws(() => layOutFile([{ ...w, dtype: 'F4' }], null, 'x'), failsWith('size-mismatch'));
  const file = room.write('changing.safetensors', soundFile([sketch('w', [2])])), checkpoint = openCheckpoint(file);
  appendFileSync(file, 'x');
  assert.throws(() => layOutLike(checkpoint, 0), failsWith('file-changed-while-reading'));
});
