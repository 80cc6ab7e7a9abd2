/** Swaps magnitudes until the one of rank k (0 = smallest) stands at k; answers it. No NaN inside. Three-way, so masses of ties cost nothing. */
export function quickSelect(values: Float64Array, n: number, k: number): number {
  let low = 0, high = n - 1;
  while (low < high) {
    const a = values[low], b = values[(low + high) >> 1], c = values[high];
    const pivot = Math.max(Math.min(a, b), Math.min(Math.max(a, b), c));
    let less = low, at = low, more = high;
    while (at <= more) {
      const x = values[at];
      if (x < pivot) { values[at++] = values[less]; values[less++] = x; }
      else if (x > pivot) { values[at] = values[more]; values[more--] = x; }
      else at++;
    }
    if (k < less) high = less - 1;
    else if (k > more) low = more + 1;
    else return pivot;
  }
  return values[k];
}

/**
 * Marks the `count` smallest of magnitudes[0..n) in `chosen` (1 = selected), ties by position, NaN never.
 *
 * @param scratch at least n long
 */
export function selectSmallest(magnitudes: Float64Array, n: number, count: number, scratch: Float64Array, chosen: Uint8Array): void {
  chosen.fill(0, 0, n);
  let numbers = 0;
  for (let i = 0; i < n; i++) if (!Number.isNaN(magnitudes[i])) scratch[numbers++] = magnitudes[i];
  const wanted = Math.min(count, numbers);
  if (wanted <= 0) return;
  const threshold = quickSelect(scratch, numbers, wanted - 1);
  let below = 0;
  for (let i = 0; i < n; i++) if (magnitudes[i] < threshold) { chosen[i] = 1; below++; }
  for (let i = 0, ties = wanted - below; ties > 0; i++) if (magnitudes[i] === threshold) { chosen[i] = 1; ties--; }
}

/** Marks the `drop` smallest of a short group, ties by position, NaN never: a few passes beat any sorting. */
export function selectInGroup(magnitudes: Float64Array, from: number, of: number, drop: number, chosen: Uint8Array): void {
  for (let i = from; i < from + of; i++) chosen[i] = 0;
  for (let round = 0; round < drop; round++) {
    let best = -1;
    for (let i = from; i < from + of; i++) {
      if (chosen[i] === 0 && (best < 0 ? !Number.isNaN(magnitudes[i]) : magnitudes[i] < magnitudes[best])) best = i;
    }
    if (best < 0) return;
    chosen[best] = 1;
  }
}
