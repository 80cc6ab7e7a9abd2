import { BLANK } from './normalise';
import { pieceTypes, type PieceModel } from './pieceModel';

/** Cuts a normalised text into pieces, by id. */
export type Segmenter = (normalised: string) => number[];

/** How much worse than the worst piece a character without one is (unigram_model.cc). */
const UNKNOWN_PENALTY = 10;
/** Words met before are not cut again. */
const REMEMBERED_WORDS = 100_000;

/**
 * The segmentation of a SentencePiece model. The text is taken in words, each beginning with its blank: no piece reaches
 * from a letter over a blank, unless the vocabulary has one that does, and there it is not cut. (The library itself adds
 * F32 scores over the whole text, and loses digits on a long one.) What has no piece is one unknown, however long, or its
 * bytes.
 */
export function makeSegmenter(model: PieceModel): Segmenter {
  const segment = model.kind === 'unigram' ? unigram(model) : bytePair(model);
  const joined = new Set<string>();
  for (const { text } of model.pieces) for (let at = text.indexOf(BLANK, 1); at !== -1; at = text.indexOf(BLANK, at + 1)) joined.add(text[at - 1]);
  const hasBlank = model.pieces.some(({ text, type }) => text === BLANK && type === pieceTypes.normal);
  const words = new Map<string, readonly number[]>(), bytes = bytePieces(model);
  const wordIds = (word: string): readonly number[] => {
    let ids = words.get(word);
    if (ids === undefined) {
      ids = segment(word).flatMap(([id, piece]) => (id === model.unknown && bytes ? Array.from(new TextEncoder().encode(piece), (byte) => bytes[byte]) : [id]));
      if (words.size < REMEMBERED_WORDS && word.length <= 64) words.set(word, ids);
    }
    return ids;
  };
  return (text) => {
    const ids: number[] = [];
    const add = (word: string): void => { for (const id of wordIds(word)) if (id !== model.unknown || ids.at(-1) !== id || bytes) ids.push(id); };
    let from = 0;
    if (hasBlank) {
      for (let at = text.indexOf(BLANK, 1); at !== -1; at = text.indexOf(BLANK, at + 1)) {
        if (text[at - 1] === BLANK || joined.has(text[at - 1])) continue;
        add(text.slice(from, at));
        from = at;
      }
    }
    if (from < text.length) add(text.slice(from));
    return ids;
  };
}

