import { CheckpointError } from '../../errors';
import { decodeInto } from '../../tensor/decode';
import { dtypes } from '../../tensor/dtype';
import type { ScoreStep } from '../../tensor/encoding';
import type { ByteSource } from '../byteSource';

/** Scores made in one step: a multiple of the elements that any dtype needs to fill whole bytes. */
const STEP_ELEMENTS = 2 ** 15;
/** The smallest normal F32: what a score becomes that would round to less, so that only a zero weight scores zero. */
export const LEAST_SCORE = 2 ** -126;

/**
 * Weights as pruning scores, F32: see `ScoreStep`. Any range is read; a score depends on its weight and its place alone, so
 * windows and slices never change one.
 *
 * @throws CheckpointError `internal` where the norms or sums do not fit the shape
 */
export function scored(source: ByteSource, step: ScoreStep): ByteSource {
  const { bits } = dtypes[step.dtype], elements = Math.floor((source.byteLength * 8) / bits), score = scorer(step);
  const values = new Float32Array(Math.min(elements, STEP_ELEMENTS)), bytes = new Uint8Array(values.buffer);
  const raw = new Uint8Array((STEP_ELEMENTS * bits) / 8);
  return {
    path: source.path,
    byteLength: elements * 4,
    read(from, to, into) {
      for (let at = from; at < to;) {
        // Packed dtypes share bytes: start where a byte starts.
        const first = Math.floor(at / 32) * 8, end = Math.min(Math.ceil(to / 4), first + STEP_ELEMENTS, elements), stop = Math.min(to, end * 4);
        source.read((first * bits) / 8, Math.ceil((end * bits) / 8), raw.subarray(0, Math.ceil((end * bits) / 8) - (first * bits) / 8));
        score(raw, first, end - first, values, 0);
        into.set(bytes.subarray(at - first * 4, stop - first * 4), at - from);
        at = stop;
      }
    },
    close: () => source.close(),
  };
}

/**
 * Writes the scores of `n` weights into `out` from `at` on.
 *
 * @param raw the weights' bytes, from offset 0 of its buffer
 * @param first flat index of the first weight within its tensor
 */
export type Scorer = (raw: Uint8Array<ArrayBuffer>, first: number, n: number, out: Float32Array, at: number) => void;

/** Makes the scorer of a tensor. @throws CheckpointError `internal` where norms or sums do not fit */
export function scorer(step: ScoreStep): Scorer {
  const { dtype, height, width } = step, size = height * width;
  const outIn = step.orientation === 'out-in', inputs = outIn ? width : height, outputs = outIn ? height : width;
  const line = scoreLine(step, inputs, outputs);
  const weights = new Float64Array(STEP_ELEMENTS), weightWords = new Uint32Array(weights.buffer);
  return (raw, first, n, out, at) => {
    const words = new Uint32Array(out.buffer, out.byteOffset, out.length);
    for (let done = 0; done < n; done += STEP_ELEMENTS) {
      const some = Math.min(STEP_ELEMENTS, n - done), part = done === 0 ? raw : raw.slice((done * dtypes[dtype].bits) / 8);
      decodeInto(dtype, part, some, weights);
      for (let i = 0; i < some;) {
        const flat = first + done + i, matrix = Math.floor(flat / size), y = Math.floor((flat - matrix * size) / width), x = flat - matrix * size - y * width;
        const count = Math.min(some - i, width - x);
        line(weights, i, count, matrix, y, x, out, at + done + i);
        i += count;
      }
      // Signs last and by bits: to branch on them would cost more than all the rest.
      for (let i = 0, to = at + done; i < some; i++, to++) words[to] |= weightWords[2 * i + 1] & 0x80000000;
    }
  };
}

/** Scores, without signs, `count` weights from `from` on, which lie side by side in one stored row: row y, columns x.. of a matrix. */
type Line = (w: Float64Array, from: number, count: number, matrix: number, y: number, x: number, out: Float32Array, at: number) => void;

