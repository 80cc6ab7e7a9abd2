import { readSync } from 'node:fs';
import { CheckpointError } from '../../errors';

/** How much is read at once; values longer than that are only skipped over. */
const WINDOW_BYTES = 64 * 1024;

/** One field of a message, where it lies in the file. */
export interface ProtoField {
  readonly number: number;
  /** 0 varint, 1 eight bytes, 2 length-delimited, 5 four bytes. */
  readonly wire: 0 | 1 | 2 | 5;
  /** Of a varint: exact up to 2^53, larger ones are rounded and stay larger (a negative int64 is near 2^64). */
  readonly value: number;
  /** First byte of the field, its tag. */
  readonly tagFrom: number;
  /** The content [from, to): of a length-delimited field without its length. */
  readonly from: number;
  readonly to: number;
}

/**
 * Walks protocol buffer messages inside an open file by positioned reads: nothing but one window is in memory, and every
 * length is checked against the message around it before it is followed. protobuf.dev/programming-guides/encoding
 */
export class ProtoReader {
  private readonly window = new Uint8Array(WINDOW_BYTES);
  private at = 0;
  private held = 0;

  constructor(private readonly fd: number, private readonly file: string, readonly byteLength: number) {}

  private byte(position: number): number {
    if (position < this.at || position >= this.at + this.held) {
      this.at = position;
      this.held = readSync(this.fd, this.window, 0, this.window.length, position);
      if (this.held === 0) throw new CheckpointError('short-read', { file: this.file }, `nothing at byte ${position} of ${this.byteLength}`);
    }
    return this.window[position - this.at];
  }

  /** A varint that ends before `end`: its value and the byte after it. */
  private varint(from: number, end: number): readonly [value: number, next: number] {
    let value = 0, scale = 1;
    for (let at = from; at < end && at < from + 10; at++, scale *= 128) {
      const byte = this.byte(at);
      value += (byte & 127) * scale;
      if (byte < 128) return [value, at + 1];
    }
    throw this.damaged(from, end - from < 10 ? 'a number runs past its end' : 'a number of more than 10 bytes');
  }

  /** The fields of the message [from, to). @throws CheckpointError `file-cut-short`, `file-damaged` */
  *fields(from: number, to: number): Generator<ProtoField> {
    for (let at = from; at < to;) {
      const [tag, next] = this.varint(at, to);
      const number = Math.floor(tag / 8), wire = tag % 8;
      if (number < 1 || number > 536_870_911) throw this.damaged(at, `field number ${number}`);
      let value = 0, start = next, end = next;
      if (wire === 0) [value, end] = this.varint(next, to);
      else if (wire === 1) end = next + 8;
      else if (wire === 5) end = next + 4;
      else if (wire === 2) {
        [value, start] = this.varint(next, to);
        end = start + value;
      } else throw this.damaged(at, `wire type ${wire}`);
      if (end > to) {
        if (to === this.byteLength) throw new CheckpointError('file-cut-short', { file: this.file }, `what begins at byte ${at} ends at ${end}, but ${this.byteLength} bytes are there`);
        throw this.damaged(at, `ends at ${end}, the message around it at ${to}`);
      }
      yield { number, wire: wire as ProtoField['wire'], value, tagFrom: at, from: start, to: end };
      at = end;
    }
  }

  /** Packed or single varints of a field. */
  *varints(field: ProtoField): Generator<number> {
    if (field.wire === 0) yield field.value;
    else if (field.wire === 2) for (let at = field.from; at < field.to;) {
      const [value, next] = this.varint(at, field.to);
      yield value;
      at = next;
    } else throw this.damaged(field.tagFrom, `field ${field.number} is no whole number`);
  }

  /** The bytes of a field. @throws CheckpointError `file-damaged` when there are more than `most` */
  bytes(field: ProtoField, most: number): Uint8Array<ArrayBuffer> {
    const length = field.to - field.from;
    if (field.wire !== 2 || length > most) throw this.damaged(field.tagFrom, `field ${field.number} of ${length} bytes, at most ${most} make sense`);
    return this.raw(field.from, field.to);
  }

  /** The bytes [from, to) of the file; the caller bounds how many. */
  raw(from: number, to: number): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(to - from);
    for (let done = 0; done < bytes.length;) {
      const got = readSync(this.fd, bytes, done, bytes.length - done, from + done);
      if (got === 0) throw new CheckpointError('short-read', { file: this.file }, `wanted ${bytes.length} bytes at ${from}`);
      done += got;
    }
    return bytes;
  }

  /** @throws CheckpointError `file-damaged` when it is longer than `most` bytes or not UTF-8 */
  text(field: ProtoField, most: number): string {
    const bytes = this.bytes(field, most);
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    } catch {
      throw this.damaged(field.tagFrom, `field ${field.number} is not UTF-8`);
    }
  }

  /** The content of a field that has to be a message. */
  message(field: ProtoField): readonly [from: number, to: number] {
    if (field.wire !== 2) throw this.damaged(field.tagFrom, `field ${field.number} is no message`);
    return [field.from, field.to];
  }

  damaged(at: number, what: string): CheckpointError {
    return new CheckpointError('file-damaged', { file: this.file }, `at byte ${at} of ${this.byteLength}: ${what}`);
  }
}
