// A whole ONNX model through prune, convert, compare and evaluation: small, by hand, with weights inside and beside it.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { buildOnnxFileGraph } from '../../../server/core/graph/onnxFileGraph';
import { ProtoWriter } from '../../../server/core/graph/protobuf';
import { withPlainWeights } from '../../../server/core/evaluation/materialise';
import { drain } from './drain';
import { onnxFileArchitecture } from '../../../server/core/models/onnxFile';
import { openModel } from '../../../server/core/models/openModel';
import type { WindowBatch } from '../../../server/core/runtime/contract';
import { winnow } from '../pruning/helpers';
import { withSession } from '../runtime/fixture';
import { failsWith, scratch } from './build';
import { external, f32Bytes, onnxFile, type NodeSketch, type TensorSketch } from './protobufBuild';
import { valuesOf } from './values';

const VOCAB = 40, WIDTH = 8, LENGTH = 12;
const room = scratch();
after(room.close);

/** Seeded values in [-1, 1). */
function random(count: number, seed: number): Float32Array {
  let state = seed;
  return Float32Array.from({ length: count }, () => { state = (Math.imul(state, 1664525) + 1013904223) >>> 0; return state / 2 ** 31 - 1; });
}
const weights = { table: random(VOCAB * WIDTH, 1), places: random(LENGTH * WIDTH, 2), up: random(WIDTH * WIDTH, 3), head: random(WIDTH * VOCAB, 4) };

const tensor = (name: string, dims: readonly number[], values: Float32Array): TensorSketch => ({ name, dims, type: 1, values: (proto) => { proto.bytes(9, f32Bytes(...values)); } });
const port = (name: string, type: number, dims: readonly (number | string)[]): ProtoWriter => {
  const shape = new ProtoWriter();
  for (const dim of dims) shape.message(1, typeof dim === 'number' ? new ProtoWriter().int(1, dim) : new ProtoWriter().string(2, dim));
  return new ProtoWriter().string(1, name).message(2, new ProtoWriter().message(1, new ProtoWriter().int(1, type).message(2, shape)));
};
const to = (type: number): ProtoWriter => new ProtoWriter().string(1, 'to').int(3, type).int(20, 2);
const off = (name: string): ProtoWriter => new ProtoWriter().string(1, name).int(3, 0).int(20, 2);

const nodes: readonly NodeSketch[] = [
  { op: 'Gather', inputs: ['table', 'input_ids'], outputs: ['words'] },
  { op: 'Gather', inputs: ['places', 'position_ids'], outputs: ['where'] },
  { op: 'Add', inputs: ['words', 'where'], outputs: ['h'] },
  { op: 'MatMul', name: '/model/layers.0/mlp/up_proj/MatMul', inputs: ['h', 'onnx::MatMul_5'], outputs: ['m'] },
  { op: 'Tanh', inputs: ['m'], outputs: ['t'] },
  { op: 'Cast', inputs: ['attention_mask'], outputs: ['kept'], attributes: [to(1)] },
  { op: 'Unsqueeze', inputs: ['kept', 'last'], outputs: ['kept3'] },
  { op: 'Mul', inputs: ['t', 'kept3'], outputs: ['k'] },
  { op: 'ReduceSum', inputs: ['past_key_values.0.key'], outputs: ['nothing'], attributes: [off('keepdims')] },
  { op: 'Add', inputs: ['k', 'nothing'], outputs: ['k1'] },
  { op: 'Add', inputs: ['k1', 'zero'], outputs: ['k2'] },
  { op: 'MatMul', name: '/lm_head/MatMul', inputs: ['k2', 'head'], outputs: ['logits'] },
];

