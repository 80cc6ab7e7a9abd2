import test from 'node:test';
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { pruneFlags } from '../../../server/language/lenses';
import { parseRecipe, type ParsedRecipe } from '../../../server/language/recipe';

const errorsOf = (parsed: ParsedRecipe) => parsed.diagnostics.filter((d) => d.severity === 'error');

const page = `checkpoint: ./gpt2-xl
method: magnitude
scope: global
pattern: unstructured
exclude: ["*.wte.weight"]
levels: [0.1, 0.5, 0.9, 0.95, 0.99]
benchmarks: [wikitext-2-raw, wikitext-103]
protocol: hf-stride
context: 1024
stride: 512
provider: auto
out: ./runs/gpt2-xl
`;

test('the recipe of the design is read whole and without complaint', () => {
  const known = { methods: ['magnitude'], benchmarks: ['wikitext-2-raw', 'wikitext-103'], protocols: ['hf-stride'], providers: ['cpu'] };
  const { recipe, diagnostics, levels } = parseRecipe(page, known);
  assert.deepEqual(diagnostics, []);
  assert.deepEqual(recipe, {
    checkpoint: './gpt2-xl', method: 'magnitude', scope: 'global', pattern: 'unstructured', include: [], exclude: ['*.wte.weight'], levels: [0.1, 0.5, 0.9, 0.95, 0.99],
    benchmarks: ['wikitext-2-raw', 'wikitext-103'], text: null, protocol: 'hf-stride', context: 1024, stride: 512, limit: null, provider: 'auto', out: './runs/gpt2-xl', seed: 0,
    allocation: [], owl: {}, parameters: {}, calibration: {},
  });
  assert.deepEqual(levels.map((level) => page.slice(level.from, level.to)), ['0.1', '0.5', '0.9', '0.95', '0.99']);
  assert.ok(levels.every((level) => level.line === 6));
});

test('a recipe names the field of a JSON Lines file, and only of one', () => {
  assert.equal(parseRecipe('levels: [0.5]\ntext: pages.jsonl\nfield: page\n').recipe?.field, 'page');
  const { recipe, diagnostics } = parseRecipe('levels: [0.5]\nfield: page\n');
  assert.equal(recipe, null);
  assert.match(diagnostics[0].message, /FILE\.jsonl/);
});

test('a recipe asks for the comparison with the dense model by a switch', () => {
  assert.deepEqual([parseRecipe('levels: [0.5]\ndivergence: true\n').recipe?.divergence, parseRecipe('levels: [0.5]\ndivergence: false\n').recipe?.divergence], [true, false]);
});

