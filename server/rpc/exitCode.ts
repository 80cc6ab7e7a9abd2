import type { CheckpointError, ErrorCode } from '../core/errors';

/** Exit status: 0 done, 1 failed, 2 wrong usage, 130 cancelled. */
export type ExitCode = number;

const EXIT_CANCELLED = 130;

/** Values that are wrong whatever the checkpoint is: a name that is not in a list, a number out of its range, two that do not go together. */
const WRONG_WORDS: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'unknown-method', 'unknown-benchmark', 'unknown-protocol', 'unknown-provider', 'unsupported-scope', 'unsupported-pattern', 'unsupported-allocation', 'bad-parameter', 'bad-allocation', 'bad-sparsity', 'bad-window',
]);

/** True where the values stand in a file that the words name: a cell's specification, a recipe, a manifest. */
const readsValues = ([verb, ...words]: readonly string[]): boolean => verb === 'cell' || words.some((word) => /\.ya?ml$/i.test(word) || /^--from-manifest(=|$)/.test(word));

/**
 * 2 where the words of the command line are wrong in themselves, 1 where a file is, or the two do not fit each other (a glob that
 * names no tensor of this checkpoint, a window longer than this model has).
 */
export function exitCodeOf(error: CheckpointError, words: readonly string[]): ExitCode {
  const { code, where } = error;
  if (code === 'cancelled') return EXIT_CANCELLED;
  if (code === 'usage') return 2;
  if (!WRONG_WORDS.has(code) || where.file !== undefined || where.tensor !== undefined) return 1;
  const { key = '' } = where;
  return readsValues(words) && !words.some((word) => key !== '' && (word === `--${key}` || word.split(/[,=]/).includes(key))) ? 1 : 2;
}
