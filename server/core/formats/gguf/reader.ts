import { readSync } from 'node:fs';
import { CheckpointError } from '../../errors';

/** Read ahead at a time. */
const WINDOW_BYTES = 2 ** 18;

/** Names, keys and texts that are kept are no longer than this; longer values are passed over. */
export const MAX_KEPT_TEXT = 2 ** 16;

/**
 * Reads a GGUF header from its start: numbers in the file's byte order, lengths of 32 bits in version 1. Everything is
 * checked against the bytes that are left before it is believed.
 *
 * @throws CheckpointError `header-cut-short` (naming what runs past the end), `short-read`
 */
export class HeaderReader {
  private window = new DataView(new ArrayBuffer(0));
  private windowFrom = 0;
  at = 0;
  littleEndian = true;
  /** Version 1 counts in 32 bits. */
  shortLengths = false;

  constructor(private readonly fd: number, private readonly file: string, readonly byteLength: number) {}

  get left(): number {
    return this.byteLength - this.at;
  }

  private need(bytes: number, what: string): DataView {
    if (bytes > this.left) throw new CheckpointError('header-cut-short', { file: this.file }, `${what} at byte ${this.at} runs past the end, ${this.left} bytes are left`);
    const within = this.at - this.windowFrom;
    if (within < 0 || within + bytes > this.window.byteLength) this.fill(bytes);
    return this.window;
  }

  private fill(bytes: number): void {
    const length = Math.min(this.left, Math.max(bytes, WINDOW_BYTES)), buffer = new Uint8Array(length);
    for (let done = 0; done < length;) {
      const got = readSync(this.fd, buffer, done, length - done, this.at + done);
      if (got === 0) throw new CheckpointError('short-read', { file: this.file }, `wanted ${length} bytes at ${this.at}, got ${done}`);
      done += got;
    }
    this.window = new DataView(buffer.buffer);
    this.windowFrom = this.at;
  }

  private take<T>(bytes: number, what: string, read: (view: DataView, at: number) => T): T {
    const view = this.need(bytes, what), value = read(view, this.at - this.windowFrom);
    this.at += bytes;
    return value;
  }

  u8(what: string): number { return this.take(1, what, (view, at) => view.getUint8(at)); }
  u32(what: string): number { return this.take(4, what, (view, at) => view.getUint32(at, this.littleEndian)); }

  /** A count or an offset: 64 bits, as a number. Beyond 2^53 it is only good for being refused. */
  u64(what: string): number { return this.take(8, what, (view, at) => Number(view.getBigUint64(at, this.littleEndian))); }

  /** A length or count of the header itself. */
  length(what: string): number {
    return this.shortLengths ? this.u32(what) : this.u64(what);
  }

  /** A scalar by its type id; text for 64-bit integers that a number cannot hold. */
  scalar(type: ScalarType, what: string): number | boolean | string {
    const { bytes, read } = scalars[type];
    return this.take(bytes, what, (view, at) => read(view, at, this.littleEndian));
  }

  skip(bytes: number, what: string): void {
    if (!(bytes <= this.left)) throw new CheckpointError('header-cut-short', { file: this.file }, `${what} at byte ${this.at} claims ${bytes} bytes, ${this.left} are left`);
    this.at += bytes;
  }

  /** A text of at most `most` bytes; null when it is longer (it is passed over). */
  text(what: string, most = MAX_KEPT_TEXT): string | null {
    const from = this.at, length = this.length(`the length of ${what}`);
    if (!(length <= this.left)) throw new CheckpointError('header-cut-short', { file: this.file }, `the length of ${what} at byte ${from} runs past the end: ${length} bytes claimed, ${this.left} are left`);
    if (length > most) {
      this.at += length;
      return null;
    }
    return this.take(length, what, (view, at) => decoder.decode(new Uint8Array(view.buffer, view.byteOffset + at, length)));
  }
}

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

const big = (value: bigint): number | string => (Number.isSafeInteger(Number(value)) ? Number(value) : String(value));

type Read = (view: DataView, at: number, little: boolean) => number | boolean | string;
const scalar = (bytes: number, read: Read): { readonly bytes: number; readonly read: Read } => ({ bytes, read });

/** Scalar types of metadata by id: 8 is a text, 9 an array. */
const scalars = {
  0: scalar(1, (view, at) => view.getUint8(at)), 1: scalar(1, (view, at) => view.getInt8(at)),
  2: scalar(2, (view, at, little) => view.getUint16(at, little)), 3: scalar(2, (view, at, little) => view.getInt16(at, little)),
  4: scalar(4, (view, at, little) => view.getUint32(at, little)), 5: scalar(4, (view, at, little) => view.getInt32(at, little)),
  6: scalar(4, (view, at, little) => view.getFloat32(at, little)), 7: scalar(1, (view, at) => view.getUint8(at) !== 0),
  10: scalar(8, (view, at, little) => big(view.getBigUint64(at, little))), 11: scalar(8, (view, at, little) => big(view.getBigInt64(at, little))),
  12: scalar(8, (view, at, little) => view.getFloat64(at, little)),
};

export type ScalarType = keyof typeof scalars;
export const isScalarType = (id: number): id is ScalarType => Object.hasOwn(scalars, id);
export const scalarBytes = (id: ScalarType): number => scalars[id].bytes;
export const TEXT_TYPE = 8;
export const ARRAY_TYPE = 9;
