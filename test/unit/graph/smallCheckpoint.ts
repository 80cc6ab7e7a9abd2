import { readFileSync, realpathSync, statSync, openSync, readSync, closeSync } from 'node:fs';
import path from 'node:path';
import type { Checkpoint } from '../../../server/core/formats/contract';
import type { WindowBatch } from '../../../server/core/runtime/contract';
import type { DType } from '../../../server/core/tensor/dtype';
import type { TensorInfo } from '../../../server/core/tensor/tensorInfo';

/** The least that opens one safetensors file: these tests are about graphs, the format has its own. */
export function smallCheckpoint(folder: string, fileName = 'model.safetensors', config?: Record<string, unknown>): Checkpoint {
  const file = path.join(folder, fileName);
  const handle = openSync(file, 'r');
  const size = Buffer.alloc(8);
  readSync(handle, size, 0, 8, 0);
  const header = Buffer.alloc(Number(size.readBigUInt64LE()));
  readSync(handle, header, 0, header.length, 8);
  closeSync(handle);
  const dataFrom = 8 + header.length;
  const entries = JSON.parse(header.toString()) as Record<string, { dtype: DType; shape: number[]; data_offsets: [number, number] }>;
  const tensors: TensorInfo[] = Object.entries(entries).filter(([name]) => name !== '__metadata__').map(([name, entry]) => ({
    name, dtype: entry.dtype, shape: entry.shape, elements: entry.shape.reduce((a, b) => a * b, 1), file: 0,
    from: dataFrom + entry.data_offsets[0], to: dataFrom + entry.data_offsets[1],
  }));
  const stat = statSync(file);
  return {
    path: folder, folder, name: path.basename(folder), format: 'safetensors', index: null, tensors, problems: [],
    files: [{ path: file, realPath: realpathSync(file), byteLength: stat.size, mtimeMs: stat.mtimeMs, dataFrom, metadata: null }],
    config: config ?? (JSON.parse(readFileSync(path.join(folder, 'config.json'), 'utf8')) as Record<string, unknown>),
  };
}

/** Every F32 tensor of a small file, by name. */
export function f32Tensors(folder: string, fileName: string): Record<string, Float32Array> {
  const checkpoint = smallCheckpoint(folder, fileName, {});
  const bytes = readFileSync(checkpoint.files[0].path);
  return Object.fromEntries(checkpoint.tensors.filter(({ dtype }) => dtype === 'F32').map(({ name, from, to }) => [name, new Float32Array(Uint8Array.from(bytes.subarray(from, to)).buffer)]));
}

/** One window in which every token but the first is scored. */
export function wholeWindow(ids: readonly number[]): WindowBatch {
  const inputIds = BigInt64Array.from(ids, BigInt);
  return { inputIds, batch: 1, length: ids.length, positions: BigInt64Array.from(ids.slice(1), (_, i) => BigInt(i)), targets: inputIds.slice(1) };
}