/** Ids of `<0x00>` to `<0xFF>`, or null where an unknown stays unknown. */
function bytePieces(model: PieceModel): readonly number[] | null {
  if (!model.byteFallback) return null;
  const ids = new Map(model.pieces.map((piece, id) => [piece.text, id]));
  const found = Array.from({ length: 256 }, (_, byte) => ids.get(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`) ?? model.unknown);
  return found.includes(model.unknown) ? null : found;
}

type Segment = readonly [id: number, piece: string];

/** Pieces that a text can be cut into: normal, defined by a user, and unused ones, which only BPE passes through. */
const usable = (model: PieceModel): Map<string, number> =>
  new Map(model.pieces.flatMap(({ text, type }, id): [string, number][] => (type === pieceTypes.normal || type === pieceTypes.userDefined || type === pieceTypes.unused ? [[text, id]] : [])));

/** The path of the best sum of scores; of equal ones the piece that was met first, shorter pieces first. */
function unigram(model: PieceModel): (word: string) => Segment[] {
  const { pieces, unknown } = model, ids = usable(model);
  const prefixes = new Set<string>();
  for (const [text, id] of ids) {
    if (pieces[id].type === pieceTypes.unused) ids.delete(text);
    else for (let end = 1; end < text.length; end++) prefixes.add(text.slice(0, end));
  }
  const unknownScore = pieces.reduce((lowest, { score, type }) => (type === pieceTypes.normal && score < lowest ? score : lowest), Infinity) - UNKNOWN_PENALTY;
  const longest = pieces.reduce((most, { text }) => Math.max(most, text.length), 1);
  // One that a user defined always wins: next to nothing is lost by it.
  const scoreOf = (id: number): number => (pieces[id].type === pieceTypes.userDefined ? -0.1 : pieces[id].score);
  return (word) => {
    const best = new Float64Array(word.length + 1).fill(-Infinity), from = new Int32Array(word.length + 1), by = new Int32Array(word.length + 1);
    best[0] = 0;
    for (let at = 0; at < word.length;) {
      const size = word.codePointAt(at)! > 0xffff ? 2 : 1;
      let hasSingle = false;
      const offer = (end: number, id: number, score: number): void => {
        if (best[at] + score <= best[end]) return;
        best[end] = best[at] + score;
        from[end] = at;
        by[end] = id;
      };
      for (let end = at + 1; end <= word.length && end - at <= longest; end++) {
        const text = word.slice(at, end), id = ids.get(text);
        if (id !== undefined) {
          offer(end, id, scoreOf(id));
          if (end - at === size) hasSingle = true;
        }
        if (!prefixes.has(text)) break;
      }
      if (!hasSingle) offer(at + size, unknown, unknownScore);
      at += size;
    }
    const path: Segment[] = [];
    for (let end = word.length; end > 0; end = from[end]) path.push([by[end], word.slice(from[end], end)]);
    return path.reverse();
  };
}

/** Two neighbours, joined in the order of the scores of what they make, the leftmost of equal ones first (bpe_model.cc). */
function bytePair(model: PieceModel): (word: string) => Segment[] {
  const { pieces, unknown } = model, ids = usable(model);
  const symbols = pieces.filter(({ type, text }) => type === pieceTypes.userDefined && text !== '').map(({ text }) => text).sort((a, b) => b.length - a.length);
  return (word) => {
    // A list of parts; `next` and `previous` are -1 at the ends, and a part that was joined to the one before it is empty.
    const parts: string[] = [], frozen: boolean[] = [];
    for (let at = 0; at < word.length; at += parts.at(-1)!.length) {
      const symbol = symbols.find((one) => word.startsWith(one, at));
      parts.push(symbol ?? String.fromCodePoint(word.codePointAt(at)!));
      frozen.push(symbol !== undefined);
    }
    const next = Int32Array.from(parts, (_, i) => (i + 1 < parts.length ? i + 1 : -1)), previous = Int32Array.from(parts, (_, i) => i - 1);
    const halves = new Map<string, readonly [string, string]>(), heap: Pair[] = [];
    const offer = (left: number, right: number): void => {
      if (left === -1 || right === -1 || frozen[left] || frozen[right]) return;
      const text = parts[left] + parts[right], id = ids.get(text);
      if (id === undefined) return;
      push(heap, { score: pieces[id].score, left, right, length: text.length });
      if (pieces[id].type === pieceTypes.unused) halves.set(text, [parts[left], parts[right]]);
    };
    for (let i = 0; i + 1 < parts.length; i++) offer(i, i + 1);
    for (let top = pop(heap); top !== undefined; top = pop(heap)) {
      const { left, right, length } = top;
      if (parts[left] === '' || parts[right] === '' || parts[left].length + parts[right].length !== length) continue;
      parts[left] += parts[right];
      parts[right] = '';
      next[left] = next[right];
      if (next[right] !== -1) previous[next[right]] = left;
      offer(previous[left], left);
      offer(left, next[left]);
    }
    /** A piece that is not to be used is taken apart again as it was made. */
    const whole = (text: string): Segment[] => {
      const id = ids.get(text) ?? unknown, apart = halves.get(text);
      return pieces[id].type === pieceTypes.unused && apart ? apart.flatMap(whole) : [[id, text]];
    };
    return parts.flatMap((part) => (part === '' ? [] : whole(part)));
  };
}

interface Pair { readonly score: number; readonly left: number; readonly right: number; readonly length: number }
const before = (a: Pair, b: Pair): boolean => a.score > b.score || (a.score === b.score && a.left < b.left);

function push(heap: Pair[], pair: Pair): void {
  let at = heap.push(pair) - 1;
  for (let up = (at - 1) >> 1; at > 0 && before(pair, heap[up]); at = up, up = (at - 1) >> 1) heap[at] = heap[up];
  heap[at] = pair;
}

function pop(heap: Pair[]): Pair | undefined {
  const top = heap[0], last = heap.pop();
  if (last === undefined || heap.length === 0) return last;
  let at = 0;
  for (let down = 1; down < heap.length; down = 2 * at + 1) {
    if (down + 1 < heap.length && before(heap[down + 1], heap[down])) down++;
    if (!before(heap[down], last)) break;
    heap[at] = heap[down];
    at = down;
  }
  heap[at] = last;
  return top;
}
