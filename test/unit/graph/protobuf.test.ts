import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProtoWriter } from '../../../server/core/graph/protobuf';

const hex = (writer: ProtoWriter): string => Buffer.from(writer.finish()).toString('hex');

test('fields have the bytes that the protocol buffer encoding defines', () => {
  const table: readonly (readonly [ProtoWriter, string])[] = [
    [new ProtoWriter().int(1, 150), '089601'],
    [new ProtoWriter().int(1, 0), '0800'],
    [new ProtoWriter().int(3, -1), '18ffffffffffffffffff01'],
    [new ProtoWriter().int(1, 2 ** 40), '08808080808020'],
    [new ProtoWriter().string(2, 'testing'), '120774657374696e67'],
    [new ProtoWriter().string(16, 'é'), '820102c3a9'],
    [new ProtoWriter().ints(4, [3, 270, 86942]), '2206038e029ea705'],
    [new ProtoWriter().ints(4, []), '2200'],
    [new ProtoWriter().float(2, 1), '150000803f'],
    [new ProtoWriter().message(3, new ProtoWriter().int(1, 150)), '1a03089601'],
  ];
  for (const [writer, bytes] of table) assert.equal(hex(writer), bytes);
});

test('a field of any length fits', () => {
  for (const length of [0, 127, 128, 255, 256, 300, 70_000]) {
    const bytes = new ProtoWriter().int(1, 1).bytes(2, new Uint8Array(length).fill(7)).int(3, 1).finish();
    const prefix = length < 128 ? 4 : length < 16384 ? 5 : 6;
    assert.equal(bytes.length, prefix + length + 2);
    assert.equal(bytes.subarray(prefix, prefix + length).every((byte) => byte === 7), true);
  }
});