/** The model; `head` lies in a file beside it, the others inside. */
function model(more: (graph: ProtoWriter) => void = () => {}): Uint8Array {
  const tensors: TensorSketch[] = [
    tensor('table', [VOCAB, WIDTH], weights.table), tensor('places', [LENGTH, WIDTH], weights.places), tensor('onnx::MatMul_5', [WIDTH, WIDTH], weights.up),
    { name: 'head', dims: [WIDTH, VOCAB], type: 1, values: external('data/head.bin', { offset: '16', length: String(WIDTH * VOCAB * 4) }) },
    { name: 'last', dims: [1], type: 7, values: (proto) => { proto.ints(7, [-1]); } },
    { name: 'zero', dims: [1], type: 1, values: external('data/zero.bin') },
  ];
  return onnxFile(tensors, nodes, [], (graph) => {
    graph.message(11, port('input_ids', 7, ['batch', 'length'])).message(11, port('attention_mask', 7, ['batch', 'length'])).message(11, port('position_ids', 7, ['batch', 'length']));
    graph.message(11, port('past_key_values.0.key', 1, ['batch', 2, 'past', 4])).message(12, port('logits', 1, ['batch', 'length', VOCAB]));
    more(graph);
  });
}

const folder = path.join(room.folder, 'model');
before(() => {
  mkdirSync(path.join(folder, 'data'), { recursive: true });
  writeFileSync(path.join(folder, 'model.onnx'), model());
  writeFileSync(path.join(folder, 'data/head.bin'), Buffer.concat([Buffer.alloc(16, 9), Buffer.from(f32Bytes(...weights.head)), Buffer.from('tail')]));
  writeFileSync(path.join(folder, 'data/zero.bin'), f32Bytes(0));
  writeFileSync(path.join(folder, 'config.json'), JSON.stringify({ architectures: ['TinyForCausalLM'], max_position_embeddings: LENGTH }));
});

/** Two windows; the loss of three positions of each. */
const ids = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3, 2, 3, 8, 4, 6, 2, 6, 4];
const batch: WindowBatch = {
  inputIds: BigInt64Array.from(ids, BigInt), batch: 2, length: LENGTH,
  positions: BigInt64Array.from([0, 4, 10, 1, 2, 3], BigInt), targets: BigInt64Array.from([1, 9, 8, 9, 3, 39], BigInt),
};

/** The same in double precision. */
function referee(up: ArrayLike<number>): number[] {
  return [...batch.positions].map((place, i) => {
    const at = Number(place), id = ids[(i < 3 ? 0 : LENGTH) + at];
    const h = Array.from({ length: WIDTH }, (_, j) => weights.table[id * WIDTH + j] + weights.places[at * WIDTH + j]);
    const t = Array.from({ length: WIDTH }, (_, j) => Math.tanh(h.reduce((sum, x, k) => sum + x * up[k * WIDTH + j], 0)));
    const logits = Array.from({ length: VOCAB }, (_, j) => t.reduce((sum, x, k) => sum + x * weights.head[k * VOCAB + j], 0));
    const most = Math.max(...logits);
    return Math.log(logits.reduce((sum, x) => sum + Math.exp(x - most), 0)) + most - logits[Number(batch.targets[i])];
  });
}

async function lossesOf(file: string, masking: 'none' | 'thresholds' = 'none', thresholds: Float32Array | null = null): Promise<number[]> {
  const plain = await drain(withPlainWeights(openModel(file), room.folder));
  try {
    const graph = buildOnnxFileGraph(plain.model.checkpoint, { masking, maskable: masking === 'none' ? [] : ['onnx::MatMul_5'], context: LENGTH });
    return await withSession(graph, async (session) => [...(await session.run(batch, thresholds)).losses]);
  } finally {
    plain.close();
  }
}

const close = (found: readonly number[], wanted: readonly number[]): void => {
  assert.equal(found.length, wanted.length);
  found.forEach((value, i) => assert.ok(Math.abs(value - wanted[i]) < 2e-5, `loss ${i}: ${value}, not ${wanted[i]}`));
};

