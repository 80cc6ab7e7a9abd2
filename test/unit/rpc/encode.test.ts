import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorCodes } from '../../../server/core/errors';
import { encodeJson, num, numOrNull, problemJson } from '../../../server/rpc/encode';
import { asCheckpointError } from '../../../server/rpc/failure';
import { evaluable } from '../../../server/core/evaluation/prepareText';
import { sentenceOf, sentences } from '../../../server/rpc/sentences';
import { CheckpointError } from '../../../server/core/errors';

test('non-finite numbers travel as text, null stays null, and what is absent stays absent', () => {
  assert.deepEqual([NaN, Infinity, -Infinity, 0, -1.5].map(num), ['NaN', 'Infinity', '-Infinity', 0, -1.5]);
  assert.deepEqual([null, undefined, NaN].map(numOrNull), [null, null, 'NaN']);
  assert.deepEqual(JSON.parse(encodeJson({ a: [NaN, null], b: -Infinity, c: undefined, d: 10n, e: 2n ** 70n, f: new Map([['k', Infinity]]) })),
    { a: ['NaN', null], b: '-Infinity', d: 10, e: '1180591620717411303424', f: { k: 'Infinity' } });
});

test('weights and losses cannot be printed by mistake', () => {
  for (const value of [new Float32Array(2), new Uint8Array(1), new ArrayBuffer(4), Buffer.from('x')]) assert.throws(() => encodeJson({ deep: [value] }), TypeError);
});

test('a problem travels without its stack', () => {
  const error = new CheckpointError('overlap', { file: 'f', tensor: 't' }, '1 and 2');
  assert.deepEqual(problemJson(error), { code: 'overlap', where: { file: 'f', tensor: 't' }, detail: '1 and 2' });
});

test('every code has a sentence that is whole with and without place and detail, and says something of both', () => {
  assert.deepEqual(Object.keys(sentences).sort(), [...errorCodes].sort());
  for (const code of errorCodes) {
    for (const [where, detail] of [[{}, ''], [{ file: '/m/x.safetensors', tensor: 'h.0.w', key: 'levels', line: 3 }, 'needs 12, has 9']] as const) {
      const text = sentenceOf({ code, where, detail });
      assert.match(text, /^[A-Z/`].*[.?]$/s, `${code}: ${text}`);
      assert.doesNotMatch(text, /undefined|null|\.\.|\(\)|: \.| {2}|\n/, `${code}: ${text}`);
      if (detail !== '') assert.ok(text.toLowerCase().includes(detail), `${code} drops its detail: ${text}`);
    }
  }
});

const told: readonly (readonly [Parameters<typeof sentenceOf>[0], RegExp, RegExp])[] = [
  [{ code: 'recipe-invalid', where: { file: 'r.yaml', line: 2, key: 'levls' }, detail: 'Unknown key levls; did you mean levels?' }, /not valid: Unknown key levls; did you mean levels\? Correct/, /\?\.|levls Unknown/],
  [{ code: 'recipe-invalid', where: { file: 'r.yaml', line: 2, key: 'levels' }, detail: 'levels takes fractions' }, /not valid: levels takes fractions\. Correct/, /levels levels/],
  [{ code: 'bad-specification', where: { file: 'c.json', key: 'level' }, detail: 'is missing' }, /: level is missing\. /, /\.\./],
  [{ code: 'unknown-method', where: { key: 'wanda' }, detail: 'methods: magnitude' }, /as `wanda`, only magnitude\./, /methods:/],
  [{ code: 'unknown-protocol', where: { key: 'hfstride' }, detail: 'there are hf-stride' }, /as `hfstride`: there are hf-stride\./, /::/],
  [{ code: 'unsupported-format', where: { file: 'a' }, detail: 'the content is a tar archive; unpack it and open the checkpoint inside' }, /open the checkpoint inside\)\.$/, /safetensors/],
  [{ code: 'unsupported-format', where: { file: 'a' }, detail: 'GGUF version 9; 1 to 3 are known' }, /Convert it to safetensors first\.$/, /\.\./],
];
for (const [problem, wanted, unwanted] of told) {
  test(`a ${problem.code} sentence says once what is wrong and what to do: ${problem.detail}`, () => {
    assert.match(sentenceOf(problem), wanted);
    assert.doesNotMatch(sentenceOf(problem), unwanted);
  });
}

test('a family without an evaluation graph is told in words of evaluating', () => {
  const model = { architecture: null, checkpoint: { format: 'safetensors', path: '/m', config: { model_type: 'mamba' } } } as unknown as Parameters<typeof evaluable>[0];
  assert.throws(() => evaluable(model), (error: CheckpointError) => /cannot evaluate .*mamba.*winnow catalog/.test(sentenceOf(error)) && !/before pruning/.test(sentenceOf(error)));
});

test('a hostile name stays on its line', () => {
  assert.doesNotMatch(sentenceOf({ code: 'overlap', where: { tensor: 'a\nwinnow: fine\u001b[1A' }, detail: '' }), /[\n\u001b]/);
});

test('what the operating system refuses gets a code of ours', () => {
  const refusals = [['ENOENT', 'open', 'not-found'], ['EACCES', 'open', 'not-readable'], ['EIO', 'read', 'not-readable'], ['ENOSPC', 'write', 'disk-full'], ['EROFS', 'open', 'target-not-writable'],
    ['EACCES', 'mkdir', 'target-not-writable'], ['ENOENT', 'rename', 'target-not-writable'], ['EWEIRD', 'open', 'not-readable'], ['EWEIRD', undefined, 'internal'], ['ERR_INVALID_ARG_TYPE', 'open', 'internal']] as const;
  for (const [code, syscall, ours] of refusals) assert.equal(asCheckpointError(Object.assign(new Error('x'), { code, path: '/p', ...(syscall && { syscall }) })).code, ours, `${code} ${syscall}`);
  assert.equal(asCheckpointError('text').code, 'internal');
  const own = new CheckpointError('gap', {}, '');
  assert.equal(asCheckpointError(own), own);
});
