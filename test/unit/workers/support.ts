import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after } from 'node:test';
import type { DType } from '../../../server/core/tensor/dtype';
import type { SliceSource } from '../../../server/core/workers/contract';

/** A folder that goes away when the tests of the file have run. */
export function scratchFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'winnow-workers-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Writes bytes to a file and answers how to reach [from, to) of it as a tensor. */
export function sourceOf(folder: string, name: string, bytes: Uint8Array, dtype: DType, shape: readonly number[], from = 0, to = bytes.length): SliceSource {
  const file = path.join(folder, name);
  writeFileSync(file, bytes);
  const { mtimeMs, size } = statSync(file);
  return { file: { path: file, realPath: file, byteLength: size, mtimeMs }, io: 'pread', dtype, shape, from, to };
}

/** An empty target of a size, and how to read it back. */
export function targetOf(folder: string, name: string, bytes: number): { path: string; read(): Uint8Array } {
  const file = path.join(folder, name);
  writeFileSync(file, new Uint8Array(bytes));
  return { path: file, read: () => new Uint8Array(readFileSync(file)) };
}

/** A small seeded generator of u32 (xorshift). */
export function randomWords(seed: number): () => number {
  let x = seed || 1;
  return () => {
    x ^= x << 13; x ^= x >>> 17; x ^= x << 5;
    return x >>> 0;
  };
}
