import { CheckpointError } from '../../errors';
import { inflateBytes } from '../../bytes/decoders/inflated';
import { readExactly } from '../fileHead';
import { shownName } from '../names';

/** One file of an archive. Sizes come from the central directory: a local header may leave them to later. */
export interface ZipEntry {
  readonly name: string;
  readonly deflated: boolean;
  /** Bytes in the archive. */
  readonly packedBytes: number;
  /** Bytes of the file. */
  readonly bytes: number;
  /** Where its local header is. */
  readonly headerAt: number;
}

const EOCD = 0x06054b50, EOCD64 = 0x06064b50, LOCATOR64 = 0x07064b50, CENTRAL = 0x02014b50, LOCAL = 0x04034b50;
const EOCD_BYTES = 22, CENTRAL_BYTES = 46, LOCAL_BYTES = 30, MAX_COMMENT = 0xffff;
/** A directory entry of torch.save takes about 100 bytes; the largest checkpoints have some 100,000 tensors. */
const MAX_DIRECTORY_BYTES = 64 * 2 ** 20;
/** How far an entry may grow when it is inflated into memory. */
const MAX_INFLATED_BYTES = 64 * 2 ** 20;

/** An open archive: its directory, read and checked, and the bytes of small entries. */
export class ZipReader {
  readonly entries: ReadonlyMap<string, ZipEntry>;

  /** @throws CheckpointError `zip-broken`, `unsupported-format` */
  constructor(private readonly fd: number, private readonly file: string, private readonly byteLength: number) {
    this.entries = this.readDirectory();
  }

  private broken(detail: string): CheckpointError {
    return new CheckpointError('zip-broken', { file: this.file }, detail);
  }

  private bytes(from: number, length: number, what: string): DataView {
    if (from < 0 || length < 0 || from + length > this.byteLength) throw this.broken(`${what} at ${from} does not lie in the ${this.byteLength} bytes of the file`);
    const bytes = readExactly(this.fd, this.file, from, length);
    return new DataView(bytes.buffer, bytes.byteOffset, length);
  }

  private wide(view: DataView, at: number): number {
    const value = view.getBigUint64(at, true);
    if (value > BigInt(this.byteLength)) throw this.broken(`a zip64 field says ${value}, the file has ${this.byteLength} bytes`);
    return Number(value);
  }

  private readDirectory(): Map<string, ZipEntry> {
    const length = Math.min(this.byteLength, EOCD_BYTES + MAX_COMMENT), tailAt = this.byteLength - length, tail = this.bytes(tailAt, length, 'the end');
    let at = length - EOCD_BYTES;
    while (at >= 0 && !(tail.getUint32(at, true) === EOCD && at + EOCD_BYTES + tail.getUint16(at + 20, true) <= length)) at--;
    if (at < 0) throw this.broken('it has no central directory: the file is cut short');
    let count = tail.getUint16(at + 10, true), size = tail.getUint32(at + 12, true), from = tail.getUint32(at + 16, true), end = tailAt + at;
    if (tailAt + at >= 20) {
      const locator = this.bytes(tailAt + at - 20, 20, 'a zip64 locator');
      if (locator.getUint32(0, true) === LOCATOR64) {
        const where = this.wide(locator, 8), record = this.bytes(where, 56, 'the zip64 directory record');
        if (record.getUint32(0, true) !== EOCD64) throw this.broken('its zip64 directory record is not where it should be');
        count = this.wide(record, 32);
        size = this.wide(record, 40);
        from = this.wide(record, 48);
        end = where;
      }
    }
    if (from + size > end || size < count * CENTRAL_BYTES) throw this.broken(`its directory of ${count} entries takes bytes ${from} to ${from + size}, the file has ${this.byteLength}`);
    if (size > MAX_DIRECTORY_BYTES) throw this.broken(`its directory takes ${size} bytes, at most ${MAX_DIRECTORY_BYTES} are read`);
    return this.parseDirectory(this.bytes(from, size, 'the directory'), count);
  }

