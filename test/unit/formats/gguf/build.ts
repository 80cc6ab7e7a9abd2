import { ggmlTypeNamed } from '../../../../server/core/formats/gguf/ggmlTypes';

/** A value of GGUF metadata: its type id and the bytes it is made of. */
export type Value = readonly ['u32', number] | readonly ['u16', number] | readonly ['i32', number] | readonly ['f32', number] | readonly ['bool', boolean] | readonly ['text', string]
  | readonly ['texts', readonly string[]] | readonly ['floats', readonly number[]] | readonly ['ints', readonly number[]] | readonly ['raw', number, Uint8Array];

export interface Sketch { readonly name: string; readonly type: string; /** Row-major. */ readonly shape: readonly number[]; readonly bytes: Uint8Array; readonly offset?: number; readonly typeId?: number }
export interface FileOptions { readonly version?: number; readonly bigEndian?: boolean; readonly alignment?: number; readonly tensorCount?: number }

/** Bytes in one byte order. */
class Writer {
  private readonly parts: Uint8Array[] = [];
  length = 0;
  constructor(private readonly little: boolean, private readonly short: boolean) {}
  bytes(part: Uint8Array): this { this.parts.push(part); this.length += part.length; return this; }
  number(size: number, set: (view: DataView) => void): this { const view = new DataView(new ArrayBuffer(size)); set(view); return this.bytes(new Uint8Array(view.buffer)); }
  u16(value: number): this { return this.number(2, (view) => { view.setUint16(0, value, this.little); }); }
  u32(value: number): this { return this.number(4, (view) => { view.setUint32(0, value, this.little); }); }
  f32(value: number): this { return this.number(4, (view) => { view.setFloat32(0, value, this.little); }); }
  u64(value: number | bigint): this { return this.number(8, (view) => { view.setBigUint64(0, BigInt(value), this.little); }); }
  count(value: number): this { return this.short ? this.u32(value) : this.u64(value); }
  text(value: string): this { const bytes = new TextEncoder().encode(value); return this.count(bytes.length).bytes(bytes); }
  pad(to: number): this { return this.bytes(new Uint8Array(Math.ceil(this.length / to) * to - this.length)); }
  done(): Uint8Array { return new Uint8Array(Buffer.concat(this.parts)); }
}

function put(w: Writer, value: Value): void {
  switch (value[0]) {
    case 'u32': w.u32(4).u32(value[1]); break;
    case 'u16': w.u32(2).u16(value[1]); break;
    case 'i32': w.u32(5).u32(value[1] >>> 0); break;
    case 'f32': w.u32(6).f32(value[1]); break;
    case 'bool': w.u32(7).bytes(Uint8Array.of(value[1] ? 1 : 0)); break;
    case 'text': w.u32(8).text(value[1]); break;
    case 'texts': w.u32(9).u32(8).count(value[1].length); for (const text of value[1]) w.text(text); break;
    case 'floats': w.u32(9).u32(6).count(value[1].length); for (const x of value[1]) w.f32(x); break;
    case 'ints': w.u32(9).u32(5).count(value[1].length); for (const x of value[1]) w.u32(x >>> 0); break;
    case 'raw': w.u32(value[1]).bytes(value[2]); break;
  }
}

/** A GGUF file. Tensor bytes are given as they are to stand in the file. */
export function ggufFile(metadata: Readonly<Record<string, Value>>, tensors: readonly Sketch[], options: FileOptions = {}): Uint8Array {
  const { version = 3, bigEndian = false, alignment = 32 } = options;
  const w = new Writer(!bigEndian, version === 1);
  w.bytes(new TextEncoder().encode('GGUF')).u32(version).count(options.tensorCount ?? tensors.length).count(Object.keys(metadata).length);
  for (const [key, value] of Object.entries(metadata)) put(w.text(key), value);
  let offset = 0;
  for (const { name, type, shape, bytes, offset: given, typeId } of tensors) {
    w.text(name).u32(shape.length);
    for (const size of [...shape].reverse()) w.count(size);
    w.u32(typeId ?? ggmlTypeNamed(type)!.id).u64(given ?? offset);
    offset = Math.ceil((offset + bytes.length) / alignment) * alignment;
  }
  w.pad(alignment);
  for (const { bytes } of tensors) w.bytes(bytes).pad(alignment);
  return w.done();
}

export const f32Bytes = (values: readonly number[], bigEndian = false): Uint8Array => {
  const view = new DataView(new ArrayBuffer(values.length * 4));
  values.forEach((value, i) => { view.setFloat32(i * 4, value, !bigEndian); });
  return new Uint8Array(view.buffer);
};
