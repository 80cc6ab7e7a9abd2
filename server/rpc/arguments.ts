import { CheckpointError } from '../core/errors';
import { editDistance } from '../language/nearest';
import type { Arguments, Flag } from './verbs/contract';

/** Flags that every verb takes. `--progress-file` is for jobs of the editor and is not shown. */
export const commonFlags: readonly (Flag & { readonly hidden?: true })[] = [
  { name: 'json', value: null, help: 'print one JSON document to stdout and nothing else there' },
  { name: 'force', value: null, help: 'replace what is already at the target' },
  { name: 'io', value: 'auto|mmap|pread', help: 'how files are reached (default: auto, which reads them here)' },
  { name: 'threads', value: 'N', help: 'threads for scanning and for the CPU provider (default: all cores)' },
  { name: 'data', value: 'FOLDER', help: 'folder with the benchmark texts (default: $WINNOW_DATA)' },
  { name: 'verbose', value: null, help: 'more words: every tensor, more on stderr, and the stack of an error' },
  { name: 'help', value: null, help: 'this text' },
  { name: 'version', value: null, help: 'the version' },
  { name: 'progress-file', value: 'PATH', help: 'append progress as JSON lines', hidden: true },
];

const usage = (detail: string): CheckpointError => new CheckpointError('usage', {}, detail);

/** The known names nearest to a word that is none of them, best first; empty when none is near. */
export function nearMatches(word: string, known: readonly string[]): string[] {
  const lower = word.toLowerCase();
  return known
    .map((name) => ({ name, distance: name.startsWith(lower) && lower.length >= 2 ? 0.5 : editDistance(lower, name.toLowerCase()) }))
    .filter(({ name, distance }) => distance <= Math.max(1, Math.floor(Math.min(name.length, word.length) / 2.5)))
    .sort((a, b) => a.distance - b.distance || a.name.length - b.name.length)
    .slice(0, 2)
    .map(({ name }) => name);
}

/** `; did you mean "x"?`, or nothing. */
export function suggestion(word: string, known: readonly string[], prefix = ''): string {
  const near = nearMatches(word, known);
  return near.length === 0 ? '' : `; did you mean ${near.map((name) => `\`${prefix}${name}\``).join(' or ')}?`;
}

class ParsedArguments implements Arguments {
  constructor(readonly positional: readonly string[], private readonly given: ReadonlyMap<string, readonly string[]>) {}

  text(flag: string): string | undefined {
    return this.given.get(flag)?.at(-1);
  }

  many(flag: string): readonly string[] {
    return this.given.get(flag) ?? [];
  }

  has(flag: string): boolean {
    return this.given.has(flag);
  }

  number(flag: string, low: number, high: number): number | undefined {
    const text = this.text(flag);
    if (text === undefined) return undefined;
    // Number('') is 0 and Number('0x10') is 16: neither is what a person meant.
    const value = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text.trim()) ? Number(text) : Number.NaN;
    if (!(value >= low && value <= high)) throw usage(`--${flag} takes a number from ${low} ${high >= Number.MAX_VALUE ? 'up' : `to ${high}`}, not \`${text}\``);
    return value;
  }

  integer(flag: string, low: number, high: number): number | undefined {
    const value = this.number(flag, low, high);
    if (value !== undefined && !Number.isSafeInteger(value)) throw usage(`--${flag} takes a whole number, not \`${this.text(flag)}\``);
    return value;
  }
}

/**
 * Splits the words after the verb into flags and the rest. `--name value` and `--name=value` are the same; after `--`
 * nothing is a flag. A flag that takes many words takes all up to the next flag.
 *
 * @throws CheckpointError `usage` for an unknown flag (with near matches), a missing value, a value given to a switch
 */
export function parseArguments(words: readonly string[], flags: readonly Flag[]): Arguments {
  const byName = new Map(flags.map((flag) => [flag.name, flag]));
  const given = new Map<string, string[]>();
  const positional: string[] = [];
  const isFlag = (word: string | undefined): boolean => word !== undefined && word.startsWith('--');
  for (let i = 0; i < words.length; i++) {
    const word = words[i];
    if (word === '--') {
      positional.push(...words.slice(i + 1));
      break;
    }
    if (word === '-h') {
      given.set('help', ['true']);
      continue;
    }
    if (!isFlag(word)) {
      if (/^-[a-zA-Z]/.test(word)) throw usage(`unknown flag \`${word}\`${suggestion(word.replace(/^-+/, ''), [...byName.keys()], '--')}`);
      positional.push(word);
      continue;
    }
    const equals = word.indexOf('=');
    const name = word.slice(2, equals < 0 ? undefined : equals);
    const flag = byName.get(name);
    if (!flag) throw usage(`unknown flag \`--${name}\`${suggestion(name, [...byName.keys()], '--')}`);
    const values = given.get(name) ?? [];
    given.set(name, values);
    if (flag.value === null) {
      if (equals >= 0) throw usage(`--${name} is a switch and takes no value`);
      values.push('true');
    } else if (equals >= 0) {
      values.push(word.slice(equals + 1));
    } else if (i + 1 >= words.length || isFlag(words[i + 1])) {
      throw usage(`--${name} needs a value (${flag.value})`);
    } else {
      values.push(words[++i]);
      while (flag.many && i + 1 < words.length && !isFlag(words[i + 1])) values.push(words[++i]);
    }
  }
  // An unset variable of a script: as a path it would mean the folder one happens to be in.
  const unset = [...given].find(([, values]) => values.includes(''));
  if (unset) throw usage(`--${unset[0]} is empty`);
  if (positional.includes('')) throw usage('a word is empty');
  return new ParsedArguments(positional, given);
}