// [text, the exact characters complained about, a word of the sentence]
const wrong: [string, string, RegExp][] = [
  ['levels: [0.5, 1.5]\n', '1.5', /above 1.*0\.015/],
  ['levels:\n  - 0.5\n  - -0.1\n', '-0.1', /below 0/],
  ['levels: [.nan]\n', '.nan', /not finite/],
  ['levels: [.inf]\n', '.inf', /not finite/],
  ['sparsity: yes\n', 'yes', /not a number/],
  ['sparsity: true\n', 'true', /not a number/],
  ['sparsity: 0,5\n', '0,5', /0\.5 with a point/],
  ['sparsity: 50%\n', '50%', /write 0\.5/],
  ['sparsity: 50\n', '50', /write 0\.5/],
  ['sparsity: "0.5"\n', '"0.5"', /quotes/],
  ['levels: []\n', '[]', /empty/],
  ['levels: [0.5]\ndivergence: on\n', 'on', /true or false/],
  ['levels:\n', 'levels', /no value/],
  ['sparsty: 0.5\n', 'sparsty', /did you mean sparsity/],
  ['levels: [0.5]\nlevels: [0.9]\n', 'levels', /twice/],
  ['levels: [0.5]\nsparsity: 0.9\n', 'sparsity', /not both/],
  ['levels: [0.5]\npattern: "8:8"\n', '"8:8"', /removes nothing/],
  ['levels: [0.5]\npattern: "4:2"\n', '"4:2"', /more than/],
  ['pattern: "2:4"\nlevels: [0.75]\n', '0.75', /gives sparsity 0\.5/],
  ['scope: globl\nlevels: [0.5]\n', 'globl', /did you mean global/],
  ['method: magnitud\nlevels: [0.5]\n', 'magnitud', /did you mean magnitude/],
  ['levels: [0.5]\ncontext: 1.5\n', '1.5', /whole number from 2/],
  ['levels: [0.5]\ncontext: 8\nstride: 9\n', '9', /skip tokens/],
  ['levels: [0.5]\nbenchmarks: [wikitext2-raw]\n', 'wikitext2-raw', /did you mean wikitext-2-raw/],
  ['levels: [0.5]\nbenchmarks: [wikitext-2-raw]\ntext: a.txt\n', 'text', /not both/],
  ['levels: {a: 1}\n', '{a: 1}', /not a number/],
  ['- 1\n- 2\n', '- 1\n- 2\n', /map of keys/],
];
for (const [text, place, sentence] of wrong) {
  test(`complains at ${JSON.stringify(place)} of ${JSON.stringify(text)}`, () => {
    const parsed = parseRecipe(text, { methods: ['magnitude', 'wanda'], benchmarks: ['wikitext-2-raw'] });
    assert.equal(parsed.recipe, null);
    const found = errorsOf(parsed);
    assert.equal(found.length, 1, JSON.stringify(found));
    assert.equal(text.slice(found[0].from, found[0].to).trimEnd(), place.trimEnd());
    assert.match(found[0].message, sentence);
    assert.equal(found[0].line, text.slice(0, found[0].from).split('\n').length);
  });
}

test('a duplicate key is complained about where it is repeated', () => {
  assert.equal(errorsOf(parseRecipe('levels: [0.5]\nlevels: [0.9]\n'))[0].line, 2);
});

test('the pattern implies the level, and agreeing levels are fine', () => {
  assert.deepEqual(parseRecipe('pattern: "2:4"\n').diagnostics, []);
  assert.deepEqual(parseRecipe('pattern: "2:4"\nlevels: [0, 0.5]\n').diagnostics, []);
});

test('numbers in any spelling of YAML are numbers', () => {
  assert.deepEqual(parseRecipe('levels: [1e-3, .5, 0]\n').recipe?.levels, [0.001, 0.5, 0]);
});

const methodNumbers = { methods: ['magnitude', 'ria'], parameters: [{ name: 'ria-power', min: 0, max: 4, whole: false, methods: ['ria'] }] };

test('allocations, blocks and the numbers of a method are read as the command line takes them', () => {
  const read = (text: string): ReturnType<typeof parseRecipe> => parseRecipe(text, methodNumbers);
  const { recipe } = read('method: ria\nlevels: 0.5\npattern: 16x16\nscope: tensor\nallocation: owl\nowl-m: 7\nowl-lambda: 0.1\nowl-published: true\nria-power: 0.25\n');
  assert.deepEqual([recipe?.pattern, recipe?.allocation, recipe?.owl, recipe?.parameters], ['16x16', ['owl'], { m: 7, lambda: 0.1, published: true }, { 'ria-power': 0.25 }]);
  assert.deepEqual(read('levels: 0.5\nallocation: {"*.mlp.*": 0.6, "*": 0.4}\n').recipe?.allocation, ['*.mlp.*=0.6', '*=0.4']);
  assert.deepEqual(read('levels: 0.5\nallocation: uniform\n').recipe?.allocation, ['uniform']);
  for (const [text, word] of [
    ['allocation: even', /none of them/], ['allocation: {"*": 60 %}', /write 0\.6/], ['allocation: {}', /0 are given/], ['allocation: {"*": }', /nothing is not a number/], ['owl-m: 5', /goes with allocation: owl/],
    ['allocation: owl\nowl-m: 0', /above 0/], ['allocation: owl\nowl-lambda: 2', /from 0 to 0\.5/], ['allocation: owl\nowl-published: yes please', /true or false/],
    ['ria-power: 0.5', /for ria; magnitude does not/], ['method: ria\nria-power: 5', /from 0 to 4/], ['ria-powr: 0.5', /did you mean ria-power/], ['pattern: 1x1', /neither/], ['pattern: 0x4', /neither/], ['pattern: 16x5000', /neither/],
  ] as const) {
    const parsed = read(`levels: 0.5\n${text}\n`);
    assert.equal(parsed.recipe, null, text);
    assert.match(errorsOf(parsed).map(({ message }) => message).join(' '), word, text);
  }
  assert.ok(parseRecipe('levels: 0.5\nria-power: 0.5\n').recipe, 'not checked while nobody has said which numbers there are');
});

