import { readCharsMap } from './charsMap';
import { pieceTypes, type PieceModel } from './pieceModel';

/** What stands for a blank inside pieces. */
export const BLANK = '\u2581';

/**
 * The normaliser of a SentencePiece model: replacements of the longest entry, extra blanks taken away, a blank put before
 * the text, blanks written as U+2581; symbols that a user defined pass as they are (normalizer.cc).
 *
 * @param prefix whether this text gets its blank in front: `always`, `never`, or `unlessBlank` (not before one that is there)
 */
export function makeNormaliser(model: PieceModel): (text: string, prefix: 'always' | 'never' | 'unlessBlank') => string {
  const map = readCharsMap(model.charsMap), encoder = new TextEncoder();
  const symbols = model.pieces.filter(({ type, text }) => type === pieceTypes.userDefined && text !== '').map(({ text }) => text).sort((a, b) => b.length - a.length);
  const first = new Set(symbols.map((symbol) => symbol.charCodeAt(0)));
  const ascii = Array.from({ length: 128 }, (_, code) => code);
  /** ASCII characters that begin no entry of ASCII alone need no look-up before another one: most of most texts. */
  const plain = ascii.map((code) => map === null || !map.begins(Uint8Array.of(code)) || (map.replace(Uint8Array.of(code), 0, 1) === null && !ascii.some((next) => map.begins(Uint8Array.of(code, next)))));
  const blank = model.escapeWhitespaces ? BLANK : ' ';

  return (text, prefix) => {
    const bytes = encoder.encode(text), out: string[] = [];
    // As UTF-16 and UTF-8 go along together: `at` and `byteAt` are the same place.
    let isAfterBlank = model.removeExtraWhitespaces, wasEmpty = true;
    const put = (piece: string): void => {
      let from = 0;
      if (isAfterBlank) while (piece[from] === ' ') from++;
      if (from === piece.length) { isAfterBlank = model.removeExtraWhitespaces && (isAfterBlank || piece.endsWith(' ')); return; }
      if (wasEmpty && prefix !== 'never' && model.addDummyPrefix && !(prefix === 'unlessBlank' && (piece[from] === ' ' || piece[from] === BLANK))) out.push(blank);
      wasEmpty = false;
      out.push(model.escapeWhitespaces ? piece.slice(from).replaceAll(' ', BLANK) : piece.slice(from));
      isAfterBlank = model.removeExtraWhitespaces && piece.endsWith(' ');
    };
    for (let at = 0, byteAt = 0; at < text.length;) {
      const code = text.charCodeAt(at), symbol = first.has(code) ? symbols.find((one) => text.startsWith(one, at)) : undefined;
      if (symbol !== undefined) {
        put(symbol);
        at += symbol.length;
        byteAt += encoder.encode(symbol).length;
        continue;
      }
      const found = map === null || (code < 128 && plain[code] && !(text.charCodeAt(at + 1) >= 128)) ? null : map.replace(bytes, byteAt, bytes.length);
      if (found) {
        put(found.text);
        for (const end = byteAt + found.length; byteAt < end;) {
          const size = utf8Length(bytes[byteAt]);
          byteAt += size;
          at += size === 4 ? 2 : 1;
        }
        continue;
      }
      const character = String.fromCodePoint(text.codePointAt(at)!);
      put(/^\p{Cs}$/u.test(character) ? '\ufffd' : character);
      at += character.length;
      byteAt += utf8Length(bytes[byteAt]);
    }
    const joined = out.join('');
    if (!model.removeExtraWhitespaces) return joined;
    let end = joined.length;
    while (end > 0 && joined.startsWith(blank, end - 1)) end--;
    return joined.slice(0, end);
  };
}

const utf8Length = (lead: number): number => (lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4);
