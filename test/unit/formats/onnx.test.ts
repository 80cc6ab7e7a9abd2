// ONNX: the shared cases, real files, and every way to store a tensor.
import assert from 'node:assert/strict';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, symlinkSync, writeFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { CheckpointError, type ErrorCode } from '../../../server/core/errors';
import { openCheckpoint } from '../../../server/core/formats/openCheckpoint';
import { ProtoWriter } from '../../../server/core/graph/protobuf';
import { openModel } from '../../../server/core/models/openModel';
import { inspectJson } from '../../../server/rpc/verbs/inspect';
import { failsWith, scratch } from './build';
import { external, f32Bytes, onnxFile, rawF32, tensorProto, type TensorSketch } from './protobufBuild';
import { valuesOf } from './values';

const shared = path.resolve(__dirname, '../../../../shared');
const present = existsSync(path.join(shared, 'cases/manifest.json'));
if (!present) console.log('SKIPPED: ../shared is not here, so no onnx-* case and no real ONNX file was tried');

interface Facts {
  readonly tensor_count?: number; readonly param_count?: number; readonly zero_count?: number; readonly zeros?: Readonly<Record<string, number>>; readonly first?: Readonly<Record<string, readonly number[]>>;
  readonly initializer_count?: number; readonly constant_count?: number; readonly param_count_all?: number; readonly param_count_initializers?: number;
}
interface Case { readonly id: string; readonly file: string; readonly expect: 'ok' | 'error'; readonly facts: Facts }
const cases = present ? (JSON.parse(readFileSync(path.join(shared, 'cases/manifest.json'), 'utf8')) as { cases: Case[] }).cases.filter((one) => one.id.startsWith('onnx-')) : [];

const refusals: Readonly<Record<string, readonly [ErrorCode, ...RegExp[]]>> = {
  'onnx-external-missing': ['data-file-missing', /weights\.bin/, /\bA\b/],
  'onnx-external-short': ['offset-out-of-range', /A needs bytes 32 to 96 but w\.bin has 64/],
  'onnx-external-traversal': ['data-file-outside', /\.\.\/onnx-secret\.bin/],
  'onnx-truncated': ['file-cut-short', /214 bytes are there/],
};

const room = scratch();
after(room.close);
const open = (bytes: Uint8Array, name = 'model.onnx'): ReturnType<typeof openCheckpoint> => openCheckpoint(room.write(name, bytes));

describe('the hard ONNX files', () => {
  test('each entry of the manifest is known to this table', { skip: !present }, () => {
    assert.ok(cases.length >= 7);
    for (const one of cases) assert.equal(one.expect === 'error', one.id in refusals, one.id);
  });

  for (const one of cases) {
    const file = path.join(shared, 'cases', one.file), refusal = refusals[one.id];
    if (refusal) {
      test(`${one.id} is refused with ${refusal[0]}`, () => assert.throws(() => openModel(file), failsWith(...(refusal as [ErrorCode, ...RegExp[]]))));
      continue;
    }
    test(`${one.id} opens and its facts hold`, () => {
      const model = openModel(file), { checkpoint } = model, { facts } = one, json = inspectJson(model);
      if (facts.tensor_count !== undefined) assert.equal(json.tensorCount, facts.tensor_count);
      const all = checkpoint.tensors.reduce((sum, tensor) => sum + tensor.elements, 0);
      const initializers = checkpoint.tensors.filter((tensor) => tensor.section !== 'constant');
      if (facts.param_count !== undefined) assert.equal(all, facts.param_count);
      if (facts.param_count_all !== undefined) assert.equal(all, facts.param_count_all);
      if (facts.param_count_initializers !== undefined) assert.equal(initializers.reduce((sum, tensor) => sum + tensor.elements, 0), facts.param_count_initializers);
      if (facts.initializer_count !== undefined) assert.equal(initializers.length, facts.initializer_count);
      if (facts.constant_count !== undefined) assert.equal(checkpoint.tensors.length - initializers.length, facts.constant_count);
      for (const [name, zeros] of Object.entries(facts.zeros ?? {})) assert.equal(valuesOf(checkpoint, name).filter((value) => value === 0).length, zeros, name);
      for (const [name, first] of Object.entries(facts.first ?? {})) for (const io of ['pread', 'mmap'] as const) assert.deepEqual(valuesOf(checkpoint, name, io).slice(0, first.length), first, name);
    });
  }

  test('the secret beside the folder is not opened', { skip: !present }, () => {
    assert.throws(() => openCheckpoint(path.join(shared, 'cases/onnx-external-traversal/model.onnx')), failsWith('data-file-outside'));
  });
});

