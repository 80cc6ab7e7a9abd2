import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { CheckpointError, ErrorCode } from '../../../server/core/errors';
import type { DType } from '../../../server/core/tensor/dtype';

/** A file from raw parts, right or wrong: the header as text, then the data. */
export function rawFile(header: string | Uint8Array, data: Uint8Array | number = 0, length?: number): Buffer {
  const text = typeof header === 'string' ? Buffer.from(header, 'utf8') : Buffer.from(header);
  const start = Buffer.alloc(8);
  start.writeBigUInt64LE(BigInt(length ?? text.length));
  return Buffer.concat([start, text, typeof data === 'number' ? Buffer.alloc(data) : data]);
}

export interface Sketch { readonly name: string; readonly dtype?: DType; readonly shape: readonly number[]; readonly data: Uint8Array }

/** A sound file. */
export function soundFile(tensors: readonly Sketch[], metadata?: Record<string, string>): Buffer {
  let end = 0;
  const entries = tensors.map(({ name, dtype, shape, data }) =>
    `${JSON.stringify(name)}:${JSON.stringify({ dtype: dtype ?? 'F32', shape, data_offsets: [end, (end += data.length)] })}`);
  const parts = metadata ? [`"__metadata__":${JSON.stringify(metadata)}`, ...entries] : entries;
  return rawFile(`{${parts.join(',')}}`, Buffer.concat(tensors.map((tensor) => tensor.data)));
}

/** F32 values as little-endian bytes. */
export const f32 = (...values: number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);

/** A tensor of the given shape whose bytes depend on `seed`. */
export function sketch(name: string, shape: readonly number[], seed = name.length): Sketch {
  const count = shape.reduce((product, size) => product * size, 1);
  return { name, shape, data: f32(...Array.from({ length: count }, (_, i) => ((i * 7 + seed * 13) % 19) / 8 - 1)) };
}

/** A folder of its own that is gone when `close` is called. */
export function scratch(): { readonly folder: string; write(name: string, content: string | Uint8Array): string; close(): void } {
  const folder = realpathSync(mkdtempSync(path.join(tmpdir(), 'winnow-test-')));
  return {
    folder,
    write(name, content) {
      const file = path.join(folder, name);
      mkdirSync(path.dirname(file), { recursive: true });
      writeFileSync(file, content);
      return file;
    },
    close: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** Checks the code, and that the detail speaks of each word. */
export const failsWith = (code: ErrorCode, ...words: readonly (string | RegExp)[]) => (error: unknown): boolean => {
  const { code: found, detail, where } = error as CheckpointError;
  if (found !== code) throw new Error(`expected ${code}, got ${found}: ${String(error)}`);
  const said = `${detail} ${where.tensor ?? ''} ${where.key ?? ''}`;
  for (const word of words) if (typeof word === 'string' ? !said.includes(word) : !word.test(said)) throw new Error(`${JSON.stringify(said)} does not say ${word}`);
  return true;
};