function scoreLine(step: ScoreStep, inputs: number, outputs: number): Line {
  const { how } = step, outIn = step.orientation === 'out-in';
  const fits = (name: string, length: number, of: number): number => {
    if (length === 0 ? of !== 0 : length % of !== 0) throw new CheckpointError('internal', {}, `${length} ${name} for ${of} of a matrix`);
    return length === of ? 0 : of; // one for all matrices, or each its own
  };
  switch (how.kind) {
    case 'magnitude': return (w, from, count, _matrix, _y, _x, out, at) => {
      for (let i = 0; i < count; i++) out[at + i] = kept(Math.abs(w[from + i]), Math.abs(w[from + i]));
    };
    case 'wanda': {
      const { norms } = how, jump = fits('norms', norms.length, inputs);
      if (outIn) return (w, from, count, matrix, _y, x, out, at) => {
        const base = matrix * jump + x;
        for (let i = 0; i < count; i++) { const size = Math.abs(w[from + i]); out[at + i] = kept(size, size * norms[base + i]); }
      };
      return (w, from, count, matrix, y, _x, out, at) => {
        const norm = norms[matrix * jump + y];
        for (let i = 0; i < count; i++) { const size = Math.abs(w[from + i]); out[at + i] = kept(size, size * norm); }
      };
    }
    case 'ria': {
      const { outputSums, inputSums } = how, jump = fits('norms', how.norms.length, inputs);
      fits('output sums', outputSums.length, outputs);
      fits('input sums', inputSums.length, inputs);
      const powers = Float64Array.from(how.norms, (norm) => norm ** how.power);
      return (w, from, count, matrix, y, x, out, at) => {
        const o = matrix * outputs, n = matrix * inputs, p = matrix * jump;
        if (outIn) for (let i = 0, outputSum = outputSums[o + y]; i < count; i++) {
          const size = Math.abs(w[from + i]);
          out[at + i] = kept(size, (size / outputSum + size / inputSums[n + x + i]) * powers[p + x + i]);
        } else for (let i = 0, inputSum = inputSums[n + y], power = powers[p + y]; i < count; i++) {
          const size = Math.abs(w[from + i]);
          out[at + i] = kept(size, (size / outputSums[o + x + i] + size / inputSum) * power);
        }
      };
    }
    case 'random': {
      const [low, high] = hashOf(how.seed, how.key);
      return (w, from, count, matrix, y, x, out, at) => {
        // By output and input, not by where they are stored: the same draw in both layouts.
        const step = outIn ? 1 : inputs;
        const start = matrix * inputs * outputs + (outIn ? y * inputs + x : x * inputs + y);
        for (let i = 0; i < count;) {
          // As far as the index keeps its high word: the loop then counts in 32 bits.
          const index = start + i * step, page = Math.floor(index / 2 ** 32), salt = Math.imul(page + 1, high);
          const stop = Math.min(count, i + Math.ceil(((page + 1) * 2 ** 32 - index) / step));
          for (let word = index | 0; i < stop; i++, word = (word + step) | 0) out[at + i] = kept(Math.abs(w[from + i]), ((mix((mix(word ^ low) + salt) | 0) >>> 8) + 1) * 2 ** -24);
        }
      };
    }
  }
}

/** The score of a weight of this size: zero for zero, NaN for NaN, never zero else; an infinite weight stays infinite. */
function kept(size: number, score: number): number {
  if (!(size > 0)) return size;
  return score > LEAST_SCORE ? score : size === Infinity ? size : LEAST_SCORE;
}

/** Two 32-bit words from a seed and a name (FNV-1a over the name's UTF-8, each word with its own start). */
function hashOf(seed: number, name: string): readonly [number, number] {
  let low = 0x811c9dc5 ^ seed, high = 0x9e3779b9 ^ Math.imul(seed, 0x85ebca6b);
  for (const byte of Buffer.from(name)) {
    low = Math.imul(low ^ byte, 0x01000193);
    high = Math.imul(high ^ byte, 0x01000193) + 0x7f4a7c15;
  }
  return [mix(low), mix(high)];
}

/** A 32-bit finaliser: every bit of the input reaches every bit of the answer (as MurmurHash3's, with the constants of Wellons' search). */
function mix(x: number): number {
  let h = x;
  h = Math.imul(h ^ (h >>> 16), 0x7feb352d);
  h = Math.imul(h ^ (h >>> 15), 0x846ca68b);
  return h ^ (h >>> 16);
}
