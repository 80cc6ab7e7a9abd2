import { BertNormalizer, PrecompiledNormalizer, SequenceNormalizer } from '@huggingface/tokenizers';
import type { Normalizer } from '@huggingface/tokenizers';
import { readCharsMap, type CharsMap } from './sentencePiece/charsMap';

/**
 * Puts the Rust library's mathematics into two normalisers that the TypeScript library only comes near: SentencePiece's
 * table of replacements (it takes NFKC for every table) and BERT's (it misses characters outside the first plane, and lowers
 * a final sigma as JavaScript does). In place.
 */
export function makeExact(normalizer: Normalizer | null): void {
  if (normalizer instanceof SequenceNormalizer) normalizer.normalizers.forEach(makeExact);
  else if (normalizer instanceof PrecompiledNormalizer) {
    const map = typeof normalizer.charsmap === 'string' ? readCharsMap(Buffer.from(normalizer.charsmap, 'base64')) : null;
    if (map) normalizer.normalize = makePrecompiled(map);
  } else if (normalizer instanceof BertNormalizer) {
    const config = normalizer.config as { clean_text?: boolean; handle_chinese_chars?: boolean; lowercase?: boolean; strip_accents?: boolean | null };
    normalizer.normalize = (text) => bertNormal(text, config);
  }
}

const graphemes = new Intl.Segmenter('und', { granularity: 'grapheme' });
/** Clusters of this many bytes or more are taken character by character (spm_precompiled). */
const LONG_CLUSTER_BYTES = 6;

/** Replaces what a reader sees as one character where the table has it, else each of its characters; the shortest entry that fits. */
function makePrecompiled(map: CharsMap): (text: string) => string {
  const encoder = new TextEncoder();
  const replaced = (part: string): string | null => { const bytes = encoder.encode(part); return map.replace(bytes, 0, bytes.length, true)?.text ?? null; };
  // Printable ASCII with more ASCII after it is a character of its own; where it stands for itself nothing is to be done.
  const isPlain = Array.from({ length: 95 }, (_, i) => replaced(String.fromCharCode(32 + i))).every((text) => text === null);
  const whole = (text: string): string => {
    let out = '';
    for (const { segment } of graphemes.segment(text)) {
      const known = encoder.encode(segment).length < LONG_CLUSTER_BYTES ? replaced(segment) : null;
      if (known !== null) out += known;
      else for (const character of segment) out += replaced(character) ?? character;
    }
    return out;
  };
  return (text) => (isPlain ? text.replace(/[ -~]?[^ -~]+/gu, whole) : whole(text));
}

/** normalizers/bert.rs: control characters away, blanks to blanks, blanks around Chinese characters, accents away, lower case. */
function bertNormal(text: string, config: { readonly clean_text?: boolean; readonly handle_chinese_chars?: boolean; readonly lowercase?: boolean; readonly strip_accents?: boolean | null }): string {
  let result = text;
  if (config.clean_text) result = result.replace(/[\0\ufffd]|(?![\t\n\r])[\p{Cc}\p{Cf}\p{Co}\p{Cs}]/gu, '').replace(/\p{White_Space}/gu, ' ');
  if (config.handle_chinese_chars) result = result.replace(/[\u4e00-\u9fff\u3400-\u4dbf\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b920}-\u{2ceaf}\uf900-\ufaff\u{2f800}-\u{2fa1f}]/gu, ' $& ');
  if (config.strip_accents ?? config.lowercase) result = result.normalize('NFD').replace(/\p{Mn}/gu, '');
  // Character by character: the form of a letter does not depend on where in a word it stands.
  return config.lowercase ? result.replace(/\P{ASCII}|[A-Z]+/gu, (character) => character.toLowerCase()) : result;
}
