import { roundHalfEven } from './rounding';

/**
 * How many weights of each block of inputs are pruned, so that a tensor loses exactly k = round-half-even(sparsity x elements): after every block
 * round-half-even(sparsity x elements so far) are, zeros counted. A block with more zeros than that keeps them, and the blocks after it give way.
 *
 * @param elements of each block
 * @param zeros of each block, at most k in all
 */
export function blockCounts(sparsity: number, elements: readonly number[], zeros: readonly number[]): number[] {
  const total = elements.reduce((sum, n) => sum + n, 0), k = roundHalfEven(sparsity * total);
  let seen = 0, done = 0, zerosLeft = zeros.reduce((sum, n) => sum + n, 0);
  return elements.map((n, i) => {
    seen += n;
    zerosLeft -= zeros[i];
    const due = Math.min(roundHalfEven(sparsity * seen), k - zerosLeft) - done, count = Math.min(n, Math.max(zeros[i], due));
    done += count;
    return count;
  });
}

/** The `wanted`-th smallest of the numbers >= 0 in `keys`, wanted >= 1, and how many equal to it are among the `wanted` smallest. */
export function rankIn(keys: Float64Array, wanted: number): { readonly value: number; readonly ties: number } {
  // The top 16 bits less the sign order doubles coarsely; the bin that holds the rank is sorted.
  const words = new Uint32Array(keys.buffer, keys.byteOffset, keys.length * 2), counts = new Uint32Array(0x10000);
  for (let i = 1; i < words.length; i += 2) counts[words[i] >>> 15]++;
  let bin = 0, rank = wanted - 1;
  while (rank >= counts[bin]) rank -= counts[bin++];
  const inside = new Float64Array(counts[bin]);
  let filled = 0;
  for (let i = 0; i < keys.length; i++) if (words[2 * i + 1] >>> 15 === bin) inside[filled++] = keys[i];
  inside.sort();
  const value = inside[rank];
  let ties = 1;
  for (let i = rank - 1; i >= 0 && inside[i] === value; i--) ties++;
  return { value, ties };
}

/**
 * Marks, besides what is marked already, the smallest |w| / divisor of one block until `wanted` are marked; ties in the order in which the weights
 * are stored.
 *
 * @param weights (inputs, outputs)
 * @param pruned (inputs, outputs), 1 = pruned
 * @param divisors (inputs)
 */
export function markSmallest(weights: Float64Array, pruned: Uint8Array, divisors: Float64Array, wanted: number, orientation: 'out-in' | 'in-out'): void {
  const inputs = divisors.length, outputs = weights.length / inputs, keys = new Float64Array(weights.length);
  let left = wanted;
  for (let i = 0, at = 0; i < inputs; i++) {
    for (let x = 0; x < outputs; x++, at++) {
      left -= pruned[at];
      keys[at] = pruned[at] === 1 ? Infinity : Math.abs(weights[at]) / divisors[i];
    }
  }
  if (left <= 0) return;
  const { value, ties } = rankIn(keys, left);
  for (let at = 0; at < keys.length; at++) if (keys[at] < value) pruned[at] = 1;
  let due = ties;
  const [outer, inner] = orientation === 'in-out' ? [inputs, outputs] : [outputs, inputs];
  for (let a = 0; a < outer && due > 0; a++) {
    for (let b = 0; b < inner && due > 0; b++) {
      const at = orientation === 'in-out' ? a * outputs + b : b * outputs + a;
      if (keys[at] === value && pruned[at] === 0) { pruned[at] = 1; due--; }
    }
  }
}
