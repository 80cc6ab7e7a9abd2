import { CheckpointError } from '../errors';
import type { BlockPattern, GroupPattern, Pattern, Scope } from './contract';

/** Larger groups than any hardware has; bounds what a person may type. */
const MAX_GROUP = 1024;
/** Rows and columns of the largest block. */
const MAX_BLOCK = 4096;

/** What a pattern is, as methods list what they take. */
export type PatternKind = 'unstructured' | 'n:m' | 'block';

export const isGroups = (pattern: Pattern): pattern is GroupPattern => pattern !== 'unstructured' && 'keep' in pattern;
export const isBlock = (pattern: Pattern): pattern is BlockPattern => pattern !== 'unstructured' && 'rows' in pattern;
export const patternKind = (pattern: Pattern): PatternKind => (pattern === 'unstructured' ? pattern : isGroups(pattern) ? 'n:m' : 'block');

/**
 * `unstructured`; `N:M`: N of every M consecutive inputs are kept; `RxC`: blocks of R outputs and C inputs go or stay together.
 *
 * @throws CheckpointError `unsupported-pattern`
 */
export function parsePattern(text: string): Pattern {
  if (text === 'unstructured') return 'unstructured';
  const block = /^(\d{1,4})x(\d{1,4})$/.exec(text);
  if (block) {
    const rows = Number(block[1]), columns = Number(block[2]);
    if (rows >= 1 && columns >= 1 && rows <= MAX_BLOCK && columns <= MAX_BLOCK && rows * columns > 1) return { rows, columns };
  }
  const match = /^(\d{1,4}):(\d{1,4})$/.exec(text);
  const keep = Number(match?.[1]), of = Number(match?.[2]);
  if (!match || keep < 1 || keep >= of || of > MAX_GROUP) {
    throw new CheckpointError('unsupported-pattern', { key: text }, `${JSON.stringify(text)} is neither "unstructured" nor N:M with 1 <= N < M <= ${MAX_GROUP} nor a block such as 16x16 with sides of 1 to ${MAX_BLOCK}`);
  }
  return { keep, of };
}

/** `unstructured`, `2:4` or `16x16`: the inverse of `parsePattern`. */
export const patternText = (pattern: Pattern): string => (pattern === 'unstructured' ? pattern : isGroups(pattern) ? `${pattern.keep}:${pattern.of}` : `${pattern.rows}x${pattern.columns}`);

/** The sparsity that a pattern implies where every group is whole; null where it implies none. */
export const patternSparsity = (pattern: Pattern): number | null => (isGroups(pattern) ? 1 - pattern.keep / pattern.of : null);

/** @throws CheckpointError `unsupported-scope` for blocks that would compete within a row: they span several */
export function checkPatternScope(pattern: Pattern, scope: Scope): void {
  if (isBlock(pattern) && scope === 'row') throw new CheckpointError('unsupported-scope', { key: scope }, 'a block spans several rows; blocks compete in the scopes global and tensor');
}
