/**
 * Raw deflate (RFC 1951), synchronous and in constant memory. Node's zlib inflates synchronously only as a whole, and workers
 * read synchronously; this one serves the rare entries that are too large for that.
 */

const WINDOW = 32768, FLUSH_BYTES = 2 ** 20, MAX_BITS = 15, FAST_BITS = 10;

/** The data are no deflate stream. */
export class InflateError extends Error {}

/** Codes of one alphabet: short ones by table, the rest bit by bit from their first code and offset of each length. */
interface Huffman { readonly fast: Uint16Array; readonly counts: Uint16Array; readonly symbols: Uint16Array }

const LENGTH_BASE = [3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258];
const LENGTH_EXTRA = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
const DISTANCE_BASE = [1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577];
const DISTANCE_EXTRA = [0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13];
const CODE_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

function huffman(lengths: Uint8Array): Huffman {
  const counts = new Uint16Array(MAX_BITS + 1), symbols = new Uint16Array(lengths.length), offsets = new Uint16Array(MAX_BITS + 2), fast = new Uint16Array(1 << FAST_BITS);
  for (const length of lengths) counts[length]++;
  counts[0] = 0;
  let left = 1;
  for (let length = 1; length <= MAX_BITS; length++) {
    left = left * 2 - counts[length];
    if (left < 0) throw new InflateError('codes that are too many');
    offsets[length + 1] = offsets[length] + counts[length];
  }
  const next = offsets.slice();
  for (let symbol = 0; symbol < lengths.length; symbol++) if (lengths[symbol] > 0) symbols[next[lengths[symbol]]++] = symbol;
  // fast[low bits] = symbol * 16 + length, for codes of at most FAST_BITS.
  for (let length = 1, code = 0, at = 0; length <= FAST_BITS; length++, code <<= 1) {
    for (let i = 0; i < counts[length]; i++, code++, at++) {
      let reversed = 0;
      for (let bit = 0; bit < length; bit++) reversed |= ((code >> bit) & 1) << (length - 1 - bit);
      for (let entry = reversed; entry < fast.length; entry += 1 << length) fast[entry] = symbols[at] * 16 + length;
    }
  }
  return { fast, counts, symbols };
}

const fixedLengths = Uint8Array.from({ length: 288 }, (_, i) => (i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8));
let fixed: { readonly codes: Huffman; readonly distances: Huffman } | null = null;

/**
 * @param next the next piece of input, empty at its end
 * @param sink gets the output piece by piece; the bytes are only lent
 * @throws InflateError, and what `next` and `sink` throw
 */
export function inflateStream(next: () => Uint8Array, sink: (bytes: Uint8Array) => void): void {
  new Inflater(next, sink).run();
}

class Inflater {
  private input = new Uint8Array(0);
  private at = 0;
  private bits = 0;
  private count = 0;
  /** The last WINDOW bytes given out, then what has not been given out. */
  private readonly out = new Uint8Array(WINDOW + FLUSH_BYTES + 258);
  private end = 0;
  private given = 0;

  constructor(private readonly next: () => Uint8Array, private readonly sink: (bytes: Uint8Array) => void) {}

  run(): void {
    for (let last = false; !last;) {
      last = this.take(1) === 1;
      const type = this.take(2);
      if (type === 0) this.stored();
      else if (type === 1) {
        fixed ??= { codes: huffman(fixedLengths), distances: huffman(new Uint8Array(30).fill(5)) };
        this.block(fixed.codes, fixed.distances);
      } else if (type === 2) this.dynamic();
      else throw new InflateError('a block of type 3');
    }
    this.flush();
  }

  private byte(): number {
    if (this.at === this.input.length) {
      this.input = this.next() as Uint8Array<ArrayBuffer>;
      this.at = 0;
      if (this.input.length === 0) throw new InflateError('it ends early');
    }
    return this.input[this.at++];
  }

