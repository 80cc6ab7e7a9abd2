/** Edit distance between two short words (insert, delete, change, and swap of neighbours each cost 1). */
export function editDistance(a: string, b: string): number {
  const width = b.length + 1;
  const cost = new Uint16Array((a.length + 1) * width);
  for (let i = 0; i <= a.length; i++) cost[i * width] = i;
  for (let j = 0; j <= b.length; j++) cost[j] = j;
  for (let i = 1; i <= a.length; i++) {
    for (let j = 1; j <= b.length; j++) {
      const change = cost[(i - 1) * width + j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      let best = Math.min(cost[(i - 1) * width + j] + 1, cost[i * width + j - 1] + 1, change);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) best = Math.min(best, cost[(i - 2) * width + j - 2] + 1);
      cost[i * width + j] = best;
    }
  }
  return cost[a.length * width + b.length];
}

/** The known word that `word` was probably meant to be, or null. Words past 64 characters are never near. */
export function nearest(word: string, known: readonly string[]): string | null {
  if (word.length > 64) return null;
  const wanted = word.toLowerCase();
  let best: string | null = null, bestCost = Math.max(1, Math.floor(wanted.length / 3)) + 1;
  for (const candidate of known) {
    const cost = editDistance(wanted, candidate.toLowerCase());
    if (cost < bestCost) { best = candidate; bestCost = cost; }
  }
  return best;
}
