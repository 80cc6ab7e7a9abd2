// Hand-made pickles (protocol 2), archives and streams, as torch.save lays them out.
import { crc32 } from 'node:zlib';

export function concat(...parts: (string | Uint8Array)[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : Buffer.from(part)))));
}
const u32 = (value: number): Uint8Array => { const bytes = new Uint8Array(4); new DataView(bytes.buffer).setUint32(0, value, true); return bytes; };

export const none = (): Uint8Array => concat('N');
export const int = (value: number): Uint8Array => {
  if (value >= -(2 ** 31) && value < 2 ** 31) return concat('J', u32(value >>> 0));
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigInt64(0, BigInt(value), true);
  return concat('\x8a\x08', bytes);
};
export const text = (value: string): Uint8Array => { const bytes = Buffer.from(value); return concat('X', u32(bytes.length), bytes); };
export const global = (module: string, name: string): Uint8Array => concat(`c${module}\n${name}\n`);
export const tuple = (...items: Uint8Array[]): Uint8Array => concat('(', ...items, 't');
export const reduce = (callable: Uint8Array, args: Uint8Array): Uint8Array => concat(callable, args, 'R');
export const dict = (...entries: [string, Uint8Array][]): Uint8Array => concat('}', '(', ...entries.flatMap(([key, value]) => [text(key), value]), 'u');
export const binput = (index: number): Uint8Array => concat('q', String.fromCharCode(index));

/** A float tensor in storage `key`. */
export function tensorPickle(key: string, numel: number, shape: readonly number[], options: { readonly stride?: readonly number[]; readonly offset?: number } = {}): Uint8Array {
  const stride = options.stride ?? shape.map((_, axis) => shape.slice(axis + 1).reduce((a, b) => a * b, 1));
  const storage = concat(tuple(text('storage'), global('torch', 'FloatStorage'), text(key), text('cpu'), int(numel)), 'Q');
  return reduce(global('torch._utils', '_rebuild_tensor_v2'), tuple(storage, int(options.offset ?? 0), tuple(...shape.map(int)), tuple(...stride.map(int)), concat('\x89'), none()));
}

/** An archive of stored entries, aligned as torch.save does it. `claim` says of some that they are deflated and inflate to so many bytes. */
export function storedZip(files: Readonly<Record<string, Uint8Array>> | readonly (readonly [string, Uint8Array])[], options: { readonly claim?: Readonly<Record<string, number>> } = {}): Uint8Array {
  const list = Array.isArray(files) ? files as readonly (readonly [string, Uint8Array])[] : Object.entries(files as Readonly<Record<string, Uint8Array>>);
  const locals: Uint8Array[] = [], central: Uint8Array[] = [];
  let at = 0;
  for (const [name, content] of list) {
    const path = Buffer.from(name), claimed = options.claim?.[name];
    const fields = (extra: number, offset: number | null): Uint8Array => {
      const head = Buffer.alloc(offset === null ? 30 : 46), base = offset === null ? 4 : 6;
      head.writeUInt32LE(offset === null ? 0x04034b50 : 0x02014b50, 0);
      head.writeUInt16LE(20, base);
      head.writeUInt16LE(0x800, base + 2);
      head.writeUInt16LE(claimed === undefined ? 0 : 8, base + 4);
      head.writeUInt32LE(crc(content), base + 10);
      head.writeUInt32LE(content.length, base + 14);
      head.writeUInt32LE(claimed ?? content.length, base + 18);
      head.writeUInt16LE(path.length, base + 22);
      head.writeUInt16LE(extra, base + 24);
      if (offset !== null) head.writeUInt32LE(offset, 42);
      return head;
    };
    // torch.save fills up the header so that the data begin at a multiple of 64.
    const bare = at + 30 + path.length + 4, filling = new Uint8Array(4 + ((64 - (bare % 64)) % 64)).fill(0x5a);
    new DataView(filling.buffer).setUint16(0, 0x4246, true);
    new DataView(filling.buffer).setUint16(2, filling.length - 4, true);
    const local = concat(fields(filling.length, null), path, filling, content);
    central.push(concat(fields(0, at), path));
    locals.push(local);
    at += local.length;
  }
  const directory = concat(...central), end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(list.length, 8);
  end.writeUInt16LE(list.length, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(at, 16);
  return concat(...locals, directory, end);
}

// Not in every Node of the supported range; readers here do not look at it.
const crc = (bytes: Uint8Array): number => (typeof crc32 === 'function' ? crc32(bytes) : 0);

/** The stream format: magic, protocol, system, object, keys, then the storages. */
export function streamOf(object: Uint8Array, keys: readonly string[], storages: readonly Uint8Array[], parts: { readonly system?: Uint8Array; readonly keys?: Uint8Array } = {}): Uint8Array {
  const list = concat('\x80\x02]', '(', ...keys.map(text), 'e.');
  return concat(
    '\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.', '\x80\x02M\xe9\x03.', parts.system ?? concat('\x80\x02', dict(['little_endian', concat('\x88')]), '.'), object, parts.keys ?? list,
    ...storages.map((bytes) => { const head = new Uint8Array(8); new DataView(head.buffer).setBigInt64(0, BigInt(bytes.length / 4), true); return concat(head, bytes); }),
  );
}
