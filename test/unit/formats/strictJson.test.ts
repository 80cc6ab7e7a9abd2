import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isJsonObject, JsonError, JsonTooLarge, parseStrictJson, type JsonValue } from '../../../server/core/formats/strictJson';

/** Back to what JSON.parse gives, `__proto__` as an own key. */
function plain(value: JsonValue): unknown {
  if (isJsonObject(value)) return Object.fromEntries([...value].map(([key, item]) => [key, plain(item)]));
  return Array.isArray(value) ? value.map(plain) : value;
}

test('whatever JSON.stringify writes reads back the same', () => {
  fc.assert(fc.property(fc.json({ maxDepth: 6, stringUnit: 'binary' }), fc.constantFrom('', ' ', '\n\t '), (text, blank) => {
    assert.deepEqual(plain(parseStrictJson(`${blank}${text}${blank}`)), JSON.parse(text));
  }));
});

test('what JSON.parse refuses is refused, and never with another error', () => {
  fc.assert(fc.property(fc.oneof(fc.string({ unit: fc.constantFrom(...'{}[]",:\\u0123abtrufalsn -+.eE\n'), maxLength: 12 }), fc.string()), (text) => {
    let known = true;
    try { JSON.parse(text); } catch { known = false; }
    try {
      parseStrictJson(text);
      assert.ok(known, `accepted ${JSON.stringify(text)}`);
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error;
      assert.ok(error instanceof JsonError, String(error));
    }
  }), { numRuns: 2000 });
});

test('an equal key is found at any depth, whatever its spelling, and named with its path', () => {
  const cases: readonly [string, string, string[]][] = [
    ['{"a":1,"a":2}', 'a', []], ['{"x":{"y":1,"\\u0079":1}}', 'y', ['x']], ['{"x":[{"q":0,"q":0}]}', 'q', ['x']], ['{"__proto__":1,"__proto__":2}', '__proto__', []],
  ];
  for (const [text, key, path] of cases) {
    assert.throws(() => parseStrictJson(text), (error) => error instanceof JsonError && error.key === key && error.path?.join() === path.join());
  }
});

test('what other parsers let pass is refused', () => {
  for (const text of ['"\\ud800"', '{"a":1,}', '[1,]', '01', '+1', '1.', '.5', 'NaN', "{'a':1}", '{} {}', '\ufeff{}', '"\u0001"', '//x\n1', `${'['.repeat(5000)}`, `${'{"a":'.repeat(5000)}`]) {
    assert.throws(() => parseStrictJson(text), JsonError, text.slice(0, 20));
  }
});

test('the number of values is bounded, not only their text', () => {
  assert.throws(() => parseStrictJson(`[${'0,'.repeat(4_000_001)}0]`), (error) => error instanceof JsonTooLarge && error.message.includes('4000000 values'));
});

test('odd names are names like any other', () => {
  const value = parseStrictJson('{"__proto__":1,"constructor":2,"":3,"toString":4}');
  assert.ok(isJsonObject(value));
  assert.deepEqual([...value.keys()], ['__proto__', 'constructor', '', 'toString']);
});