describe('real ONNX files', () => {
  test('a CNTK export of old: float_data, weights among the inputs', { skip: !present }, () => {
    const { checkpoint, roles } = openModel(path.join(shared, 'files/fixtures-weight-inspect/mnist.onnx'));
    assert.deepEqual(checkpoint.tensors.map(({ name, shape }) => `${name} ${shape.join('x')}`).slice(0, 3), ['Parameter193 16x4x4x10', 'Parameter87 16x8x5x5', 'Parameter5 8x1x5x5']);
    assert.equal(checkpoint.tensors.reduce((sum, tensor) => sum + tensor.elements, 0), 5998);
    assert.equal(roles[checkpoint.tensors.findIndex((tensor) => tensor.name === 'Parameter87')].prunable, false, 'a convolution is not pruned');
  });

  test('Silero VAD as ONNX and as safetensors: the same shapes, and the same filter bank', { skip: !present }, () => {
    // Only the fixed filter bank is the same in both releases; the trained weights are of two trainings.
    const folder = path.join(shared, 'files/silero-vad');
    const graph = openCheckpoint(path.join(folder, 'silero_vad_16k_op15.onnx')), plain = openCheckpoint(path.join(folder, 'silero_vad_16k.safetensors'));
    assert.deepEqual(valuesOf(graph, 'model.stft.forward_basis_buffer'), valuesOf(plain, 'stft_conv.weight'));
    const shapes = (tensors: readonly { readonly shape: readonly number[] }[]): string[] => tensors.map(({ shape }) => shape.join('x')).sort();
    assert.deepEqual(shapes(graph.tensors.filter((tensor) => tensor.section === undefined)), shapes(plain.tensors));
  });
});

/** Data type, the field that holds the values, and what they are. */
const stores: readonly (readonly [title: string, sketch: Omit<TensorSketch, 'name'>, values: readonly number[], dtype: string])[] = [
  ['uint8 in int32_data', { dims: [3], type: 2, values: (t) => { t.ints(5, [0, 200, 255]); } }, [0, 200, 255], 'U8'],
  ['int16 in int32_data, negative in ten bytes', { dims: [3], type: 5, values: (t) => { t.ints(5, [-1, 300, -32768]); } }, [-1, 300, -32768], 'I16'],
  ['int32', { dims: [2], type: 6, values: (t) => { t.ints(5, [-5, 2 ** 31 - 1]); } }, [-5, 2 ** 31 - 1], 'I32'],
  ['bool', { dims: [2], type: 9, values: (t) => { t.ints(5, [1, 0]); } }, [1, 0], 'BOOL'],
  ['uint32 in uint64_data', { dims: [2], type: 12, values: (t) => { t.ints(11, [4294967295, 7]); } }, [4294967295, 7], 'U32'],
  ['int64, one by one', { dims: [2], type: 7, values: (t) => { t.int(7, -3).int(7, 5); } }, [-3, 5], 'I64'],
  ['half floats as bit patterns', { dims: [2], type: 10, values: (t) => { t.ints(5, [0x3c00, 0xc000]); } }, [1, -2], 'F16'],
  ['float8', { dims: [2], type: 17, values: (t) => { t.ints(5, [0x38, 0xb8]); } }, [1, -1], 'F8_E4M3'],
  ['floats in two packed runs', { dims: [3], type: 1, values: (t) => { t.bytes(4, f32Bytes(1)).bytes(4, f32Bytes(2, 3)); } }, [1, 2, 3], 'F32'],
  ['int4, two a byte, low half first', { dims: [3], type: 22, values: (t) => { t.bytes(9, Uint8Array.of(0xf1, 0x08)); } }, [1, -1, -8], 'I8'],
  ['uint2, four a byte', { dims: [4], type: 25, values: (t) => { t.bytes(9, Uint8Array.of(0b11100100)); } }, [0, 1, 2, 3], 'U8'],
  ['complex64 in float_data', { dims: [1], type: 14, values: (t) => { t.bytes(4, f32Bytes(1.5, -2)); } }, [1.5, -2], 'C64'],
];