  private parseDirectory(view: DataView, count: number): Map<string, ZipEntry> {
    const entries = new Map<string, ZipEntry>();
    for (let number = 0, at = 0; number < count; number++) {
      if (at + CENTRAL_BYTES > view.byteLength || view.getUint32(at, true) !== CENTRAL) throw this.broken(`entry ${number} of ${count} is not where it should be`);
      const flags = view.getUint16(at + 8, true), method = view.getUint16(at + 10, true);
      const nameBytes = view.getUint16(at + 28, true), extraBytes = view.getUint16(at + 30, true), commentBytes = view.getUint16(at + 32, true);
      const next = at + CENTRAL_BYTES + nameBytes + extraBytes + commentBytes;
      if (next > view.byteLength) throw this.broken(`entry ${number} of ${count} is longer than the directory`);
      const name = Buffer.from(view.buffer, view.byteOffset + at + CENTRAL_BYTES, nameBytes).toString('utf8');
      const sizes = { bytes: view.getUint32(at + 24, true), packed: view.getUint32(at + 20, true), header: view.getUint32(at + 42, true) };
      this.widen(view, at + CENTRAL_BYTES + nameBytes, extraBytes, sizes);
      if (sizes.header + LOCAL_BYTES + sizes.packed > this.byteLength) throw this.broken(`${shownName(name)} takes ${sizes.packed} bytes from ${sizes.header} on, the file has ${this.byteLength}`);
      if ((flags & 1) !== 0) throw new CheckpointError('unsupported-format', { file: this.file }, `the zip archive is encrypted (${shownName(name)})`);
      if (method !== 0 && method !== 8) throw new CheckpointError('unsupported-format', { file: this.file }, `zip compression method ${method} (${shownName(name)}); only stored and deflated entries are read`);
      if (method === 0 && sizes.packed !== sizes.bytes) throw this.broken(`${shownName(name)} is stored in ${sizes.packed} bytes but has ${sizes.bytes}`);
      // Two entries of one name: readers disagree about which counts, so none does.
      if (entries.has(name)) throw this.broken(`${shownName(name)} appears twice`);
      entries.set(name, { name, deflated: method === 8, packedBytes: sizes.packed, bytes: sizes.bytes, headerAt: sizes.header });
      at = next;
    }
    return entries;
  }

  /** Fields that say 0xFFFFFFFF stand in the zip64 extra field instead, in this order. */
  private widen(view: DataView, from: number, length: number, sizes: { bytes: number; packed: number; header: number }): void {
    for (let at = from; at + 4 <= from + length;) {
      const tag = view.getUint16(at, true), end = at + 4 + view.getUint16(at + 2, true);
      if (end > from + length) return;
      let field = at + 4;
      for (const key of tag === 1 ? (['bytes', 'packed', 'header'] as const) : []) {
        if (sizes[key] !== 0xffffffff || field + 8 > end) continue;
        const value = view.getBigUint64(field, true);
        if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw this.broken(`a zip64 field says ${value}`);
        sizes[key] = Number(value);
        field += 8;
      }
      at = end;
    }
  }

  /** Where the bytes of an entry begin in the file. @throws CheckpointError `zip-broken` */
  dataFrom(entry: ZipEntry): number {
    const view = this.bytes(entry.headerAt, LOCAL_BYTES, `the header of ${shownName(entry.name)}`);
    if (view.getUint32(0, true) !== LOCAL) throw this.broken(`${shownName(entry.name)} does not begin where the directory says`);
    const from = entry.headerAt + LOCAL_BYTES + view.getUint16(26, true) + view.getUint16(28, true);
    if (from + entry.packedBytes > this.byteLength) throw this.broken(`${shownName(entry.name)} ends at ${from + entry.packedBytes}, the file has ${this.byteLength} bytes`);
    return from;
  }

  /** All bytes of a small entry. @throws CheckpointError `zip-broken`, `bad-encoding` */
  read(entry: ZipEntry): Uint8Array {
    const view = this.bytes(this.dataFrom(entry), entry.packedBytes, shownName(entry.name)), packed = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
    if (!entry.deflated) return packed;
    if (entry.bytes > MAX_INFLATED_BYTES) throw this.broken(`${shownName(entry.name)} would inflate to ${entry.bytes} bytes, at most ${MAX_INFLATED_BYTES} are read`);
    return inflateBytes(packed, entry.bytes, this.file);
  }
}
