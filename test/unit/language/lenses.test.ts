import test from 'node:test';
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { lensesOf, pruneFlags } from '../../../server/language/lenses';
import { percent } from '../../../server/language/percent';
import { readModifierRecipe } from '../../../server/language/modifierRecipe';
import { parseRecipe } from '../../../server/language/recipe';
import { findMethod } from '../../../server/core/pruning/registry';
import { parseArguments } from '../../../server/rpc/arguments';
import { pruneRequest } from '../../../server/rpc/pruneRequest';
import { prune } from '../../../server/rpc/verbs/prune';
import { checkpointAt, documentKind, startsServer } from '../../../server/language/siblings';
import { nearest } from '../../../server/language/nearest';

const file = path.resolve('/models/a #1 100% é/plan.winnow.yaml');

test('each level of a recipe gets its lens on its own line, the sweep is on top', () => {
  const text = 'checkpoint: ./m\nlevels:\n  - 0.1\n  - 0.999\n  - 0\nexclude: ["*.wte.weight", "b"]\nscope: tensor\n';
  const lenses = lensesOf(file, 'recipe', text);
  assert.deepEqual(lenses.map((lens) => [lens.line, lens.title, lens.command]), [
    [0, 'Run sweep', 'winnow.sweep'], [0, 'Inspect', 'winnow.inspect'], [2, 'Prune to 10 %', 'winnow.prune'], [3, 'Prune to 99.9 %', 'winnow.prune'],
  ]);
  assert.deepEqual(lenses[2].argument, { path: path.join(path.dirname(file), 'm'), sparsity: 0.1, flags: ['--scope', 'tensor', '--exclude', '*.wte.weight', 'b'] });
  assert.deepEqual(lenses[0].argument, { path: path.join(path.dirname(file), 'm'), recipe: file });
});

test('what a recipe says of allocation and of the numbers of its method becomes flags that the command line reads alike', () => {
  const known = { parameters: [{ name: 'ria-power', min: 0, max: 4, whole: false, methods: ['ria'] }] };
  const flagsOf = (text: string): string[] => pruneFlags(parseRecipe(`method: ria\nlevels: 0.5\n${text}`, known).recipe!, '/models');
  assert.deepEqual(flagsOf('allocation: owl\nowl-m: 7\nowl-published: true\nria-power: 0.25\n'), ['--method', 'ria', '--allocation', 'owl', '--owl-m', '7', '--owl-published', '--ria-power', '0.25']);
  const args = parseArguments(flagsOf('scope: tensor\nallocation: {"*.mlp.*": 0.6, "*": 0.4}\nria-power: 0\n').concat('--sparsity', '0.5'), prune.flags);
  const request = pruneRequest(args, findMethod('ria'), { cwd: '/', threads: 1, dataFolder: null });
  assert.deepEqual([request.allocation, request.parameters], [{ kind: 'table', entries: [{ glob: '*.mlp.*', sparsity: 0.6 }, { glob: '*', sparsity: 0.4 }] }, { 'ria-power': 0 }]);
  assert.deepEqual(flagsOf('allocation: uniform\n'), ['--method', 'ria']);
});

test('a recipe with an error offers nothing to run', () => {
  assert.deepEqual(lensesOf(file, 'recipe', 'levels: [0.5, 2]\n'), []);
});

test('a model config offers inspect, prune and sweep of its folder', () => {
  const config = path.resolve('/models/m/config.json');
  const lenses = lensesOf(config, 'config', '{"model_type": "gpt2"}');
  assert.deepEqual(lenses.map((lens) => [lens.title, lens.command]), [['Inspect', 'winnow.inspect'], ['Prune to 50 %', 'winnow.prune'], ['Sweep', 'winnow.sweep']]);
  assert.equal(lenses[0].argument, path.dirname(config));
  assert.deepEqual(lensesOf(config, 'config', '[]'), []);
});

const compressor = `pruning_stage:
  pruning_modifiers:
    WandaPruningModifier:
      sparsity: 0.5
      mask_structure: "1:4"
      targets: [Linear]
  quant_modifiers:
    GPTQModifier:
      bits: 4
`;
test('an llm-compressor recipe gets the same lens, with N:M turned from removed to kept', () => {
  const read = readModifierRecipe(compressor, ['magnitude', 'wanda']);
  assert.deepEqual(read?.levels.map((level) => [level.value, level.line, level.method, level.pattern]), [[0.25, 4, 'wanda', '3:4']]);
  assert.deepEqual(read?.remarks.map((remark) => remark.line), [4, 8]);
  assert.deepEqual(lensesOf(path.resolve('/m/recipe.yaml'), 'yaml', compressor, { methods: ['magnitude', 'wanda'] }).map((lens) => [lens.line, lens.title]), [[3, 'Prune to 25 %']]);
  assert.match(readModifierRecipe(compressor, ['magnitude'])!.remarks[0].message, /no method wanda/);
  assert.deepEqual(lensesOf(path.resolve('/m/any.yaml'), 'yaml', 'a: 1\n'), []);
});

test('flags say only what differs from the defaults', () => {
  const { recipe } = parseRecipe('levels: [0.5]\n');
  assert.ok(recipe);
  assert.deepEqual(pruneFlags(recipe, '/models'), []);
});

test('percentages are short and exact', () => {
  assert.deepEqual([0.5, 0.1, 0.95, 0.999, 1e-3, 1, 0.07].map(percent), ['50 %', '10 %', '95 %', '99.9 %', '0.1 %', '100 %', '7 %']);
});

test('near words are found, far ones are not', () => {
  assert.equal(nearest('sparsty', ['sparsity', 'scope']), 'sparsity');
  assert.equal(nearest('lvels', ['levels']), 'levels');
  assert.equal(nearest('colour', ['levels', 'scope']), null);
  assert.equal(nearest('x'.repeat(1000), ['levels']), null);
});

test('only weights of its own make a folder a model, and only names are looked at', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'winnow #1 %A0 é '));
  try {
    const model = path.join(folder, 'm'), plain = path.join(folder, 'plain');
    mkdirSync(path.join(plain, 'below'), { recursive: true });
    mkdirSync(model);
    for (const name of [path.join(model, 'config.json'), path.join(model, 'model.safetensors'), path.join(plain, 'config.json'), path.join(plain, 'below', 'model.safetensors')]) writeFileSync(name, '{}');
    assert.equal(documentKind(path.join(model, 'config.json')), 'config');
    assert.equal(documentKind(path.join(plain, 'config.json')), null);
    assert.equal(startsServer(path.join(plain, 'config.json')), false);
    assert.equal(startsServer(path.join(plain, 'x.winnow.yaml')), true);
    assert.equal(startsServer(path.join(plain, 'x.yaml')), false);
    assert.equal(startsServer(path.join(plain, 'package.json')), false);
    assert.deepEqual(checkpointAt(model), { ok: true, path: model });
    const none = checkpointAt(plain);
    assert.ok(!none.ok && none.sentence.includes('No checkpoint in plain'));
    assert.ok(!checkpointAt(path.join(folder, 'gone')).ok);
  } finally { rmSync(folder, { recursive: true }); }
});