test('nothing a stranger writes makes the parser throw', () => {
  const bomb = `a: &a [x,x,x,x]\n${'bcdefgh'.split('').map((c, i) => `${c}: &${c} [*${'abcdefg'[i]},*${'abcdefg'[i]},*${'abcdefg'[i]}]`).join('\n')}\nlevels: *h\n`;
  for (const text of ['', '\n\n', '# only\n', '\t', '%', '&', ': :', '{', '[[[', '? a\n: b', '---\na: 1\n---\nb: 2\n', '!!js/function x', 'levels: *nope', bomb, '\u0000', '1: 2', 'levels: [null]', '<<: {levels: [1]}']) {
    const parsed = parseRecipe(text);
    assert.equal(parsed.recipe, null, text);
    assert.ok(errorsOf(parsed).length > 0, text);
    for (const d of parsed.diagnostics) assert.ok(d.from >= 0 && d.to <= text.length && d.from <= d.to && d.line >= 1);
  }
});

const cases = path.resolve(import.meta.dirname, '../../../../shared/cases/recipe-edge');
test('the shared recipe cases behave as their manifest says', { skip: existsSync(cases) ? false : 'SKIPPED: ../shared/cases is absent' }, () => {
  const manifest = JSON.parse(readFileSync(path.join(cases, '../manifest.json'), 'utf8'));
  const entry = (Array.isArray(manifest) ? manifest : manifest.cases).find((c: { id: string }) => c.id === 'recipe-edge');
  for (const name of entry.facts.ok) {
    const parsed = parseRecipe(readFileSync(path.join(cases, `${name}.yaml`), 'utf8'));
    assert.ok(parsed.recipe, name);
    assert.equal(parsed.diagnostics.length, name === 'one' ? 1 : 0, name);
    if (name === 'scinot') assert.deepEqual(parsed.recipe.levels, [entry.facts.scinot_value]);
  }
  for (const name of [...entry.facts.error, ...entry.facts.error_or_ok_if_documented]) {
    const parsed = parseRecipe(readFileSync(path.join(cases, `${name}.yaml`), 'utf8'));
    assert.equal(parsed.recipe, null, name);
    assert.ok(parsed.diagnostics.every((d) => d.line >= 1 && d.message.length > 10), name);
  }
});

test('calibration is a map of text, samples, length and oneShot, and a prune that is offered has it as flags', () => {
  const { recipe } = parseRecipe('method: wanda\nlevels: 0.5\ncalibration: {text: notes.txt, samples: 64, length: 512, oneShot: true}');
  assert.deepEqual(recipe!.calibration, { text: 'notes.txt', samples: 64, length: 512, oneShot: true });
  assert.deepEqual(pruneFlags(recipe!, path.resolve('/models')).slice(2), ['--calibration', path.resolve('/models/notes.txt'), '--calibration-samples', '64', '--calibration-length', '512', '--one-shot']);
  assert.deepEqual(parseRecipe('levels: 0.5\ncalibration: {text: train}').recipe!.calibration, { text: 'train' });
  for (const [wrong, said] of [['wide', /takes a map/], ['{samples: 0}', /calibration\.samples takes a whole number from 1/], ['{blocks: 3}', /blocks is none of them/], ['{oneShot: 3}', /true or false/]] as const) {
    const { recipe: none, diagnostics } = parseRecipe(`levels: 0.5\ncalibration: ${wrong}`);
    assert.equal(none, null);
    assert.match(diagnostics[0].message, said);
    assert.equal(diagnostics[0].line, 2);
  }
});
