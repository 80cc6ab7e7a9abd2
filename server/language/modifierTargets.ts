/** Names of modules as llm-compressor matches them: a class, a name, or `re:` and a regular expression that matches from the start of the name. */

/** Classes whose modules Winnow's prunable set is made of. */
const CLASSES = new Set(['Linear', 'Conv1D', '__ALL__', '__ALL_PRUNABLE__']);
/** `re:model.layers.\d+$`, `re:.*h.\d*`: every block. */
const EVERY_BLOCK = /^re:\^?(?:\.\*|[\w\\.]*)(?:layers?|h|blocks?)\\?\.\\d[+*]?\$?$/;

/** A target that takes nothing away from the prunable set. */
export const namesEveryLayer = (target: unknown): boolean => typeof target === 'string' && (CLASSES.has(target) || EVERY_BLOCK.test(target) || /^\w*(DecoderLayer|Block)$/.test(target));

/** Heads and embeddings are outside the prunable set as it is; a glob that names none of the tensors would be an error. */
const OUTSIDE = /(^|[.*])(lm_head|embed\w*|wte|wpe)$/;

/**
 * Globs over tensor names for one ignored module; empty where it is left alone anyway, null where no glob says the same.
 */
export function excludesOf(ignored: unknown): string[] | null {
  if (typeof ignored !== 'string' || ignored === '' || CLASSES.has(ignored)) return null;
  const regex = ignored.startsWith('re:') ? ignored.slice(3) : null;
  const glob = regex === null ? literal(ignored) : globOf(regex);
  if (glob === null) return null;
  if (OUTSIDE.test(glob.replace(/\*$/, ''))) return [];
  if (regex === null) return /^[A-Z]\w*$/.test(ignored) ? null : [`${glob}.weight`];
  return [/(^|[^\\])\$$/.test(regex) ? `${glob}.weight` : glob.endsWith('*') ? glob : `${glob}*`];
}

const literal = (text: string): string => text.replace(/[*?[\]{}\\]/g, '\\$&');

/** A regular expression of plain characters, `.`, `\.`, `.*` and anchors; null for any other. */
function globOf(regex: string): string | null {
  let glob = '';
  const body = regex.replace(/^\^/, '').replace(/([^\\])\$$/, '$1');
  for (let at = 0; at < body.length; at++) {
    const character = body[at], next = body[at + 1];
    if (character === '.' && next === '*') { glob += '*'; at++; }
    else if (character === '.') glob += /[\w]/.test(next ?? '') && /\w$/.test(glob) ? '.' : '?';
    else if (character === '\\' && next === '.') { glob += '.'; at++; }
    else if (/[\w-]/.test(character) && !(next !== undefined && /[*+?{]/.test(next))) glob += character;
    else return null;
  }
  return glob;
}
