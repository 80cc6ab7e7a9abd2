import assert from 'node:assert/strict';
import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { openModel } from '../../../server/core/models/openModel';
import { concat, dict, storedZip, tensorPickle } from '../formats/pytorch/buildPickle';
import { shared, sharedIsThere, skipWithout } from '../evaluation/material';
import { scratch, winnow } from './helpers';

const folder = scratch('shared-copies');
const f32 = (n: number): Uint8Array => new Uint8Array(new Float32Array(n).map((_, i) => i / n + 0.25).buffer);

/** A GPT-2 whose head is its embedding, in one storage; `separate` gives the head its own, equal. */
function tied(name: string, separate: boolean, config: Readonly<Record<string, unknown>> | null): string {
  const made = path.join(folder, name);
  mkdirSync(made);
  const state = dict(['transformer.wte.weight', tensorPickle('0', 32, [8, 4])], ['lm_head.weight', tensorPickle(separate ? '2' : '0', 32, [8, 4])], ['transformer.h.0.mlp.c_fc.weight', tensorPickle('1', 64, [4, 16])]);
  writeFileSync(path.join(made, 'pytorch_model.bin'), storedZip([['m/data.pkl', concat('\x80\x02', state, '.')], ['m/data/0', f32(32)], ['m/data/1', f32(64)], ...(separate ? [['m/data/2', f32(32)] as const] : [])]));
  if (config) writeFileSync(path.join(made, 'config.json'), JSON.stringify(config));
  return made;
}

const gpt2 = { model_type: 'gpt2', n_embd: 4, n_layer: 1, n_head: 1, vocab_size: 8 };
const rows = [
  ['one storage, tied by the config', false, gpt2, ['transformer.h.0.mlp.c_fc.weight', 'transformer.wte.weight']],
  ['two storages that are equal', true, gpt2, ['lm_head.weight', 'transformer.h.0.mlp.c_fc.weight', 'transformer.wte.weight']],
  ['one storage, not tied by the config', false, { ...gpt2, tie_word_embeddings: false }, ['lm_head.weight', 'transformer.h.0.mlp.c_fc.weight', 'transformer.wte.weight']],
  ['one storage of an unknown family', false, { model_type: 'something' }, ['lm_head.weight', 'transformer.h.0.mlp.c_fc.weight', 'transformer.wte.weight']],
] as const;
for (const [title, separate, config, names] of rows) {
  test(`of a head and an embedding in ${title}, a copy holds ${names.length === 2 ? 'one' : 'both'}`, async () => {
    const source = tied(title, separate, config);
    for (const [what, words] of [['pruned', ['prune', source, '--sparsity', '0.5']], ['converted', ['convert', source, '--to', 'safetensors']]] as const) {
      const out = path.join(folder, `${title} ${what}`), { code, json, err } = await winnow([...words, '--out', out]);
      assert.equal(code, 0, err);
      const { checkpoint } = openModel(out);
      assert.deepEqual(checkpoint.tensors.map(({ name }) => name).sort(), names, what);
      assert.deepEqual(checkpoint.files[0].metadata, names.length === 2 ? { format: 'pt', 'lm_head.weight': 'transformer.wte.weight' } : { format: 'pt' });
      if (what === 'pruned') assert.equal((json as { problems: { detail: string }[] }).problems.some(({ detail }) => detail.includes('lm_head.weight is transformer.wte.weight')), names.length === 2);
    }
  });
}

test('a pruned ALBERT is not larger than its source; its graph finds the head in the embedding', { skip: skipWithout(sharedIsThere, '../shared') }, async () => {
  const source = path.join(shared, 'models/albert-mlm-legacy-bin'), out = path.join(folder, 'albert');
  const { code, err } = await winnow(['prune', source, '--sparsity', '0.5', '--out', out]);
  assert.equal(code, 0, err);
  const written = openModel(out), given = openModel(source);
  assert.ok(statSync(path.join(out, 'model.safetensors')).size <= statSync(path.join(source, 'pytorch_model.bin')).size);
  assert.deepEqual(new Set(given.checkpoint.tensors.map(({ name }) => name)), new Set([...written.checkpoint.tensors.map(({ name }) => name), 'predictions.decoder.weight', 'predictions.decoder.bias']));
  assert.equal(written.architecture?.id, 'albert');
  assert.doesNotThrow(() => written.architecture!.buildGraph!(written.checkpoint, { masking: 'none', maskable: [], context: 32 }));
});
