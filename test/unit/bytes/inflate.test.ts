import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { constants, deflateRawSync } from 'node:zlib';
import { openTensor } from '../../../server/core/bytes/decodedSource';
import { InflateError, inflateStream } from '../../../server/core/bytes/decoders/inflateStream';
import { prepareSpill } from '../../../server/core/bytes/decoders/prepareSpill';
import { removeSpills } from '../../../server/core/bytes/decoders/spill';
import { CheckpointError, isCancelled } from '../../../server/core/errors';
import type { TensorInfo } from '../../../server/core/tensor/tensorInfo';
import { makePool } from '../../../server/core/workers/pool';

const folder = mkdtempSync(path.join(tmpdir(), 'winnow-inflate-'));
after(() => rmSync(folder, { recursive: true, force: true }));

/** xorshift32: bytes of `kinds` different values. */
function noise(length: number, kinds: number): Uint8Array {
  let state = 2463534242;
  return Uint8Array.from({ length }, () => {
    state ^= state << 13; state ^= state >>> 17; state ^= state << 5;
    return (state >>> 0) % kinds;
  });
}

function inflate(packed: Uint8Array, piece: number): Uint8Array {
  const parts: Uint8Array[] = [];
  let at = 0;
  inflateStream(() => packed.subarray(at, at += piece), (bytes) => parts.push(bytes.slice()));
  return new Uint8Array(Buffer.concat(parts));
}

describe('the streaming inflater', () => {
  const contents: [string, Uint8Array][] = [
    ['nothing', new Uint8Array(0)], ['one byte', Uint8Array.of(7)], ['zeros', new Uint8Array(3_000_000)], ['noise', noise(300_000, 256)], ['two values', noise(300_000, 2)], ['text', Buffer.from('winnow '.repeat(50_000))],
    ['floats', new Uint8Array(Float32Array.from({ length: 400_000 }, (_, i) => Math.sin(i)).buffer)],
  ];
  for (const [title, content] of contents) {
    test(`gives back ${title}, whatever the level, the strategy and the pieces`, () => {
      for (const options of [{ level: 0 }, { level: 1 }, { level: 9 }, { level: 6, strategy: constants.Z_FIXED }, { strategy: constants.Z_HUFFMAN_ONLY }]) {
        const packed = deflateRawSync(content, options);
        for (const piece of [packed.length, 4099, ...(packed.length < 10_000 ? [1] : [])]) assert.equal(Buffer.compare(inflate(packed, piece), content), 0, JSON.stringify(options));
      }
    });
  }

  test('refuses what is cut, and never reads beyond a damaged stream', () => {
    const packed = deflateRawSync(noise(5000, 20));
    assert.throws(() => inflate(packed.subarray(0, -5), 1000), InflateError);
    const flips = noise(400, 256);
    for (let i = 0; i < 200; i++) {
      const damaged = Uint8Array.from(packed);
      damaged[(flips[2 * i] * 17) % damaged.length] ^= flips[2 * i + 1] | 1;
      try {
        inflate(damaged, 512);
      } catch (error) {
        assert.ok(error instanceof InflateError, String(error));
      }
    }
  });
});

describe('a large compressed entry', () => {
  const values = Float32Array.from({ length: 9_000_000 }, (_, i) => (i * 7919) % 1000);
  const packed = deflateRawSync(new Uint8Array(values.buffer), { level: 1 });
  const info: TensorInfo = { name: 'w', dtype: 'F32', shape: [values.length], elements: values.length, file: 0, from: 0, to: packed.length, encoding: [{ kind: 'inflate', inflatedBytes: values.byteLength }] };
  const stamp = (bytes: Uint8Array, name: string) => {
    const file = path.join(folder, name);
    writeFileSync(file, bytes);
    return { path: file, realPath: file, byteLength: bytes.length, mtimeMs: statSync(file).mtimeMs };
  };
  const spills = (): string[] => readdirSync(tmpdir()).filter((name) => name.startsWith(`winnow-inflated-${process.pid}-`));

  test('is inflated once into a file that goes away again', () => {
    const file = stamp(packed, 'sound.bin');
    for (let round = 0; round < 2; round++) {
      const source = openTensor(file, info, 'pread'), bytes = new Uint8Array(4000);
      source.read(35_000_000, 35_004_000, bytes);
      assert.deepEqual([...new Float32Array(bytes.buffer)], [...values.subarray(8_750_000, 8_751_000)]);
      assert.equal(spills().length, 1);
      source.close();
    }
    removeSpills();
    assert.deepEqual(spills(), []);
  });

  test('hears of a cancel within 100 ms, in a worker and on the main thread, and nothing stays', async () => {
    // 400 MiB that inflate slowly enough to be caught in the middle.
    const many = deflateRawSync(new Uint8Array(400 * 2 ** 20), { level: 1 }), big = stamp(many, 'big.bin'), bytes = 400 * 2 ** 20;
    const steps = [{ kind: 'inflate', inflatedBytes: bytes }] as const, tensor: TensorInfo = { name: 'w', dtype: 'F32', shape: [bytes / 4], elements: bytes / 4, file: 0, from: 0, to: many.length, encoding: steps };
    const pool = makePool({ threads: 1 });
    // The worker loads its parts first.
    await pool.run({ kind: 'scan', source: { file: stamp(new Uint8Array(8), 'small.bin'), io: 'pread', dtype: 'F32', shape: [2], from: 0, to: 8 }, threshold: null });
    const late = async (work: (signal: AbortSignal) => Promise<unknown>): Promise<number> => {
      const controller = new AbortController();
      let abortedAt = 0;
      setTimeout(() => { abortedAt = performance.now(); controller.abort(); }, 60);
      await assert.rejects(work(controller.signal), isCancelled);
      assert.ok(abortedAt > 0);
      return performance.now() - abortedAt;
    };
    try {
      const source = { file: big, io: 'pread', dtype: 'F32', shape: tensor.shape, from: 0, to: bytes, encoded: { from: 0, to: many.length, steps } } as const;
      const times = [await late((signal) => pool.run({ kind: 'scan', source, threshold: null }, signal)), await late((signal) => prepareSpill(big, tensor, signal))];
      // Three times the promise, for a machine with other work.
      assert.ok(Math.max(...times) < 300, `${times.map(Math.round).join(' and ')} ms`);
      assert.deepEqual(spills(), []);
      // And prepared, it is found.
      await prepareSpill(stamp(packed, 'sound.bin'), info);
      assert.equal(spills().length, 1);
    } finally {
      await pool.close();
      removeSpills();
    }
  });

  test('that is damaged or of another size is refused, and nothing stays', () => {
    const damaged = Uint8Array.from(packed);
    damaged.fill(0xff, 100_000, 100_100);
    for (const [bytes, step] of [[damaged, info], [packed, { ...info, encoding: [{ kind: 'inflate', inflatedBytes: values.byteLength - 4 }] }], [packed, { ...info, encoding: [{ kind: 'inflate', inflatedBytes: values.byteLength + 4 }] }]] as const) {
      const source = openTensor(stamp(bytes, 'broken.bin'), step as TensorInfo, 'pread');
      assert.throws(() => source.read(0, 4, new Uint8Array(4)), (error) => error instanceof CheckpointError && error.code === 'bad-encoding');
      source.close();
      assert.deepEqual(spills(), []);
    }
  });
});
