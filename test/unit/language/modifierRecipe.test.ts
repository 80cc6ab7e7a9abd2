import assert from 'node:assert/strict';
import test from 'node:test';
import { readModifierRecipe } from '../../../server/language/modifierRecipe';
import { excludesOf } from '../../../server/language/modifierTargets';
import { parseArguments } from '../../../server/rpc/arguments';
import { prune } from '../../../server/rpc/verbs/prune';

const all = ['magnitude', 'wanda', 'sparsegpt'];
const recipe = (modifier: string, fields: string): string => `stage:\n  pruning_modifiers:\n    ${modifier}:\n${fields.split('\n').map((line) => `      ${line}`).join('\n')}\n`;
const read = (modifier: string, fields: string): { flags: readonly string[]; value: number | undefined; remarks: [number, string][] } => {
  const found = readModifierRecipe(recipe(modifier, fields), all)!;
  return { flags: found.levels[0]?.flags ?? [], value: found.levels[0]?.value, remarks: found.remarks.map(({ line, message }) => [line, message]) };
};

// Fields as llm-compressor's own examples and classes have them; what they mean there, in flags of `winnow prune`.
for (const [title, modifier, fields, value, flags] of [
  ['SparseGPT in its own words', 'SparseGPTModifier', 'sparsity: 0.5\nmask_structure: "0:0"\nblock_size: 64\ndampening_frac: 0.001\noffload_hessians: true\nsequential_update: true\ntargets: [Linear]\nignore: ["re:.*lm_head"]', 0.5, ['--method', 'sparsegpt', '--block-size', '64', '--damping', '0.001']],
  ['2:4 keeps two', 'SparseGPTModifier', 'sparsity: 0.5\nmask_structure: "2:4"\ntargets: ["re:model.layers.\\\\d*$"]', 0.5, ['--method', 'sparsegpt', '--pattern', '2:4']],
  ['Wanda with OWL, whose mean is unweighted there', 'WandaPruningModifier', 'sparsity: 0.7\nsparsity_profile: owl\nowl_m: 5\nowl_lmbda: 0.08\ntargets: [Linear]', 0.7, ['--method', 'wanda', '--allocation', 'owl', '--owl-m', '5', '--owl-lambda', '0.08', '--owl-published']],
  ['magnitude a layer each', 'MagnitudePruningModifier', 'targets: __ALL_PRUNABLE__\nfinal_sparsity: 0.5\nmask_structure: unstructured', 0.5, ['--scope', 'tensor']],
  ['magnitude globally', 'MagnitudePruningModifier', 'targets: Linear\nfinal_sparsity: 0.5\napply_globally: True', 0.5, ['--scope', 'global']],
  ['ignored modules are excluded', 'WandaPruningModifier', 'sparsity: 0.5\nignore: [lm_head, model.layers.0.mlp.down_proj, "re:.*mlp.gate_proj$", "re:.*\\\\.self_attn"]', 0.5, ['--method', 'wanda', '--exclude', 'model.layers.0.mlp.down_proj.weight', '*mlp.gate_proj.weight', '*.self_attn*']],
] as const) {
  test(`llm-compressor: ${title}`, () => {
    const found = read(modifier, fields);
    assert.deepEqual(found, { flags, value, remarks: [] });
    // The words exist on the command line.
    parseArguments([...flags, '--sparsity', '0.5'], prune.flags);
  });
}

test('what Winnow does not do is said on its own line, and the rest is read', () => {
  for (const [modifier, fields, remarks] of [
    ['SparseGPTModifier', 'sparsity: [0.5, 0.6]', [[4, /One sparsity for each layer/]]],
    ['SparseGPTModifier', 'sparsity: 0.5\nsequential_targets: [LlamaDecoderLayer]\npreserve_sparsity_mask: true\nsequential_update: false', [[5, /block by block/], [6, /keeps no mask/], [7, /always see/]]],
    ['SparseGPTModifier', 'sparsity: 50\nnew_thing: 1', [[4, /one fraction from 0 to 1/], [5, /does not use new_thing/]]],
    ['SparseGPTModifier', 'sparsity: 0.5\nblock_size: big\ndampening_frac: -1', [[5, /block_size takes a number/], [6, /dampening_frac takes a number/]]],
    ['WandaPruningModifier', 'sparsity: 0.5\nowl_m: 5', [[4, /go together/]]],
    ['WandaPruningModifier', 'sparsity: 0.5\ntargets: ["re:.*q_proj"]\nignore: ["re:(a|b)", Linear]', [[5, /does not narrow it/], [6, /into a glob/], [6, /into a glob/]]],
    ['WandaPruningModifier', 'sparsity: 0.5\nmask_structure: "1:4"', [[4, /a sparsity of 0\.25/]]],
    ['MagnitudePruningModifier', 'targets: Linear\ninit_sparsity: 0.05\nfinal_sparsity: 0.5\nstart: 0\nend: 10\nupdate_scheduler: cubic\nmask_structure: block_4', [[5, /prunes once/], [7, /prunes once/], [8, /prunes once/], [9, /prunes once/], [10, /no mask structure block_4/]]],
    ['ConstantPruningModifier', 'targets: Linear\nstart: 0', [[3, /holds zeros while training.*docs\/masks\.md/]]],
    ['GPTQModifier', 'bits: 4', [[3, /does not do GPTQModifier/]]],
  ] as const) {
    const found = read(modifier, fields).remarks;
    assert.deepEqual(found.map(([line]) => line), remarks.map(([line]) => line), `${modifier}: ${JSON.stringify(found)}`);
    found.forEach(([, message], i) => assert.match(message, remarks[i][1]));
  }
});

test('a method that is not there is said, and still read', () => {
  const found = readModifierRecipe(recipe('WandaPruningModifier', 'sparsity: 0.5'), ['magnitude'])!;
  assert.deepEqual([found.levels.map(({ method }) => method), found.remarks.map(({ line }) => line)], [['wanda'], [3]]);
  assert.deepEqual(readModifierRecipe(recipe('WandaPruningModifier', 'sparsity: 0.5'))!.remarks, [], 'nothing is said of methods while nobody knows them');
});

test('an ignored module becomes the glob that matches the same names, or none', () => {
  for (const [ignored, globs] of [
    ['lm_head', []], ['re:.*lm_head', []], ['re:.*embed_tokens$', []], ['re:^model\\.layers\\.1\\.mlp.*', ['model.layers.1.mlp*']], ['re:.*down_proj$', ['*down_proj.weight']], ['re:.*down_proj', ['*down_proj*']],
    ['re:.*layers\\.\\d+.*', null], ['re:a+b', null], ['Linear', null], ['LlamaAttention', null], ['', null], [3, null], ['h.0.attn', ['h.0.attn.weight']],
  ] as const) assert.deepEqual(excludesOf(ignored), globs, String(ignored));
});
