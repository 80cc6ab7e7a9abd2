/**
 * Positioned, read-only access to the bytes of one file. Two implementations with the same behaviour (and the same
 * tests): positioned reads and memory maps. Reads are synchronous on purpose: they run in workers and in the engine
 * child, never in a process that owes anyone an answer.
 */
export interface ByteSource {
  /** The path as the person gave it (links not resolved). */
  readonly path: string;
  /** Size in bytes when the source was opened. */
  readonly byteLength: number;
  /**
   * Copies the bytes [from, to) into the start of `into`.
   *
   * @param from first byte, >= 0
   * @param to one past the last byte, <= byteLength
   * @param into at least `to - from` bytes long; may be a view of WebAssembly memory
   * @throws CheckpointError `short-read` or `file-changed-while-reading` when the file is no longer what was opened;
   *   RangeError when from, to or into do not fit (a bug of the caller, checked before any native copy)
   */
  read(from: number, to: number, into: Uint8Array): void;
  /** Unmaps or closes. Reading afterwards throws. Safe to call twice. */
  close(): void;
}

/** How bytes are reached. `auto` maps on local file systems in the engine child and reads elsewhere. */
export type IoMode = 'auto' | 'mmap' | 'pread';
