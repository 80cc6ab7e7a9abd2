import assert from 'node:assert/strict';
import { existsSync, truncateSync } from 'node:fs';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { runJob } from '../../../server/core/job';
import { countedAsParameters, countedAsPrunable } from '../../../server/core/models/counting';
import { applyArchitecture, openModel } from '../../../server/core/models/openModel';
import { inspect, inspectJson } from '../../../server/rpc/verbs/inspect';
import type { Arguments, VerbContext } from '../../../server/rpc/verbs/contract';
import { rawFile, scratch, sketch, soundFile, type Sketch } from '../formats/build';

const room = scratch();
after(room.close);
let folders = 0;
function model(tensors: readonly Sketch[], config?: unknown): ReturnType<typeof openModel> {
  const name = `m${folders++}`;
  room.write(`${name}/model.safetensors`, soundFile(tensors));
  if (config !== undefined) room.write(`${name}/config.json`, JSON.stringify(config));
  return openModel(path.join(room.folder, name));
}
const codes = (opened: ReturnType<typeof openModel>): string[] => opened.problems.map((problem) => problem.code);

const wte = sketch('transformer.wte.weight', [8, 4], 3);
const head = { ...wte, name: 'lm_head.weight' };
const block = [sketch('transformer.h.0.attn.c_attn.weight', [4, 12]), sketch('transformer.h.0.attn.bias', [1, 1, 4, 4]), sketch('transformer.wpe.weight', [4, 4])];

describe('tied tensors', () => {
  test('tied by the config and equal byte for byte are one parameter', () => {
    for (const config of [{ model_type: 'gpt2' }, undefined]) {
      const opened = model([head, wte, ...block], config);
      assert.deepEqual(opened.tied, [['transformer.wte.weight', 'lm_head.weight']]);
      assert.deepEqual(codes(opened), ['buffer-stored']);
      assert.equal(inspectJson(opened).parameters, 32 + 48 + 16);
    }
  });

  test('equal but not tied by the config are two parameters', () => {
    const opened = model([wte, head, ...block], { model_type: 'gpt2', tie_word_embeddings: false });
    assert.deepEqual(opened.tied, []);
    assert.equal(inspectJson(opened).parameters, 64 + 48 + 16);
  });

  test('tied by the config but different are two parameters, and remarked on', () => {
    const changed = Uint8Array.from(head.data);
    changed[changed.length - 1] ^= 0x80;
    for (const other of [{ ...head, data: changed }, { ...head, shape: [4, 8] }, { ...head, dtype: 'I32' as const }]) {
      const opened = model([wte, other, ...block], { model_type: 'gpt2' });
      assert.deepEqual(opened.tied, []);
      assert.deepEqual(codes(opened), ['tied-differ', 'buffer-stored']);
    }
  });

  test('a difference behind the first window of the comparison is seen', () => {
    const elements = 5 * 2 ** 20 / 4, file = room.write('large/model.safetensors', rawFile(JSON.stringify({
      'wte.weight': { dtype: 'F32', shape: [elements, 1], data_offsets: [0, elements * 4] }, 'lm_head.weight': { dtype: 'F32', shape: [elements, 1], data_offsets: [elements * 4, elements * 8] },
    }), Buffer.alloc(elements * 8).fill(1, elements * 8 - 1)));
    room.write('large/config.json', '{"model_type":"gpt2"}');
    assert.deepEqual(codes(openModel(file)), ['tied-differ']);
  });

  test('one table under three names, as T5 writes it, is one group', () => {
    const shared = sketch('shared.weight', [8, 4]);
    const opened = model([{ ...shared, name: 'decoder.embed_tokens.weight' }, { ...shared, name: 'encoder.embed_tokens.weight' }, shared, { ...shared, name: 'lm_head.weight' }], { model_type: 't5', tie_word_embeddings: true });
    assert.deepEqual(opened.tied, [['shared.weight', 'encoder.embed_tokens.weight', 'decoder.embed_tokens.weight', 'lm_head.weight']]);
    assert.equal(inspectJson(opened).parameters, 32);
  });

  test('names that share their storage are one parameter', () => {
    const { checkpoint } = model([wte, ...block], { model_type: 'gpt2' });
    const alias = { ...checkpoint.tensors[0], name: 'alias' };
    const opened = applyArchitecture({ ...checkpoint, tensors: [...checkpoint.tensors, alias] });
    assert.deepEqual(opened.tied, [['transformer.wte.weight', 'alias']]);
  });

  test('a tied copy is prunable only once', () => {
    const q = sketch('model.layers.0.self_attn.q_proj.weight', [4, 4]);
    const { checkpoint } = model([q]);
    const opened = applyArchitecture({ ...checkpoint, tensors: [...checkpoint.tensors, { ...checkpoint.tensors[0], name: 'model.layers.1.self_attn.q_proj.weight' }] });
    assert.deepEqual(countedAsPrunable(opened), [true, false]);
    assert.deepEqual(countedAsParameters(opened), [true, false]);
  });
});

