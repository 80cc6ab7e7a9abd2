import { CheckpointError } from '../../errors';
import type { EncodingStep } from '../../tensor/encoding';
import type { ByteSource } from '../byteSource';

/** Bytes of the message held at a time. */
const WINDOW_BYTES = 2 ** 18;
/** A place to start again from is remembered each time this many items have gone by. */
const MARK_ITEMS = 2 ** 16;

/** Where the walk stands: the next byte, and the end of the packed run that it is in (0 outside of one). */
interface Place { readonly at: number; readonly runTo: number }

/**
 * The values of one repeated number field of a message, in order, packed or not or both, as contiguous little-endian
 * items. Varints have no fixed size, so reading walks; forwards it goes on where it was, backwards from the last mark.
 *
 * @throws CheckpointError `bad-encoding`
 */
export function protobufField(source: ByteSource, step: Extract<EncodingStep, { kind: 'protobuf' }>): ByteSource {
  const walker = new Walker(source, step), { itemBytes } = step;
  return {
    path: source.path,
    byteLength: step.decodedBytes,
    read(from, to, into) {
      const item = new Uint8Array(itemBytes);
      walker.seek(Math.floor(from / itemBytes));
      for (let at = from - (from % itemBytes); at < to; at += itemBytes) {
        walker.next(item);
        if (at >= from && at + itemBytes <= to) into.set(item, at - from);
        else for (let i = Math.max(0, from - at); i < itemBytes && at + i < to; i++) into[at + i - from] = item[i];
      }
    },
    close: () => source.close(),
  };
}

class Walker {
  private readonly window: Uint8Array;
  private windowFrom = 0;
  private windowTo = 0;
  private place: Place = { at: 0, runTo: 0 };
  private item = 0;
  private readonly marks: Place[] = [{ at: 0, runTo: 0 }];

  constructor(private readonly source: ByteSource, private readonly step: Extract<EncodingStep, { kind: 'protobuf' }>) {
    this.window = new Uint8Array(Math.min(WINDOW_BYTES, source.byteLength));
  }

  seek(item: number): void {
    if (item < this.item || item - this.item > MARK_ITEMS) {
      const mark = Math.min(Math.floor(item / MARK_ITEMS), this.marks.length - 1);
      if (item < this.item || mark * MARK_ITEMS > this.item) {
        this.place = this.marks[mark];
        this.item = mark * MARK_ITEMS;
      }
    }
    const skipped = new Uint8Array(this.step.itemBytes);
    while (this.item < item) this.next(skipped);
  }

  /** The next item, little endian. A varint longer than an item keeps its low bytes: negative numbers have ten. */
  next(into: Uint8Array): void {
    const { wire } = this.step;
    let { at, runTo } = this.place;
    if (at >= runTo) [at, runTo] = this.nextRun(at);
    into.fill(0);
    if (wire === 'varint') {
      let bits = 0;
      for (let more = true; more; bits += 7) {
        if (at >= runTo || bits > 63) throw this.broken(at);
        const byte = this.byte(at++), low = byte & 127, index = bits >> 3, shift = bits & 7;
        more = byte > 127;
        if (index < into.length) into[index] |= low << shift;
        if (shift > 1 && index + 1 < into.length) into[index + 1] |= low >> (8 - shift);
      }
    } else {
      const size = wire === 'fixed32' ? 4 : 8;
      if (at + size > runTo) throw this.broken(at);
      for (let i = 0; i < size; i++) into[i] = this.byte(at + i);
      at += size;
    }
    this.place = { at, runTo };
    this.item++;
    if (this.item === this.marks.length * MARK_ITEMS) this.marks.push(this.place);
  }

  /** Skips other fields up to the next values. */
  private nextRun(from: number): [at: number, runTo: number] {
    const { byteLength } = this.source;
    for (let at = from; at < byteLength;) {
      const [tag, start] = this.varint(at), number = Math.floor(tag / 8), wire = tag % 8;
      let content = start, end = start;
      if (wire === 0) end = this.varint(start)[1];
      else if (wire === 1) end = start + 8;
      else if (wire === 5) end = start + 4;
      else if (wire === 2) {
        const [length, first] = this.varint(start);
        content = first;
        end = first + length;
      } else throw this.broken(at);
      if (end > byteLength) throw this.broken(at);
      if (number === this.step.field && end > content) return [content, end];
      at = end;
    }
    throw new CheckpointError('bad-encoding', { file: this.source.path }, `${this.item} values are there, more are needed`);
  }

  private varint(from: number): [value: number, next: number] {
    let value = 0, scale = 1;
    for (let at = from; at < this.source.byteLength && at < from + 10; scale *= 128) {
      const byte = this.byte(at++);
      value += (byte & 127) * scale;
      if (byte < 128) return [value, at];
    }
    throw this.broken(from);
  }

  private byte(at: number): number {
    if (at < this.windowFrom || at >= this.windowTo) {
      if (at >= this.source.byteLength) throw this.broken(at);
      this.windowFrom = at;
      this.windowTo = Math.min(this.source.byteLength, at + this.window.length);
      this.source.read(this.windowFrom, this.windowTo, this.window);
    }
    return this.window[at - this.windowFrom];
  }

  private broken(at: number): CheckpointError {
    return new CheckpointError('bad-encoding', { file: this.source.path }, `byte ${at} of a tensor's values is no number`);
  }
}
