import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorCodes } from '../../../server/core/errors';
import { encodeJson, num, numOrNull, problemJson } from '../../../server/rpc/encode';
import { asCheckpointError } from '../../../server/rpc/failure';
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
