import type { Num, ProblemJson } from '../protocol/verbs';
import type { Problem } from '../core/errors';

/** A number as it travels: JSON has no NaN and no Infinity (it would turn both into null), so they go as text. */
export function num(value: number): Num {
  if (Number.isFinite(value)) return value;
  return Number.isNaN(value) ? 'NaN' : value > 0 ? 'Infinity' : '-Infinity';
}

/** `num`, with null for "not applicable" kept. */
export const numOrNull = (value: number | null | undefined): Num | null => value === null || value === undefined ? null : num(value);

/** A problem as it travels: only the three fields, so that nothing of an Error object (stack, cause) slips out. */
export const problemJson = (problem: Problem): ProblemJson => ({ code: problem.code, where: { ...problem.where }, detail: problem.detail });

/**
 * One JSON document. Non-finite numbers become text, a bigint becomes a number where that is exact and text elsewhere, a
 * Map becomes an object. Typed arrays are refused: a message is bounded by what a person looks at, never by weights.
 *
 * @throws TypeError for a typed array, an ArrayBuffer or a cycle
 */
export function encodeJson(value: unknown, indent = 2): string {
  return JSON.stringify(value, function (this: Record<string, unknown>, key: string, item: unknown) {
    const raw = this[key]; // a Buffer has been turned into an object of numbers by its own toJSON before we see it
    if (ArrayBuffer.isView(raw) || raw instanceof ArrayBuffer) throw new TypeError('a typed array must not be printed as JSON');
    if (typeof item === 'number') return num(item);
    if (typeof item === 'bigint') return Number.isSafeInteger(Number(item)) ? Number(item) : item.toString();
    if (item instanceof Map) return Object.fromEntries(item);
    return item;
  }, indent);
}
