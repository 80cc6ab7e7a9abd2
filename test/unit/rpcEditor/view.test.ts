import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Model } from '../../../server/core/models/contract';
import { t5 } from '../../../server/core/models/t5';
import type { TensorInfo } from '../../../server/core/tensor/tensorInfo';
import { cellId, makeView } from '../../../server/rpc/editor/view';

test('the heatmap and the tree keep the blocks of an encoder and a decoder apart', () => {
  const names = ['decoder.block.0.layer.0.SelfAttention.q', 'decoder.block.0.layer.1.EncDecAttention.q', 'decoder.block.0.layer.2.DenseReluDense.wo', 'encoder.block.0.layer.0.SelfAttention.q',
    'encoder.block.1.layer.0.SelfAttention.q', 'encoder.block.0.layer.1.DenseReluDense.wo', 'shared'].map((name) => `${name}.weight`);
  const tensors = names.map((name): TensorInfo => ({ name, dtype: 'F32', shape: [4, 4], elements: 16, file: 0, from: 0, to: 64 }));
  const checkpoint = { path: '/model', folder: '/model', name: 'model', format: 'safetensors', files: [], index: null, tensors, config: null, problems: [] };
  const view = makeView({ checkpoint, architecture: t5, roles: tensors.map(({ name, shape }) => t5.role(name, shape)), tied: [], problems: [] } satisfies Model);
  assert.deepEqual(view.heat.roles, ['encoder attention.query', 'encoder mlp.down', 'decoder attention.query', 'decoder mlp.down']);
  assert.deepEqual(view.heat.layers, [0, 1]);
  assert.deepEqual(view.tensorsOf(cellId('encoder attention.query', 0))?.map(({ info }) => info.name), ['encoder.block.0.layer.0.SelfAttention.q.weight']);
  assert.deepEqual(view.tensorsOf(cellId('decoder attention.query', 0))?.length, 2);
  assert.deepEqual(view.groups.map(({ name }) => name), ['shared', 'encoder.block.0', 'encoder.block.1', 'decoder.block.0']);
});
