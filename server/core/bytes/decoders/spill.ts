import { createHash, randomBytes } from 'node:crypto';
import { closeSync, existsSync, fstatSync, openSync, readdirSync, readSync, renameSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { isMainThread } from 'node:worker_threads';
import { CheckpointError } from '../../errors';
import type { ByteSource } from '../byteSource';
import { checkInterrupted } from '../interrupt';
import type { FileStamp } from '../stamp';
import { InflateError, inflateStream } from './inflateStream';

/** Input handed to the inflater at a time. */
const PIECE_BYTES = 2 ** 20;
const NAME = /^winnow-inflated-(\d+)-[0-9a-f]{32}(\.\w+)?$/;

/** Where this process keeps an inflated entry. */
export const spillName = (file: FileStamp, key: string): string =>
  path.join(tmpdir(), `winnow-inflated-${process.pid}-${createHash('sha256').update(`${file.realPath}\n${file.mtimeMs}\n${file.byteLength}\n${key}`).digest('hex').slice(0, 32)}`);

/**
 * A large deflated entry, inflated once a process into a temporary file that all its threads read. Removed when the process
 * ends, or by the next one that makes such a file.
 *
 * @throws CheckpointError `bad-encoding`, `disk-full`, `cancelled` inside of `interruptible`
 */
export function openSpilled(source: ByteSource, file: FileStamp, key: string, inflatedBytes: number): { read(from: number, to: number, into: Uint8Array): void; close(): void } {
  const name = spillName(file, key);
  let fd = openExisting(name, inflatedBytes);
  if (fd < 0) {
    removeLeftovers();
    // Two threads may do this at once; both write the same, and a rename is one step.
    const part = `${name}.${randomBytes(4).toString('hex')}`;
    try {
      write(source, file, part, inflatedBytes);
      renameSync(part, name);
    } catch (error) {
      rmSync(part, { force: true });
      throw error;
    }
    fd = openExisting(name, inflatedBytes);
    if (fd < 0) throw new CheckpointError('bad-encoding', { file: file.path }, 'the inflated copy is gone');
  }
  removeAtExit();
  return {
    read(from, to, into) {
      for (let at = from; at < to;) {
        const got = readSync(fd, into, at - from, to - at, at);
        if (got === 0) throw new CheckpointError('short-read', { file: file.path }, `the inflated copy ends at ${at}`);
        at += got;
      }
    },
    close() {
      if (fd >= 0) closeSync(fd);
      fd = -1;
    },
  };
}

function openExisting(name: string, bytes: number): number {
  if (!existsSync(name)) return -1;
  const fd = openSync(name, 'r');
  if (fstatSync(fd).size === bytes) return fd;
  closeSync(fd);
  return -1;
}

function write(source: ByteSource, file: FileStamp, part: string, inflatedBytes: number): void {
  const { bavail, bsize } = statfsSync(path.dirname(part));
  if (bavail * bsize < inflatedBytes) throw new CheckpointError('disk-full', { file: part }, `a compressed entry inflates to ${inflatedBytes} bytes, ${bavail * bsize} are free`);
  const fd = openSync(part, 'wx', 0o600), piece = new Uint8Array(PIECE_BYTES);
  let read = 0, written = 0;
  const wrong = (detail: string): CheckpointError => new CheckpointError('bad-encoding', { file: file.path }, `a compressed entry does not inflate: ${detail}`);
  try {
    inflateStream(() => {
      checkInterrupted();
      const length = Math.min(PIECE_BYTES, source.byteLength - read);
      source.read(read, read + length, piece);
      read += length;
      return piece.subarray(0, length);
    }, (bytes) => {
      checkInterrupted();
      if (written + bytes.length > inflatedBytes) throw wrong(`it gives more than ${inflatedBytes} bytes`);
      for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done, bytes.length - done);
      written += bytes.length;
    });
  } catch (error) {
    if (error instanceof InflateError) throw wrong(error.message);
    throw error;
  } finally {
    closeSync(fd);
  }
  if (written !== inflatedBytes) throw wrong(`it gives ${written} of ${inflatedBytes} bytes`);
}

let watching = false;
/** A worker ends before its process: only the main thread cleans up, and a pool asks it to (see workers/pool.ts). */
export function removeAtExit(): void {
  if (watching || !isMainThread) return;
  watching = true;
  process.once('exit', removeSpills);
}

/** Removes what this process inflated. Files that are still open keep their bytes on most systems, and their names elsewhere. */
export function removeSpills(): void {
  removeWhere((pid) => pid === process.pid);
}

/** Removes what dead processes left. */
function removeLeftovers(): void {
  removeWhere((pid) => {
    try {
      process.kill(pid, 0);
      return false;
    } catch (error) {
      return (error as NodeJS.ErrnoException).code !== 'EPERM';
    }
  });
}

function removeWhere(test: (pid: number) => boolean): void {
  for (const name of readdirSync(tmpdir())) {
    const match = NAME.exec(name);
    if (match && test(Number(match[1]))) {
      try {
        rmSync(path.join(tmpdir(), name), { force: true });
      } catch {
        // Still open on a system that minds; the next process removes it.
      }
    }
  }
}
