import type { Json } from './tokenizerFiles';
import { isObject } from './tokenizerFiles';

/**
 * Where a long text may be cut so that the pieces' ids, joined, are the ids of the whole.
 *
 * A cut is only ever made between a letter (\p{L}) and the blank U+0020 after it. That cannot change an id when
 *
 * 1. no normaliser looks across it: none at all, one that maps single characters, one that only prepends (the caller
 *    prepends to the first piece alone), or a Unicode form (a blank composes with nothing before it);
 * 2. and the pre-tokeniser always splits there, without looking further. True of the expressions of GPT-2 and of the
 *    families in `knownSplits`: each alternative that takes a letter ends with it or goes on with letters, marks or digits; a blank begins a
 *    new match; nothing looks behind; the only look-ahead, `\s+(?!\S)`, is inside a run of blanks, which the cut does not
 *    divide. `Digits`, and `ByteLevel` without its expression, split more finely or not at all;
 * 3. or, without a pre-tokeniser (Llama's SentencePiece style, where a blank becomes U+2581), no entry of the vocabulary holds
 *    that letter followed by U+2581: merges and paths through the lattice then never join across the cut, so the two
 *    sides are decided independently.
 *
 * Anything else is encoded in one piece. The tests hold the joined ids against the Rust library.
 */
export interface CutRule {
  /** True when the text may be cut between `letter` (one code point) and the blank that follows it. */
  allows(letter: string): boolean;
}

/** Expressions of published tokenizers, each read for condition 2. Compared as text. */
const knownSplits: ReadonlySet<string> = new Set([
  // GPT-2, also spelled out
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
  // Llama 3, SmolLM3
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  // Qwen 2 and 3
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  // Mistral's Tekken, GPT-4o
  "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
]);

const METASPACE = '\u2581';

function normalizerIsLocal(normalizer: unknown): boolean {
  if (normalizer === null || normalizer === undefined) return true;
  if (!isObject(normalizer)) return false;
  switch (normalizer.type) {
    case 'Sequence': return Array.isArray(normalizer.normalizers) && normalizer.normalizers.every(normalizerIsLocal);
    // Precompiled is SentencePiece's table of characters and short clusters; none of them ends in a blank after a letter.
    case 'Prepend': case 'NFC': case 'NFD': case 'NFKC': case 'NFKD': case 'Precompiled': return true;
    case 'Replace':
      if (!isObject(normalizer.pattern)) return false;
      // Runs of blanks lie wholly in the piece that begins with them.
      return normalizer.pattern.Regex === ' {2,}' || (typeof normalizer.pattern.String === 'string' && [...normalizer.pattern.String].length === 1);
    default: return false;
  }
}

/** True when the pre-tokeniser splits between every letter and a blank (condition 2). */
function splitsAtBlanks(pre: unknown): boolean {
  if (!isObject(pre)) return false;
  if (pre.type === 'ByteLevel') return pre.use_regex !== false;
  if (pre.type === 'Split') return isObject(pre.pattern) && typeof pre.pattern.Regex === 'string' && knownSplits.has(pre.pattern.Regex) && pre.behavior === 'Isolated' && pre.invert !== true;
  if (pre.type === 'Sequence' && Array.isArray(pre.pretokenizers)) return pre.pretokenizers.every((p) => splitsAtBlanks(p) || isHarmless(p)) && pre.pretokenizers.some(splitsAtBlanks);
  return false;
}

const isHarmless = (pre: unknown): boolean => isObject(pre) && (pre.type === 'Digits' || (pre.type === 'ByteLevel' && pre.use_regex === false && pre.add_prefix_space !== true));

/** Every entry of the vocabulary, whatever the model's type stores it as. */
function entries(model: Json): readonly string[] {
  if (Array.isArray(model.vocab)) return model.vocab.map((entry: unknown) => (Array.isArray(entry) ? String(entry[0]) : String(entry)));
  return isObject(model.vocab) ? Object.keys(model.vocab) : [];
}

/** The rule for one tokenizer.json, or null when no cut is known to be safe. */
export function cutRule(tokenizer: Json): CutRule | null {
  if (!normalizerIsLocal(tokenizer.normalizer)) return null;
  const pre = tokenizer.pre_tokenizer;
  if (splitsAtBlanks(pre)) return { allows: () => true };
  const model = tokenizer.model;
  const metaspace = isObject(pre) && pre.type === 'Metaspace' && (pre.replacement ?? METASPACE) === METASPACE;
  if (!isObject(model) || (pre !== null && pre !== undefined && !metaspace)) return null;
  const joined = new Set<string>();
  let known = false;
  for (const entry of entries(model)) {
    let before = '';
    if (entry === METASPACE) known = true;
    for (const character of entry) {
      if (character === METASPACE && before !== '') joined.add(before);
      before = character;
    }
  }
  // A blank that is itself unknown could fuse with an unknown letter before it.
  return known ? { allows: (letter) => !joined.has(letter) } : null;
}

/**
 * Cuts `text` into pieces of about `target` UTF-16 units (longer where no safe place comes sooner).
 * Every piece but the first begins with U+0020.
 */
export function cutText(text: string, rule: CutRule, target: number): string[] {
  const pieces: string[] = [];
  let from = 0;
  while (text.length - from > target) {
    let at = text.indexOf(' ', from + target);
    while (at !== -1 && !allowedAt(text, at, rule)) at = text.indexOf(' ', at + 1);
    if (at === -1) break;
    pieces.push(text.slice(from, at));
    from = at;
  }
  pieces.push(text.slice(from));
  return pieces;
}

function allowedAt(text: string, blank: number, rule: CutRule): boolean {
  const last = text.charCodeAt(blank - 1);
  const letter = last >= 0xdc00 && last <= 0xdfff ? text.slice(blank - 2, blank) : text.charAt(blank - 1);
  return /^\p{L}$/u.test(letter) && rule.allows(letter);
}
