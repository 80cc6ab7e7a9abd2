// A short run of the fuzzer over every format; `node test/fuzz/run.mjs all 100000` is the long one.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formats } from '../../../server/core/formats/registry';
import { cutShort, fuzzFormat } from '../../fuzz/fuzz';
import { seeds } from '../../fuzz/seeds';

test('every format has seed files', () => {
  assert.deepEqual(Object.keys(seeds).sort(), formats.map((format) => format.id).sort());
});

for (const { id } of formats) {
  test(`damaged ${id} files are refused or read, soon, in little memory`, () => {
    const { opened, refused } = fuzzFormat(id, { runs: 200, seed: 20_26 });
    assert.ok(refused > 0, `${opened} opened, ${refused} refused`);
  });
}

for (const { id } of formats) {
  test(`${id} files cut short are refused, or were whole`, () => {
    assert.ok(cutShort(id) > 50);
  });
}
