/**
 * JSON as the file wrote it, and nothing forgiven: a key that appears twice, a lone surrogate or text after the value is
 * an error (JSON.parse keeps the last of two equal keys, and half the data becomes invisible). Objects become Maps, so
 * `__proto__` and `toString` are names like any other.
 */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject;
export type JsonObject = ReadonlyMap<string, JsonValue>;

/** Objects are Maps here. */
export const isJsonObject = (value: JsonValue | undefined): value is JsonObject => value instanceof Map;

/** Deeper than any header or index is; keeps a hostile file from overflowing the stack. */
const MAX_DEPTH = 32;

/**
 * The largest published sets have some 200,000 tensors, a dozen values each, over all their shards. A value costs up to a
 * hundred times its text in memory, so the count is bounded and not only the text.
 */
const MAX_VALUES = 4_000_000;

/** `key` is set when it appears twice in the object at `path` (the keys that lead there). */
export class JsonError extends Error {
  constructor(message: string, readonly at: number, readonly key?: string, readonly path?: readonly string[]) {
    super(message);
  }
}

/** The text may be sound, but holds more values than any header or index does. */
export class JsonTooLarge extends JsonError {}

/** @throws JsonError with the character where it stopped, JsonTooLarge */
export function parseStrictJson(text: string): JsonValue {
  let at = 0, values = 0;
  const path: string[] = [];
  const number = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;

  const fail = (message: string): never => { throw new JsonError(message, at); };
  const skip = (): void => {
    for (let c = text.charCodeAt(at); c === 32 || c === 10 || c === 13 || c === 9; c = text.charCodeAt(++at));
  };
  const word = <T>(spelling: string, value: T): T => {
    if (!text.startsWith(spelling, at)) fail('not a value');
    at += spelling.length;
    return value;
  };

  const string = (): string => {
    const start = ++at;
    let escaped = false;
    for (; ; at++) {
      const c = text.charCodeAt(at);
      if (c === 34) break;
      if (c === 92) { escaped = true; at++; } else if (c < 32) fail('a control character in text');
      if (at >= text.length) fail('text without an end');
    }
    const raw = text.slice(start, at++);
    if (!escaped) return raw;
    let value: string;
    try {
      value = JSON.parse(`"${raw}"`) as string;
    } catch {
      return fail('a bad escape in text');
    }
    return /\p{Surrogate}/u.test(value) ? fail('half a surrogate pair in text') : value;
  };

  const object = (depth: number): JsonObject => {
    const found = new Map<string, JsonValue>();
    at++;
    skip();
    if (text[at] === '}') { at++; return found; }
    for (;;) {
      skip();
      if (text[at] !== '"') fail('a key is missing');
      const key = string();
      if (found.has(key)) throw new JsonError('a key appears twice', at, key, [...path]);
      skip();
      if (text[at++] !== ':') { at--; fail('a colon is missing'); }
      path.push(key);
      found.set(key, value(depth + 1));
      path.pop();
      skip();
      const next = text[at++];
      if (next === '}') return found;
      if (next !== ',') { at--; fail('a comma is missing'); }
    }
  };

  const array = (depth: number): readonly JsonValue[] => {
    const found: JsonValue[] = [];
    at++;
    skip();
    if (text[at] === ']') { at++; return found; }
    for (;;) {
      found.push(value(depth + 1));
      skip();
      const next = text[at++];
      if (next === ']') return found;
      if (next !== ',') { at--; fail('a comma is missing'); }
    }
  };

  const value = (depth: number): JsonValue => {
    if (depth > MAX_DEPTH) fail('nested too deep');
    if (++values > MAX_VALUES) throw new JsonTooLarge(`more than ${MAX_VALUES} values`, at);
    skip();
    switch (text[at]) {
      case '{': return object(depth);
      case '[': return array(depth);
      case '"': return string();
      case 't': return word('true', true);
      case 'f': return word('false', false);
      case 'n': return word('null', null);
      default: {
        number.lastIndex = at;
        const token = number.exec(text)?.[0];
        if (token === undefined) return fail(at >= text.length ? 'it ends too early' : 'not a value');
        at += token.length;
        return Number(token);
      }
    }
  };

  const answer = value(0);
  skip();
  if (at < text.length) fail('something follows the value');
  return answer;
}