describe('how a tensor is stored', () => {
  for (const [title, sketch, values, dtype] of stores) {
    test(`${title}`, () => {
      const checkpoint = open(onnxFile([{ name: 'w', ...sketch }]), `${dtype}.onnx`);
      assert.equal(checkpoint.tensors[0].dtype, dtype);
      assert.deepEqual(valuesOf(checkpoint, 'w'), values);
    });
  }

  test('text and sparse tensors are named, not read', () => {
    const sparse = new ProtoWriter().message(1, tensorProto({ name: 's', dims: [2], type: 1, values: (t) => { t.bytes(9, f32Bytes(1, 2)); } })).message(2, tensorProto({ name: '', dims: [2], type: 7, values: (t) => { t.ints(7, [0, 3]); } })).ints(3, [4]);
    const checkpoint = open(onnxFile([rawF32('w', [2, 2]), { name: 't', dims: [1], type: 8, values: (t) => { t.string(6, 'x'); } }], [], ['y'], (graph) => { graph.message(15, sparse); }));
    assert.deepEqual(checkpoint.tensors.map((tensor) => tensor.name), ['w']);
    assert.deepEqual(checkpoint.opaque?.map(({ name, kind }) => `${name} ${kind}`), ['t STRING', 's sparse']);
    assert.deepEqual(checkpoint.problems.map((problem) => problem.code), ['opaque-entries']);
  });

  const broken: readonly (readonly [string, Uint8Array, ErrorCode, RegExp])[] = [
    ['raw data of the wrong size', onnxFile([{ name: 'w', dims: [3], type: 1, values: (t) => { t.bytes(9, f32Bytes(1)); } }]), 'size-mismatch', /needs 12 bytes but has 4/],
    ['too few typed values', onnxFile([{ name: 'w', dims: [3], type: 7, values: (t) => { t.ints(7, [1]); } }]), 'size-mismatch', /3 values, 1/],
    ['no values at all', onnxFile([{ name: 'w', dims: [3], type: 1, values: () => {} }]), 'size-mismatch', /no values/],
    ['an unknown type', onnxFile([{ name: 'w', dims: [1], type: 99, values: (t) => { t.bytes(9, f32Bytes(1)); } }]), 'unknown-dtype', /99/],
    ['a negative size', onnxFile([{ name: 'w', dims: [-1], type: 1, values: (t) => { t.bytes(9, f32Bytes(1)); } }]), 'bad-shape', /./],
    ['a product beyond every file', onnxFile([{ name: 'w', dims: [2 ** 40, 2 ** 40], type: 1, values: (t) => { t.bytes(9, f32Bytes(1)); } }]), 'bad-shape', /./],
    ['the same name twice', onnxFile([rawF32('w', [2]), rawF32('w', [3])]), 'duplicate-tensor', /w/],
    ['an offset that is no number', onnxFile([{ name: 'w', dims: [1], type: 1, values: external('d.bin', { offset: '0x10' }) }]), 'bad-tensor-entry', /offset/],
    ['a data file by a drive letter', onnxFile([{ name: 'w', dims: [1], type: 1, values: external('C:\\d.bin') }]), 'data-file-outside', /C:/],
    ['a data file behind a folder and back', onnxFile([{ name: 'w', dims: [1], type: 1, values: external('sub/../../d.bin') }]), 'data-file-outside', /sub/],
    ['no graph', new ProtoWriter().int(1, 8).string(2, 'x').finish(), 'file-damaged', /no graph/],
  ];
  for (const [title, bytes, code, word] of broken) test(`${title} is refused with ${code}`, () => assert.throws(() => open(bytes), failsWith(code, word)));

  test('a link that leaves the folder is refused, one that stays is followed', { skip: process.platform === 'win32' }, () => {
    const secret = room.write('secret.bin', f32Bytes(1, 2)), inside = path.join(room.folder, 'linked');
    mkdirSync(inside, { recursive: true });
    writeFileSync(path.join(inside, 'real.bin'), f32Bytes(3, 4));
    symlinkSync(secret, path.join(inside, 'out.bin'));
    symlinkSync('real.bin', path.join(inside, 'in.bin'));
    const sketch = (location: string): Uint8Array => onnxFile([{ name: 'w', dims: [2], type: 1, values: external(location) }]);
    assert.throws(() => open(sketch('out.bin'), 'linked/a.onnx'), failsWith('data-file-outside', 'link'));
    assert.deepEqual(valuesOf(open(sketch('in.bin'), 'linked/b.onnx'), 'w'), [3, 4]);
  });

  test('data beyond two gigabytes are reached', () => {
    const at = 2 ** 31 + 4096, file = path.join(room.folder, 'far.bin');
    // A sparse file: no disk is used up.
    const handle = openSync(file, 'w');
    writeSync(handle, f32Bytes(7, 8), 0, 8, at);
    closeSync(handle);
    assert.deepEqual(valuesOf(open(onnxFile([{ name: 'w', dims: [2], type: 1, values: external('far.bin', { offset: String(at), length: '8' }) }])), 'w'), [7, 8]);
  });
});

