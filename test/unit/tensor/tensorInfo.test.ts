import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { dtypeBytes, dtypes, isDType } from '../../../server/core/tensor/dtype';
import { compareCodePoints } from '../../../server/core/tensor/tensorInfo';

/** The plain definition, as the referee. */
function byCodePoints(a: string, b: string): number {
  const x = [...a].map((c) => c.codePointAt(0) as number), y = [...b].map((c) => c.codePointAt(0) as number);
  for (let i = 0; i < Math.min(x.length, y.length); i++) if (x[i] !== y[i]) return x[i] - y[i];
  return x.length - y.length;
}
const text = fc.string({ unit: fc.oneof(fc.constantFrom('a', 'b', '.', '\ue000', '\uffff', '\u{1f999}', '\u{10000}', '\u{10ffff}', '\ud7ff'), fc.string({ unit: 'binary', minLength: 1, maxLength: 1 })), maxLength: 6 });

test('names are ordered by code point, not by UTF-16 unit', () => {
  assert.ok(compareCodePoints('\uffff', '\u{10000}') < 0);
  assert.ok('\uffff' > '\u{10000}', 'the order of JavaScript is the other one');
  fc.assert(fc.property(text, text, (a, b) => assert.equal(Math.sign(compareCodePoints(a, b)), Math.sign(byCodePoints(a, b)))));
});

test('the order of names is total: antisymmetric and transitive', () => {
  fc.assert(fc.property(text, text, text, (a, b, c) => {
    assert.ok(Math.sign(compareCodePoints(a, b)) === -Math.sign(compareCodePoints(b, a)));
    if (compareCodePoints(a, b) <= 0 && compareCodePoints(b, c) <= 0) assert.ok(compareCodePoints(a, c) <= 0);
  }));
});

test('bytes of a dtype: whole bytes or none', () => {
  for (const [dtype, elements, bytes] of [['F32', 3, 12], ['F4', 3, null], ['F4', 4, 2], ['F6_E2M3', 4, 3], ['C64', 1, 8], ['F64', 2 ** 51, null], ['BOOL', 0, 0]] as const) {
    assert.equal(dtypeBytes(dtype, elements), bytes, `${elements} x ${dtype}`);
  }
  for (const name of ['toString', '__proto__', 'f32', 'F99', '']) assert.equal(isDType(name), false, name);
  assert.ok(Object.keys(dtypes).every(isDType));
});
