import { CheckpointError } from '../errors';
import type { GroupPattern, Pattern } from './contract';

/** Larger groups than any hardware has; bounds what a person may type. */
const MAX_GROUP = 1024;

/** `unstructured`, or `N:M`: N of every M consecutive inputs are kept. @throws CheckpointError `unsupported-pattern` */
export function parsePattern(text: string): Pattern {
  if (text === 'unstructured') return 'unstructured';
  const match = /^(\d{1,4}):(\d{1,4})$/.exec(text);
  const keep = Number(match?.[1]), of = Number(match?.[2]);
  if (!match || keep < 1 || keep >= of || of > MAX_GROUP) {
    throw new CheckpointError('unsupported-pattern', { key: text }, `${JSON.stringify(text)} is neither "unstructured" nor N:M with 1 <= N < M <= ${MAX_GROUP}`);
  }
  return { keep, of };
}

/** `unstructured` or `2:4`: the inverse of `parsePattern`. */
export const patternText = (pattern: Pattern): string => (pattern === 'unstructured' ? pattern : `${pattern.keep}:${pattern.of}`);

/** The sparsity that a pattern implies where every group is whole. */
export const patternSparsity = (pattern: GroupPattern): number => 1 - pattern.keep / pattern.of;
