import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { ggmlTypeNamed, ggmlTypes, swapBlocks } from '../../../../server/core/formats/gguf/ggmlTypes';

interface Golden { readonly elements: number; readonly bytes: number; readonly blocks: string; readonly values: string }
const golden = JSON.parse(readFileSync(path.join(__dirname, '../../../golden/gguf/blocks.json'), 'utf8')) as Record<string, Golden>;
const floatsOf = (text: string): Float32Array => new Float32Array(new Uint8Array(Buffer.from(text, 'base64')).buffer);

test('every block type of the gguf package is known with its sizes', () => {
  const mine = Object.fromEntries(ggmlTypes.filter((type) => type.plain === null).map((type) => [type.name, [type.elements, type.bytes]]));
  assert.deepEqual(mine, Object.fromEntries(Object.entries(golden).map(([name, { elements, bytes }]) => [name, [elements, bytes]])));
});

for (const [name, { elements, blocks, values }] of Object.entries(golden)) {
  test(`${name} blocks have the values that the gguf package gives them, bit for bit`, () => {
    const type = ggmlTypeNamed(name)!, raw = new Uint8Array(Buffer.from(blocks, 'base64')), count = raw.length / type.bytes;
    const out = new Float32Array(count * elements + 2).fill(7), expected = floatsOf(values);
    // One value before and one after, to see that only its own are written.
    const shifted = new Uint8Array(raw.length + 3);
    shifted.set(raw, 3);
    type.dequantise!(shifted, 3, count, out, 1);
    assert.deepEqual(out.subarray(1, out.length - 1), expected);
    assert.deepEqual([out[0], out[out.length - 1]], [7, 7]);
  });

  test(`swapping the wide fields of ${name} twice gives the blocks back, and leaves single bytes alone`, () => {
    const type = ggmlTypeNamed(name)!, raw = new Uint8Array(Buffer.from(blocks, 'base64')), swapped = raw.slice();
    swapBlocks(type, swapped, 0, raw.length / type.bytes);
    const wide = new Set(type.wide.flatMap(([from, size, n]) => Array.from({ length: size * n }, (_, i) => from + i)));
    assert.ok(raw.every((byte, i) => wide.has(i % type.bytes) || swapped[i] === byte));
    swapBlocks(type, swapped, 0, raw.length / type.bytes);
    assert.deepEqual(swapped, raw);
  });
}
