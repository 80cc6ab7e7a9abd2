import { CheckpointError } from '../errors';
import type { Question } from './contract';

/** Files that are read line by line as JSON. */
export const isJsonLines = (file: string): boolean => /\.(jsonl|ndjson)$/i.test(file);

/** The field of a document where none is named. */
export const DEFAULT_FIELD = 'text';

type Json = Record<string, unknown>;

const broken = (file: string, line: number, detail: string): CheckpointError => new CheckpointError('json-lines-broken', { file, line }, detail);

/** The objects of the file; lines of blanks alone are passed over. */
function* objects(text: string, file: string): Generator<{ readonly value: Json; readonly line: number }> {
  for (const [i, one] of text.split('\n').entries()) {
    if (one.trim() === '') continue;
    let value: unknown;
    try {
      value = JSON.parse(one);
    } catch (error) {
      throw broken(file, i + 1, error instanceof Error ? error.message : 'not JSON');
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw broken(file, i + 1, 'not an object');
    yield { value: value as Json, line: i + 1 };
  }
}

const keysOf = (value: Json): string => Object.keys(value).slice(0, 20).join(', ') || 'none';

/**
 * One document a line, from a field that holds text.
 *
 * @throws CheckpointError `json-lines-broken` with the line
 */
export function readDocuments(text: string, file: string, field: string): string[] {
  return Array.from(objects(text, file), ({ value, line }) => {
    const document = Object.hasOwn(value, field) ? value[field] : undefined;
    if (typeof document !== 'string') throw broken(file, line, document === undefined ? `no field "${field}", only ${keysOf(value)}` : `"${field}" is not text`);
    return document;
  });
}

const first = (value: Json, names: readonly string[]): unknown => names.filter((name) => Object.hasOwn(value, name)).map((name) => value[name])[0];

const CONTEXT = ['query', 'context', 'question'], GOLD = ['gold', 'answer', 'label'];

/**
 * One question a line: `query`, `context` or `question`; `choices`; and `gold`, `answer` or `label`, which is an index from 0 (a
 * number or its digits) or the text of the right choice.
 *
 * @throws CheckpointError `json-lines-broken` with the line
 */
export function readQuestions(text: string, file: string): Question[] {
  return Array.from(objects(text, file), ({ value, line }) => {
    const context = first(value, CONTEXT), choices = value.choices, gold = first(value, GOLD);
    if (typeof context !== 'string') throw broken(file, line, `it needs one of ${CONTEXT.join(', ')} as text, and has ${keysOf(value)}`);
    if (!Array.isArray(choices) || choices.length < 2 || !choices.every((choice): choice is string => typeof choice === 'string' && choice !== '')) throw broken(file, line, '"choices" is not a list of at least two texts');
    const named = typeof gold === 'string' ? choices.indexOf(gold) : -1;
    const index = named !== -1 ? named : typeof gold === 'string' && /^\d{1,4}$/.test(gold) ? Number(gold) : gold;
    if (typeof index !== 'number' || !Number.isInteger(index) || index < 0 || index >= choices.length) throw broken(file, line, `${GOLD.join(', ')}: ${JSON.stringify(gold) ?? 'not there'} is none of the ${choices.length} choices`);
    return { context, choices, gold: index };
  });
}
