import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CheckpointError } from '../../../server/core/errors';
import { editDistance } from '../../../server/language/nearest';
import { nearMatches, parseArguments } from '../../../server/rpc/arguments';

const flags = [
  { name: 'sparsity', value: 'S', help: '' }, { name: 'json', value: null, help: '' }, { name: 'include', value: 'GLOB', many: true as const, help: '' },
  { name: 'stride', value: 'N', help: '' },
];
const usage = (pattern: RegExp) => (error: unknown): boolean => error instanceof CheckpointError && error.code === 'usage' && pattern.test(error.detail);

test('words are split into flags and the rest, in every spelling', () => {
  for (const words of [['A', '--sparsity', '0.5', '--json', 'B'], ['--sparsity=0.5', 'A', '--json', 'B'], ['--json', 'A', 'B', '--sparsity', '0.5']]) {
    const args = parseArguments(words, flags);
    assert.deepEqual(args.positional, ['A', 'B']);
    assert.equal(args.number('sparsity', 0, 1), 0.5);
    assert.equal(args.has('json'), true);
    assert.equal(args.has('stride'), false);
    assert.equal(args.integer('stride', 1, 9), undefined);
  }
});

test('a flag of many words takes all up to the next flag, and may come again', () => {
  const args = parseArguments(['A', '--include', '*.wte.*', 'h.0.*', '--json', '--include=x'], flags);
  assert.deepEqual(args.many('include'), ['*.wte.*', 'h.0.*', 'x']);
  assert.deepEqual(args.positional, ['A']);
});

test('nothing after -- is a flag, and a lone dash and negative numbers are words', () => {
  assert.deepEqual(parseArguments(['-', '-1', '--', '--json', '-x'], flags).positional, ['-', '-1', '--json', '-x']);
  assert.equal(parseArguments(['--stride', '-1'], flags).number('stride', -2, 2), -1);
});

test('the last value of a flag counts', () => {
  assert.equal(parseArguments(['--stride', '1', '--stride', '2'], flags).text('stride'), '2');
});

test('every misuse is called wrong usage and named', () => {
  const table: readonly [string[], RegExp][] = [
    [['--sparcity', '1'], /unknown flag `--sparcity`; did you mean `--sparsity`\?/],
    [['-sparsity', '1'], /unknown flag `-sparsity`; did you mean `--sparsity`\?/],
    [['--qqqqqq'], /^unknown flag `--qqqqqq`$/],
    [['--sparsity'], /needs a value/],
    [['--sparsity', '--json'], /needs a value/],
    [['--json=yes'], /takes no value/],
    [['--sparsity='], /^--sparsity is empty$/],
    [['a', ''], /^a word is empty$/],
  ];
  for (const [words, pattern] of table) assert.throws(() => parseArguments(words, flags), usage(pattern), words.join(' '));
});

test('a number is a finite decimal in its range, and nothing that merely converts to one', () => {
  for (const text of [' ', '0x1', 'NaN', 'Infinity', '1e', 'half', '1.5', '-0.1', '50%', '1,0'])
    assert.throws(() => parseArguments([`--sparsity=${text}`], flags).number('sparsity', 0, 1), usage(/takes a number from 0 to 1/), JSON.stringify(text));
  for (const [text, value] of [['0', 0], ['1', 1], ['.5', 0.5], ['5e-1', 0.5], ['1.', 1]] as const)
    assert.equal(parseArguments([`--sparsity=${text}`], flags).number('sparsity', 0, 1), value);
  assert.throws(() => parseArguments(['--stride=1.5'], flags).integer('stride', 0, 9), usage(/whole number/));
});

test('edit distance is a metric on small words, swaps counted once', () => {
  const words = ['', 'a', 'ab', 'ba', 'abc', 'acb', 'inspect', 'inspcet', 'stats'];
  for (const a of words) for (const b of words) {
    assert.equal(editDistance(a, b), editDistance(b, a));
    assert.equal(editDistance(a, b) === 0, a === b);
  }
  assert.equal(editDistance('inspect', 'inspcet'), 1);
  assert.equal(editDistance('sweep', 'swep'), 1);
});

test('a word far from everything gets no suggestion', () => {
  assert.deepEqual(nearMatches('zebra', ['inspect', 'stats', 'prune']), []);
  assert.deepEqual(nearMatches('insp', ['inspect', 'stats', 'prune']), ['inspect']);
  assert.deepEqual(nearMatches('prunne', ['inspect', 'stats', 'prune']), ['prune']);
});