describe('a whole ONNX model', () => {
  test('its losses are those of its own graph, other inputs made up', async () => close(await lossesOf(folder), referee(weights.up)));

  test('where asked, its graph says which targets are the most likely token', async () => {
    const each = [...Array(VOCAB).keys()].map(BigInt), of = (target: bigint): WindowBatch => ({ ...batch, targets: new BigInt64Array(6).fill(target) });
    const plain = await drain(withPlainWeights(openModel(folder), room.folder));
    try {
      const graph = buildOnnxFileGraph(plain.model.checkpoint, { masking: 'none', maskable: [], context: LENGTH, withHits: true });
      await withSession(graph, async (session) => {
        const answers = [];
        for (const target of each) answers.push(await session.run(of(target), null));
        for (let i = 0; i < 6; i++) {
          const least = Math.min(...answers.map(({ losses }) => losses[i]));
          assert.deepEqual(answers.map(({ hits }) => hits?.[i]), answers.map(({ losses }) => Number(losses[i] === least)), `position ${i}`);
        }
      });
    } finally {
      plain.close();
    }
    assert.equal((await withSession(buildOnnxFileGraph(openModel(folder).checkpoint, { masking: 'none', maskable: [], context: LENGTH }), (session) => session.run(batch, null))).hits, undefined, 'it costs nothing where it is not asked for');
  });

  test('pruned, only the pruned weights differ, byte for byte, and masking gives the same losses', async () => {
    const out = path.join(room.folder, 'pruned');
    const { code, err } = await winnow(['prune', folder, '--sparsity', '0.5', '--out', out]);
    assert.equal(code, 0, err);
    const pruned = openModel(out), source = openModel(folder), info = source.checkpoint.tensors.find((one) => one.name === 'onnx::MatMul_5')!;
    const before_ = readFileSync(path.join(folder, 'model.onnx')), now = readFileSync(path.join(out, 'model.onnx'));
    assert.deepEqual(readFileSync(path.join(out, 'data/head.bin')), readFileSync(path.join(folder, 'data/head.bin')));
    assert.equal(now.length, before_.length);
    const changed = [...now.keys()].filter((at) => now[at] !== before_[at]);
    assert.ok(changed.length > 0 && changed.every((at) => at >= info.from && at < info.to), 'the graph is untouched');
    const up = valuesOf(pruned.checkpoint, 'onnx::MatMul_5');
    assert.equal(up.filter((value) => value === 0).length, 32);
    const kept = Math.max(...[...weights.up].filter((_, i) => up[i] === 0).map(Math.abs));
    const written = await lossesOf(out);
    close(written, referee(up));
    assert.deepEqual(await lossesOf(folder, 'thresholds', Float32Array.of(kept)), written);
    close(await lossesOf(folder, 'thresholds', null), referee(weights.up));
  });

  test('converted, it is one safetensors file with the same names and values', async () => {
    const out = path.join(room.folder, 'converted');
    assert.equal((await winnow(['convert', folder, '--to', 'safetensors', '--out', out])).code, 0);
    const { json } = await winnow(['compare', folder, out]);
    assert.equal(JSON.stringify(json).includes('differs'), false, JSON.stringify(json).slice(0, 400));
    assert.deepEqual(openModel(out).checkpoint.files.map((file) => path.basename(file.path)), ['model.safetensors']);
    assert.deepEqual(valuesOf(openModel(out).checkpoint, 'head'), [...weights.head]);
    const narrow = path.join(room.folder, 'narrow.safetensors');
    assert.equal((await winnow(['convert', folder, '--to', 'safetensors', '--dtype', 'BF16', '--out', narrow])).code, 0);
    assert.equal(openModel(narrow).checkpoint.tensors.find((one) => one.name === 'head')?.dtype, 'BF16');
  });

  test('what is no decoder, or wants inputs that do not follow from the text, is refused', () => {
    assert.throws(() => onnxFileArchitecture({ ...openModel(folder), checkpoint: { ...openModel(folder).checkpoint, config: { architectures: ['BertForMaskedLM'] } } }), failsWith('metric-makes-no-sense', 'BertForMaskedLM'));
    assert.throws(() => onnxFileArchitecture({ ...openModel(folder), checkpoint: { ...openModel(folder).checkpoint, config: null } }), failsWith('no-config'));
    mkdirSync(path.join(room.folder, 'pictures/data'), { recursive: true });
    writeFileSync(path.join(room.folder, 'pictures/data/head.bin'), readFileSync(path.join(folder, 'data/head.bin')));
    writeFileSync(path.join(room.folder, 'pictures/data/zero.bin'), f32Bytes(0));
    const file = room.write('pictures/model.onnx', model((graph) => { graph.message(11, port('pixel_values', 1, ['batch', 3])); }));
    assert.throws(() => buildOnnxFileGraph(openModel(file).checkpoint, { masking: 'none', maskable: [], context: 4 }), failsWith('unsupported-config', 'pixel_values'));
  });
});
