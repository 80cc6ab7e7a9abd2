// Small sound files of each format that the fuzzer damages. All are made here or by the project's own scripts.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { ProtoWriter } from '../../server/core/graph/protobuf';
import { sketch, soundFile } from '../unit/formats/build';
import { f32Bytes, onnxFile, rawF32, tensorProto } from '../unit/formats/protobufBuild';

export interface Seed { readonly name: string; readonly bytes: Uint8Array }

const golden = path.resolve(__dirname, '../golden');

/** The files of a golden folder with these endings, small ones only. */
function goldenFiles(folder: string, endings: RegExp): Seed[] {
  const full = path.join(golden, folder);
  if (!existsSync(full)) return [];
  return readdirSync(full).filter((name) => endings.test(name)).sort().map((name) => ({ name, bytes: readFileSync(path.join(full, name)) })).filter((seed) => seed.bytes.length < 64 * 1024);
}

function onnxSeeds(): Seed[] {
  const attribute = (name: string): ProtoWriter => new ProtoWriter().string(1, name);
  const constant = { op: 'Constant', inputs: [], outputs: ['c'], attributes: [attribute('value').message(5, tensorProto(rawF32('', [2, 3]))).int(20, 4)] };
  const floats = { op: 'Constant', inputs: [], outputs: ['f'], attributes: [attribute('value_floats').float(7, 1).float(7, -2).int(20, 6)] };
  const branch = new ProtoWriter().message(1, new ProtoWriter().string(2, 'inner').string(4, 'Constant').message(5, attribute('value_ints').int(8, 3).int(20, 7))).string(2, 'b');
  const nodes = [constant, floats, { op: 'MatMul', name: '/model/layers.0/q_proj/MatMul', inputs: ['x', 'w'], outputs: ['y'] }, { op: 'If', inputs: ['k'], outputs: ['z'], attributes: [attribute('then_branch').message(6, branch).int(20, 5)] }];
  const typed = [
    rawF32('w', [3, 4]), { name: 'h', dims: [3], type: 10, values: (t: ProtoWriter) => { t.ints(5, [0x3c00, 0, 0xc000]); } }, { name: 'l', dims: [2], type: 7, values: (t: ProtoWriter) => { t.ints(7, [-1, 2 ** 40]); } },
    { name: 'u', dims: [3], type: 1, values: (t: ProtoWriter) => { t.float(4, 1).float(4, 2).float(4, 3); } }, { name: 'd', dims: [1], type: 11, values: (t: ProtoWriter) => { t.bytes(10, new Uint8Array(Float64Array.of(2.5).buffer)); } },
    { name: 'n', dims: [3], type: 22, values: (t: ProtoWriter) => { t.bytes(9, Uint8Array.of(0x21, 0x03)); } }, { name: 's', dims: [1], type: 8, values: (t: ProtoWriter) => { t.string(6, 'text'); } },
  ];
  const sparse = new ProtoWriter().message(1, tensorProto({ name: 'sp', dims: [2], type: 1, values: (t) => { t.bytes(9, f32Bytes(1, 2)); } })).ints(3, [8]);
  return [{ name: 'typed.onnx', bytes: onnxFile(typed, nodes, ['y'], (graph) => { graph.message(15, sparse); }) }, { name: 'plain.onnx', bytes: onnxFile([rawF32('a', [4, 8]), rawF32('b', [8])]) }, ...goldenFiles('onnx', /\.onnx$/)];
}

/** A GGUF file by hand: version, byte order, metadata with nested lists, a plain and a quantised tensor. */
function ggufFile(version: number, little: boolean): Uint8Array {
  const parts: Buffer[] = [];
  const u32 = (value: number): void => { const b = Buffer.alloc(4); if (little) b.writeUInt32LE(value); else b.writeUInt32BE(value); parts.push(b); };
  const u64 = (value: number): void => { const b = Buffer.alloc(8); if (little) b.writeBigUInt64LE(BigInt(value)); else b.writeBigUInt64BE(BigInt(value)); parts.push(b); };
  const size = version === 1 ? u32 : u64;
  const text = (value: string): void => { size(Buffer.byteLength(value)); parts.push(Buffer.from(value)); };
  parts.push(Buffer.from('GGUF'));
  u32(version);
  size(2);
  size(4);
  text('general.architecture'); u32(8); text('llama');
  text('general.alignment'); u32(4); u32(32);
  text('tokenizer.ggml.tokens'); u32(9); u32(8); size(3); text('a'); text('b'); text('c');
  text('nested'); u32(9); u32(9); size(2); u32(4); size(2); u32(1); u32(2); u32(4); size(0);
  text('blk.0.attn_q.weight'); u32(2); size(4); size(3); u32(0); u64(0);
  text('blk.0.ffn_up.weight'); u32(2); size(32); size(2); u32(8); u64(64);
  const head = Buffer.concat(parts), data = Buffer.alloc(64 + 68, 7);
  return Buffer.concat([head, Buffer.alloc((32 - (head.length % 32)) % 32), data]);
}

/** By the format's id. */
export const seeds: Readonly<Record<string, () => readonly Seed[]>> = {
  safetensors: () => [
    { name: 'a.safetensors', bytes: soundFile([sketch('model.layers.0.w', [4, 3]), sketch('b', [5]), { name: 'h', dtype: 'BF16', shape: [2, 2], data: new Uint8Array(8) }], { format: 'pt' }) },
    { name: 'b.safetensors', bytes: soundFile([]) },
  ],
  onnx: onnxSeeds,
  numpy: () => goldenFiles('numpy', /\.np[yz]$/),
  gguf: () => [{ name: 'v3.gguf', bytes: ggufFile(3, true) }, { name: 'v2.gguf', bytes: ggufFile(2, true) }, { name: 'v1.gguf', bytes: ggufFile(1, true) }, { name: 'big.gguf', bytes: ggufFile(3, false) }],
  pytorch: () => goldenFiles('pytorch', /\.(pt|pth|bin|ckpt)$/),
};
