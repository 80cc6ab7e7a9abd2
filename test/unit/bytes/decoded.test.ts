// Encoded tensors read the same as plain ones, through a source, the workers and a written copy.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { deflateRawSync } from 'node:zlib';
import { openTensor } from '../../../server/core/bytes/decodedSource';
import { CheckpointError } from '../../../server/core/errors';
import type { EncodingStep } from '../../../server/core/tensor/encoding';
import { valueBytes, type TensorInfo } from '../../../server/core/tensor/tensorInfo';
import { makePool } from '../../../server/core/workers/pool';
import { maskTensor } from '../../../server/core/workers/maskTensor';
import { tensorSource } from '../../../server/core/workers/slices';
import { scanTensor } from '../../../server/core/workers/tensorTasks';

const folder = mkdtempSync(path.join(tmpdir(), 'winnow-decoded-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const pool = makePool({ threads: 1 });
after(() => pool.close());

let made = 0;
function stored(bytes: Uint8Array) {
  const file = path.join(folder, `f${made++}.bin`);
  writeFileSync(file, bytes);
  const stat = statSync(file);
  return { path: file, realPath: file, byteLength: stat.size, mtimeMs: stat.mtimeMs, dataFrom: 0, metadata: null };
}

const f32 = (...values: number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);
const bigEndian = (bytes: Uint8Array, size: number): Uint8Array => {
  const out = new Uint8Array(bytes.length);
  for (let i = 0; i < bytes.length; i++) out[i - (i % size) + size - 1 - (i % size)] = bytes[i];
  return out;
};
const join = (...parts: Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));

function tensor(dtype: TensorInfo['dtype'], shape: number[], from: number, to: number, encoding: EncodingStep[]): TensorInfo {
  return { name: 'w', dtype, shape, elements: shape.reduce((a, b) => a * b, 1), file: 0, from, to, encoding };
}

/** 40,000 distinct floats, a 200 x 200 matrix. */
const large = Float32Array.from({ length: 40000 }, (_, i) => i - 20000);
const transposed = Float32Array.from({ length: 40000 }, (_, i) => large[(i % 200) * 200 + Math.floor(i / 200)]);
const packedLarge = deflateRawSync(new Uint8Array(large.buffer));

interface Row { readonly title: string; readonly file: Uint8Array; readonly info: TensorInfo; readonly wanted: Uint8Array }
const rows: Row[] = [
  { title: 'a slice', file: f32(9, 1, 2, 3, 9), info: tensor('F32', [2], 4, 16, [{ kind: 'slice', from: 4, to: 12 }]), wanted: f32(2, 3) },
  { title: 'big endian', file: bigEndian(f32(1, -2.5, 3), 4), info: tensor('F32', [3], 0, 12, [{ kind: 'swap', itemBytes: 4 }]), wanted: f32(1, -2.5, 3) },
  { title: 'a transposed view', file: f32(1, 2, 3, 4, 5, 6), info: tensor('F32', [3, 2], 0, 24, [{ kind: 'strided', itemBytes: 4, shape: [3, 2], strides: [1, 3], offset: 0 }]), wanted: f32(1, 4, 2, 5, 3, 6) },
  { title: 'an expanded scalar', file: f32(7, 8), info: tensor('F32', [2, 3], 0, 8, [{ kind: 'strided', itemBytes: 4, shape: [2, 3], strides: [0, 0], offset: 1 }]), wanted: f32(8, 8, 8, 8, 8, 8) },
  { title: 'every second, from an offset', file: f32(0, 1, 2, 3, 4, 5), info: tensor('F32', [2], 0, 24, [{ kind: 'strided', itemBytes: 4, shape: [2], strides: [2], offset: 3 }]), wanted: f32(3, 5) },
  { title: 'a scalar view', file: f32(1, 2), info: tensor('F32', [], 0, 8, [{ kind: 'strided', itemBytes: 4, shape: [], strides: [], offset: 1 }]), wanted: f32(2) },
  { title: 'a deflated, transposed matrix', file: join(new Uint8Array(3), packedLarge), info: tensor('F32', [200, 200], 3, 3 + packedLarge.length, [{ kind: 'inflate', inflatedBytes: 160000 }, { kind: 'strided', itemBytes: 4, shape: [200, 200], strides: [1, 200], offset: 0 }]), wanted: new Uint8Array(transposed.buffer) },
  { title: 'a negated view', file: f32(1, -2, 0), info: tensor('F32', [3], 0, 12, [{ kind: 'signs', itemBytes: 4, bytes: [3] }]), wanted: f32(-1, 2, -0) },
  { title: 'quantised bytes', file: Uint8Array.of(8, 10, 6, 8), info: tensor('F32', [4], 0, 4, [{ kind: 'affine', stored: 'U8', scale: 0.5, zeroPoint: 8 }]), wanted: f32(0, 1, -1, 0) },
  {
    title: 'a weight under its mask', file: join(f32(1, -2, 3, 4), f32(1, 0, -0, 1)),
    info: tensor('F32', [4], 0, 16, [{ kind: 'masked', itemBytes: 4, mask: { from: 16, to: 32, itemBytes: 4, steps: [] } }]), wanted: f32(1, 0, 0, 4),
  },
];

describe('a decoded source', () => {
  for (const { title, file, info, wanted } of rows) {
    test(`gives ${title} as contiguous values, whatever part is asked for`, () => {
      const source = openTensor(stored(file), info, 'pread');
      try {
        assert.equal(source.byteLength, wanted.length);
        assert.equal(valueBytes(info), wanted.length);
        const steps = [wanted.length, 5, 7, 4096].filter((step) => wanted.length / step < 300);
        for (const step of steps) {
          for (let from = 0; from < wanted.length; from += step) {
            const to = Math.min(wanted.length, from + step), into = new Uint8Array(to - from);
            source.read(from, to, into);
            assert.deepEqual(into, wanted.slice(from, to), `bytes ${from} to ${to}`);
          }
        }
        assert.throws(() => source.read(0, wanted.length + 1, new Uint8Array(wanted.length + 1)), RangeError);
      } finally {
        source.close();
      }
    });

    test(`is scanned and masked by the workers like plain bytes: ${title}`, async () => {
      const checkpoint = { files: [stored(file), stored(wanted)] };
      const { encoding: _, ...rest } = info;
      const plain = { ...rest, file: 1, from: 0, to: wanted.length };
      const scan = (one: TensorInfo) => scanTensor(pool, tensorSource(checkpoint, one, 'pread'), { threshold: 1 });
      assert.deepEqual(await scan(info), await scan(plain));
      const written: Uint8Array[] = [];
      for (const one of [info, plain]) {
        const target = stored(new Uint8Array(wanted.length)).path;
        await maskTensor(pool, tensorSource(checkpoint, one, 'pread'), { kind: 'cut', threshold: 2, ties: 1 }, { path: target, at: 0 });
        const source = openTensor({ ...stored(new Uint8Array(0)), path: target, realPath: target, byteLength: wanted.length, mtimeMs: statSync(target).mtimeMs }, { ...plain, file: 0 }, 'pread');
        const bytes = new Uint8Array(wanted.length);
        source.read(0, bytes.length, bytes);
        source.close();
        written.push(bytes);
      }
      assert.deepEqual(written[0], written[1]);
    });
  }

  const faults: [string, Uint8Array, TensorInfo][] = [
    ['a view beyond its storage', f32(1, 2), tensor('F32', [3], 0, 8, [{ kind: 'strided', itemBytes: 4, shape: [3], strides: [1], offset: 0 }])],
    ['a view before its storage', f32(1, 2), tensor('F32', [2], 0, 8, [{ kind: 'strided', itemBytes: 4, shape: [2], strides: [-1], offset: 0 }])],
    ['a slice beyond its bytes', f32(1, 2), tensor('F32', [2], 0, 8, [{ kind: 'slice', from: 4, to: 12 }])],
    ['deflate data that are none', f32(1, 2), tensor('F32', [2], 0, 8, [{ kind: 'inflate', inflatedBytes: 8 }])],
    ['deflate data that give too much', deflateRawSync(f32(1, 2, 3)), tensor('F32', [2], 0, deflateRawSync(f32(1, 2, 3)).length, [{ kind: 'inflate', inflatedBytes: 8 }])],
    ['a mask of another size', join(f32(1, 2), f32(1)), tensor('F32', [2], 0, 8, [{ kind: 'masked', itemBytes: 4, mask: { from: 8, to: 12, itemBytes: 4, steps: [] } }])],
  ];
  for (const [title, file, info] of faults) {
    test(`refuses ${title}`, () => {
      assert.throws(() => {
        const source = openTensor(stored(file), info, 'pread');
        try {
          source.read(0, Math.min(8, source.byteLength), new Uint8Array(12));
        } finally {
          source.close();
        }
      }, (error) => error instanceof CheckpointError && error.code === 'bad-encoding');
    });
  }
});