  private take(wanted: number): number {
    while (this.count < wanted) {
      this.bits |= this.byte() << this.count;
      this.count += 8;
    }
    const value = this.bits & ((1 << wanted) - 1);
    this.bits >>>= wanted;
    this.count -= wanted;
    return value;
  }

  private symbol(table: Huffman): number {
    // Input is asked for only as a code needs it: the stream may end with this one.
    for (;;) {
      const entry = table.fast[this.bits & ((1 << FAST_BITS) - 1)], length = entry & 15;
      if (length > 0 && length <= this.count) {
        this.bits >>>= length;
        this.count -= length;
        return entry >> 4;
      }
      if (length === 0 && this.count >= FAST_BITS) return this.slow(table);
      this.bits |= this.byte() << this.count;
      this.count += 8;
    }
  }

  private slow(table: Huffman): number {
    let code = 0, first = 0, index = 0;
    for (let length = 1; length <= MAX_BITS; length++) {
      code |= this.take(1);
      const count = table.counts[length];
      if (code - count < first) return table.symbols[index + code - first];
      index += count;
      first = (first + count) << 1;
      code <<= 1;
    }
    throw new InflateError('a code that is none');
  }

  private stored(): void {
    this.bits = 0;
    this.count = 0;
    const length = this.byte() | (this.byte() << 8), check = this.byte() | (this.byte() << 8);
    if ((length ^ check) !== 0xffff) throw new InflateError('a stored block of a wrong length');
    for (let i = 0; i < length; i++) this.put(this.byte());
  }

  private dynamic(): void {
    const codes = this.take(5) + 257, distances = this.take(5) + 1, order = this.take(4) + 4, lengths = new Uint8Array(19);
    if (codes > 286 || distances > 30) throw new InflateError('too many codes');
    for (let i = 0; i < order; i++) lengths[CODE_ORDER[i]] = this.take(3);
    const table = huffman(lengths), all = new Uint8Array(codes + distances);
    for (let i = 0; i < all.length;) {
      const symbol = this.symbol(table);
      if (symbol < 16) { all[i++] = symbol; continue; }
      if (symbol === 16 && i === 0) throw new InflateError('a length to repeat that is missing');
      const value = symbol === 16 ? all[i - 1] : 0, times = symbol === 16 ? 3 + this.take(2) : symbol === 17 ? 3 + this.take(3) : 11 + this.take(7);
      if (i + times > all.length) throw new InflateError('more lengths than codes');
      all.fill(value, i, i += times);
    }
    this.block(huffman(all.subarray(0, codes)), huffman(all.subarray(codes)));
  }

  /** The loop that costs the time. */
  private block(codes: Huffman, distances: Huffman): void {
    for (;;) {
      const symbol = this.symbol(codes);
      if (symbol < 256) { this.put(symbol); continue; }
      if (symbol === 256) return;
      if (symbol > 285) throw new InflateError('a length that is none');
      const length = LENGTH_BASE[symbol - 257] + this.take(LENGTH_EXTRA[symbol - 257]), far = this.symbol(distances);
      if (far > 29) throw new InflateError('a distance that is none');
      const distance = DISTANCE_BASE[far] + this.take(DISTANCE_EXTRA[far]), { out } = this;
      if (distance > this.end) throw new InflateError('a distance beyond the beginning');
      for (let i = 0; i < length; i++, this.end++) out[this.end] = out[this.end - distance];
      if (this.end >= WINDOW + FLUSH_BYTES) this.flush();
    }
  }

  private put(byte: number): void {
    this.out[this.end++] = byte;
    if (this.end >= WINDOW + FLUSH_BYTES) this.flush();
  }

  /** Gives out what is new and keeps the window. */
  private flush(): void {
    this.sink(this.out.subarray(this.given, this.end));
    const kept = Math.min(WINDOW, this.end);
    this.out.copyWithin(0, this.end - kept, this.end);
    this.end = kept;
    this.given = kept;
  }
}
