// Real checkpoints out of packages, fetched by scripts/fetchReal.mjs; without a network these are skipped, loudly.
import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { openModel } from '../../../server/core/models/openModel';
import type { Model } from '../../../server/core/models/contract';
import { valuesOf } from './values';

const script = pathToFileURL(path.resolve(__dirname, '../../../scripts/fetchReal.mjs')).href;
const folderOf = async (name: string): Promise<string | null> => ((await import(script)) as { realFolder(name: string): string | null }).realFolder(name);
const elementsBy = (model: Model): Record<string, number> => {
  const found: Record<string, number> = {};
  for (const { dtype, elements } of model.checkpoint.tensors) found[dtype] = (found[dtype] ?? 0) + elements;
  return found;
};
const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

test('an int8 ONNX export of MiniLM: packed weights shown, none of them pruned', async (t) => {
  const folder = await folderOf('minilm-int8-onnx');
  if (folder === null) return t.skip('not fetched');
  const model = openModel(folder), { checkpoint } = model;
  // Numbers of the onnx package over the same file.
  assert.deepEqual([checkpoint.tensors.length, elementsBy(model)], [160, { F32: 83264, I64: 527, BOOL: 1, I8: 22533888 }]);
  const table = valuesOf(checkpoint, 'inner.embeddings.word_embeddings.weight_q');
  assert.deepEqual([table.slice(0, 5), sum(table)], [[-5, -1, -4, 3, -1], 87612]);
  assert.equal(sum(valuesOf(checkpoint, 'val_109_q')), -597660);
  assert.equal(model.roles.some((role) => role.prunable), false);
  assert.equal(model.roles[checkpoint.tensors.findIndex((one) => one.name === 'val_109_q')].role, 'other', 'a quantised weight is no query');
});

test('MiniLM as safetensors: a sentence encoder without a head', async (t) => {
  const folder = await folderOf('minilm-safetensors');
  if (folder === null) return t.skip('not fetched');
  const model = openModel(folder);
  assert.equal(model.checkpoint.tensors.filter((_, i) => model.roles[i].prunable).length, 36);
  assert.equal(sum(Object.values(elementsBy(model))), 22_713_216 + (model.checkpoint.tensors.some((one) => one.name.endsWith('position_ids')) ? 512 : 0));
});

test('a BERT with its MLM head in a pickle stream of old: tied, values as torch reads them', async (t) => {
  const folder = await folderOf('rxnfp-bert');
  if (folder === null) return t.skip('not fetched');
  const model = openModel(folder), { checkpoint } = model;
  assert.deepEqual([checkpoint.format, checkpoint.tensors.length, elementsBy(model)], ['pytorch', 207, { F32: 6893137 }]);
  assert.deepEqual(model.tied, [['bert.embeddings.word_embeddings.weight', 'cls.predictions.decoder.weight']]);
  const values = valuesOf(checkpoint, 'bert.embeddings.token_type_embeddings.weight');
  assert.deepEqual(values.slice(0, 3), [0.005775496829301119, -0.014686588197946548, 0.01888086088001728]);
  assert.ok(Math.abs(sum(values) - -0.0052986427617724985) < 1e-12);
});
