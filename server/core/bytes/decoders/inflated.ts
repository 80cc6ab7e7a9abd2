import { inflateRawSync } from 'node:zlib';
import { CheckpointError } from '../../errors';
import type { ByteSource } from '../byteSource';
import type { FileStamp } from '../stamp';
import { openSpilled } from './spill';

/** Longest entry that is inflated into memory. */
export const MAX_IN_MEMORY_BYTES = 32 * 2 ** 20;

/** Tells an entry from others of the same file. */
export const spillKey = (from: number, to: number): string => `${from}:${to}`;

/**
 * A deflated entry as plain bytes. Reading inflates it, once: into memory, or into a temporary file where it is large.
 *
 * @param key tells the entry from others of the same file
 * @throws CheckpointError `bad-encoding` when it does not inflate to what it should
 */
export function inflated(source: ByteSource, file: FileStamp, key: string, inflatedBytes: number): ByteSource {
  let bytes: Uint8Array | null = null, spilled: ReturnType<typeof openSpilled> | null = null;
  return {
    path: source.path,
    byteLength: inflatedBytes,
    read(from, to, into) {
      if (inflatedBytes > MAX_IN_MEMORY_BYTES) return (spilled ??= openSpilled(source, file, key, inflatedBytes)).read(from, to, into);
      bytes ??= inflate(source, file, inflatedBytes);
      into.set(bytes.subarray(from, to));
    },
    close() {
      bytes = null;
      spilled?.close();
      spilled = null;
      source.close();
    },
  };
}

function inflate(source: ByteSource, file: FileStamp, inflatedBytes: number): Uint8Array {
  const packed = new Uint8Array(source.byteLength);
  source.read(0, packed.length, packed);
  return inflateBytes(packed, inflatedBytes, file.path);
}

/** @throws CheckpointError `bad-encoding` */
export function inflateBytes(packed: Uint8Array, inflatedBytes: number, file: string): Uint8Array {
  let bytes: Uint8Array;
  try {
    bytes = inflateRawSync(packed, { maxOutputLength: Math.max(1, inflatedBytes) });
  } catch (error) {
    throw new CheckpointError('bad-encoding', { file }, `a compressed entry does not inflate: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
  if (bytes.length !== inflatedBytes) throw new CheckpointError('bad-encoding', { file }, `a compressed entry inflates to ${bytes.length} bytes, not ${inflatedBytes}`);
  return bytes;
}