describe('what a graph says of its weights', () => {
  const attribute = (name: string, value: number): ProtoWriter => new ProtoWriter().string(1, name).int(3, value).int(20, 2);
  const perm = (...axes: number[]): ProtoWriter => {
    const writer = new ProtoWriter().string(1, 'perm');
    for (const axis of axes) writer.int(8, axis);
    return writer.int(20, 7);
  };

  test('matrices that multiply are prunable, their orientation by use; tables, heads and loose tensors are not', () => {
    const nodes = [
      { op: 'Gather', inputs: ['table', 'ids'], outputs: ['h'] },
      { op: 'MatMul', name: '/model/layers.3/mlp/up_proj/MatMul', inputs: ['h', 'onnx::MatMul_7'], outputs: ['a'] },
      { op: 'Gemm', inputs: ['a', 'gemm'], outputs: ['b'], attributes: [attribute('transB', 1)] },
      { op: 'Transpose', inputs: ['turned'], outputs: ['turned_t'], attributes: [perm(1, 0)] },
      { op: 'MatMul', inputs: ['b', 'turned_t'], outputs: ['c'] },
      { op: 'MatMul', inputs: ['c', 'last'], outputs: ['y'] },
      { op: 'Add', inputs: ['y', 'loose'], outputs: ['z'] },
    ];
    const names = ['table', 'onnx::MatMul_7', 'gemm', 'turned', 'last', 'loose'];
    const model = openModel(room.write('uses.onnx', onnxFile(names.map((name) => rawF32(name, [2, 2])), nodes)));
    assert.deepEqual(model.roles.map(({ role, prunable, orientation, layer }) => [role, prunable, orientation, layer]), [
      ['embedding', false, null, null], ['mlp.up', true, 'in-out', 3], ['other', true, 'out-in', null], ['other', true, 'out-in', null], ['head', false, 'in-out', null], ['other', false, null, null],
    ]);
  });
});

test('a folder is opened by the model, not by the data file beside it', { skip: !existsSync(shared) && 'SKIPPED: ../shared is not there' }, () => {
  assert.throws(() => openCheckpoint(path.join(shared, 'cases/onnx-external-short')), (error) => error instanceof CheckpointError && error.code === 'offset-out-of-range' && error.where.tensor === 'A');
});
