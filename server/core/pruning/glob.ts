import { CheckpointError } from '../errors';

/** Deeper nesting of `{a,{b,c}}` than anyone writes by hand. */
const MAX_BRACES = 32;

/**
 * Turns a glob over tensor names into a test. `*` any run of characters (dots too), `?` one character, `[abc]`, `[a-z]`,
 * `[!a]` one of a set, `{a,b}` one of several, a backslash takes the next character as it is. The whole name must match.
 *
 * @throws CheckpointError `usage` when a bracket or brace is left open
 */
export function globMatcher(glob: string): (name: string) => boolean {
  const characters = Array.from(glob);
  let at = 0, depth = 0;
  const literal = (character: string): string => character.replace(/[\\^$.*+?()[\]{}|/]/gu, '\\$&');
  const inSet = (character: string): string => (character === '-' ? '\\-' : literal(character));
  const bad = (why: string): CheckpointError => new CheckpointError('usage', { key: glob }, `glob ${JSON.stringify(glob)}: ${why}`);

  function set(): string {
    let inner = '', negated = false;
    if (characters[at] === '!' || characters[at] === '^') { negated = true; at++; }
    for (let first = true; ; first = false) {
      if (at >= characters.length) throw bad('`[` without `]`');
      const character = characters[at++];
      if (character === ']' && !first) break;
      const low = character === '\\' && at < characters.length ? characters[at++] : character;
      if (characters[at] === '-' && at + 1 < characters.length && characters[at + 1] !== ']') {
        const high = characters[at + 1];
        at += 2;
        if (low.codePointAt(0)! > high.codePointAt(0)!) throw bad(`range ${low}-${high} runs backwards`);
        inner += `${inSet(low)}-${inSet(high)}`;
      } else inner += inSet(low);
    }
    return `[${negated ? '^' : ''}${inner}]`;
  }

  function sequence(): string {
    let out = '';
    while (at < characters.length) {
      const character = characters[at];
      if (depth > 0 && (character === ',' || character === '}')) return out;
      at++;
      if (character === '*') { if (!out.endsWith('.*')) out += '.*'; }
      else if (character === '?') out += '.';
      else if (character === '[') out += set();
      else if (character === '\\' && at < characters.length) out += literal(characters[at++]);
      else if (character === '{') {
        if (++depth > MAX_BRACES) throw bad('braces nested too deeply');
        const choices = [sequence()];
        while (characters[at] === ',') { at++; choices.push(sequence()); }
        if (characters[at] !== '}') throw bad('`{` without `}`');
        at++; depth--;
        out += `(?:${choices.join('|')})`;
      } else out += literal(character);
    }
    if (depth > 0) throw bad('`{` without `}`');
    return out;
  }

  const expression = new RegExp(`^${sequence()}$`, 'su');
  return (name) => expression.test(name);
}