describe('the architecture', () => {
  test('model_type decides; without one the names do; an unknown one is said', () => {
    assert.equal(model([wte, ...block], { model_type: 'llama' }).architecture?.id, 'llama');
    assert.equal(model([wte, ...block]).architecture?.id, 'gpt2');
    assert.equal(model([wte, ...block], {}).architecture?.id, 'gpt2');
    for (const type of ['falcon', 'toString', '']) {
      const opened = model([wte, ...block], { model_type: type });
      assert.equal(opened.architecture, null);
      assert.ok(codes(opened).includes('unknown-architecture'));
    }
  });

  test('only float tensors are prunable', () => {
    const name = 'model.layers.0.mlp.up_proj.weight';
    for (const [dtype, size, prunable] of [['F32', 4, true], ['BF16', 2, true], ['F8_E4M3', 1, true], ['I8', 1, false], ['BOOL', 1, false], ['C64', 8, false]] as const) {
      assert.equal(model([{ name, dtype, shape: [2, 2], data: new Uint8Array(4 * size) }], { model_type: 'llama' }).roles[0].prunable, prunable, dtype);
    }
  });
});

describe('winnow inspect', () => {
  const run = async (checkpoint: string): Promise<Awaited<ReturnType<typeof output>>> => output(checkpoint);
  const output = (checkpoint: string): Promise<ReturnType<typeof inspectJson>> => runJob(inspect.run({ positional: [checkpoint] } as unknown as Arguments, { cwd: room.folder } as VerbContext));

  test('prints what DESIGN lists, counted by its rules', async () => {
    room.write('gpt/model.safetensors', soundFile([wte, head, ...block], { format: 'pt' }));
    room.write('gpt/config.json', '{"model_type":"gpt2"}');
    const json = await run('gpt');
    assert.deepEqual(Object.keys(json), ['format', 'path', 'files', 'parameters', 'tensorCount', 'bytes', 'dtypes', 'architecture', 'tied', 'problems', 'tensors']);
    assert.deepEqual([json.parameters, json.tensorCount, json.bytes, json.dtypes, json.architecture], [96, 5, 4 * (32 + 32 + 48 + 16 + 16), { F32: 144 }, 'gpt2']);
    assert.deepEqual(json.tensors[2], { name: 'transformer.h.0.attn.c_attn.weight', dtype: 'F32', shape: [4, 12], parameters: 48, bytes: 192, role: 'attention.qkv', layer: 0, prunable: true });
    const text = inspect.text(json);
    assert.match(text, /^gpt · GPT-2 · 96 parameters \(48 prunable\) · F32 · .* · 1 file$/m);
    assert.match(text, /^tied: transformer\.wte\.weight = lm_head\.weight$/m);
    assert.match(text, /^1 problem\n {2}buffer-stored: /m);
    assert.ok(text.split('\n').every((line) => line === line.trimEnd()));
  });

  test('a model without tensors, and names from a stranger, print safely', async () => {
    room.write('empty.safetensors', rawFile('{"__metadata__":{"a":"b"}}'));
    const nothing = await run('empty.safetensors');
    assert.deepEqual([nothing.parameters, nothing.bytes, nothing.dtypes, nothing.problems], [0, 0, {}, []]);
    assert.match(inspect.text(nothing), /0 parameters .* no tensors/);
    room.write('odd/model.safetensors', soundFile([sketch('a\u001b[31m.attn.bias', [1, 1, 2, 2])]));
     
    assert.doesNotMatch(inspect.text(await run('odd')), /\u001b/);
  });

  test('header only: a checkpoint of terabytes costs no memory', async () => {
    const size = 2 ** 40, file = room.write('sparse.safetensors', rawFile(JSON.stringify({ 'model.layers.0.mlp.up_proj.weight': { dtype: 'F32', shape: [2 ** 19, 2 ** 19], data_offsets: [0, size] } })));
    try {
      truncateSync(file, size + (await import('node:fs')).statSync(file).size);
    } catch {
      console.log('SKIPPED: this disk has no room for a hole of a terabyte');
      return;
    }
    const json = await run(file);
    assert.deepEqual([json.parameters, json.bytes], [2 ** 38, size]);
  });
});

const shared = path.resolve(__dirname, '../../../../shared/models');
if (!existsSync(shared)) console.log('SKIPPED: ../shared/models is not here, so no trained model was inspected');

test('trained models open with the numbers of their makers', { skip: !existsSync(shared) }, () => {
  const rows = [
    ['tiny-gpt2', 'gpt2', 1_484_800, 6 * 12 * 128 * 128, 76],
    ['stories260k-llama', 'llama', 260_032, 5 * (2 * 64 * 64 + 2 * 32 * 64 + 3 * 172 * 64), 47],
    ['tiny-t5', 't5', null, 3 * 12 * 128 * 128 + 3 * 6 * 128 * 256, 74],
  ] as const;
  for (const [name, architecture, parameters, prunable, tensors] of rows) {
    const opened = openModel(path.join(shared, name)), json = inspectJson(opened);
    assert.equal(json.architecture, architecture);
    assert.equal(json.tensorCount, tensors);
    if (parameters !== null) assert.equal(json.parameters, parameters, name);
    assert.equal(json.tensors.reduce((sum, tensor) => sum + (tensor.prunable ? tensor.parameters : 0), 0), prunable, name);
    assert.deepEqual(codes(opened), architecture ? [] : ['unknown-architecture']);
  }
});
