import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { findWrapping } from '../../../../server/core/formats/pytorch/prefixes';
import { openModel } from '../../../../server/core/models/openModel';
import { scratch, winnow } from '../../pruning/helpers';
import { concat, dict, storedZip, tensorPickle } from './buildPickle';

const rows: readonly (readonly [string, readonly string[], readonly string[], readonly string[]])[] = [
  ['DataParallel', ['module.h.0.w', 'module.wte.weight'], ['module.'], ['h.0.w', 'wte.weight']],
  ['DDP around torch.compile', ['module._orig_mod.h.0.w'], ['module.', '_orig_mod.'], ['h.0.w']],
  ['torch.compile around DDP', ['_orig_mod.module.h.0.w'], ['_orig_mod.', 'module.'], ['h.0.w']],
  ['blocks compiled one by one', ['model.layers.0._orig_mod.mlp.w', 'model.norm.weight'], ['_orig_mod.'], ['model.layers.0.mlp.w', 'model.norm.weight']],
  ['a trainer around a Llama', ['model.model.layers.0.w', 'model.lm_head.weight'], ['model.'], ['model.layers.0.w', 'lm_head.weight']],
  ['a trainer around a GPT-2', ['model.transformer.h.0.w', 'model.transformer.wte.weight'], ['model.'], ['transformer.h.0.w', 'transformer.wte.weight']],
  ['a trainer around a T5', ['model.shared.weight', 'model.encoder.block.0.w'], ['model.'], ['shared.weight', 'encoder.block.0.w']],
  ['a Llama without its head', ['model.layers.0.w', 'model.embed_tokens.weight'], [], ['model.layers.0.w', 'model.embed_tokens.weight']],
  ['an OPT', ['model.decoder.layers.0.w', 'model.decoder.embed_tokens.weight'], [], ['model.decoder.layers.0.w', 'model.decoder.embed_tokens.weight']],
  ['one name without the prefix', ['module.a', 'b'], [], ['module.a', 'b']],
  ['two names that would become one', ['a._orig_mod.b', 'a.b'], [], ['a._orig_mod.b', 'a.b']],
  ['a name that is the prefix alone', ['module.'], [], ['module.']],
  ['module within names', ['a.module.b'], [], ['a.module.b']],
  ['nothing', [], [], []],
];
for (const [title, names, found, bare] of rows) {
  test(`names of ${title}: ${found.join(' and ') || 'nothing'} is taken away`, () => {
    const wrapping = findWrapping(names);
    assert.deepEqual([wrapping.found, names.map(wrapping.name)], [found, bare]);
  });
}

test('a wrapped .bin beside its config inspects, evaluates and prunes as the model itself, and the copy has the model\'s names', async () => {
  const root = path.resolve(__dirname, '../../../..'), source = path.join(root, 'media/tiny-gpt2'), folder = scratch('wrapped');
  const { checkpoint } = openModel(source), file = readFileSync(checkpoint.files[0].path), { tensors } = checkpoint;
  const write = (name: string, prefix: string): string => {
    const made = path.join(folder, name);
    mkdirSync(made);
    for (const small of readdirSync(source)) if (small.endsWith('.json')) copyFileSync(path.join(source, small), path.join(made, small));
    const state = dict(...tensors.map((one, i): [string, Uint8Array] => [`${prefix}${one.name}`, tensorPickle(String(i), one.elements, one.shape)]));
    writeFileSync(path.join(made, 'pytorch_model.bin'), storedZip([['m/data.pkl', concat('\x80\x02', name === 'trainer' ? dict(['state_dict', state]) : state, '.')], ...tensors.map((one, i): [string, Uint8Array] => [`m/data/${i}`, new Uint8Array(file.subarray(one.from, one.to))])]));
    return made;
  };
  const text = path.join(folder, 'text.txt');
  writeFileSync(text, 'It was the best of times, it was the worst of times. '.repeat(40));
  const evaluated = async (at: string): Promise<unknown> => ((await winnow(['eval', at, '--text', text, '--context', '64', '--provider', 'cpu'])).json as { value: number }).value;
  const plain = await evaluated(source);
  assert.equal(typeof plain, 'number');
  for (const [name, prefix] of [['ddp', 'module.'], ['compiled', '_orig_mod.module.'], ['trainer', 'model.']] as const) {
    const at = write(name, prefix), model = openModel(at);
    assert.deepEqual(model.checkpoint.tensors.map((tensor) => [tensor.name, tensor.storedName]), tensors.map((tensor) => [tensor.name, `${prefix}${tensor.name}`]));
    assert.deepEqual(model.roles, openModel(source).roles);
    const said = model.problems.find(({ code }) => code === 'prefix-removed');
    assert.ok(said?.detail.includes(prefix.split('.')[0]), said?.detail);
    assert.equal(await evaluated(at), plain);
    const out = path.join(folder, `${name}-pruned`), { code, json, err } = await winnow(['prune', at, '--sparsity', '0.5', '--out', out]);
    assert.equal(code, 0, err);
    assert.deepEqual(openModel(out).checkpoint.tensors.map((tensor) => tensor.name).sort(), tensors.map((tensor) => tensor.name).sort());
    assert.ok((json as { problems: { code: string; detail: string }[] }).problems.some((problem) => problem.code === 'other-format-written' && problem.detail.includes('names that the model itself')));
  }
});
