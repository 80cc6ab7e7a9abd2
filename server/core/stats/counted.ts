/** Distinct magnitudes, ascending, with their counts. No NaN. */
export interface Counted { readonly values: ArrayLike<number>; readonly counts: ArrayLike<number> }

/** Adds two ascending lists. */
function addTwo(a: Counted, b: Counted): { values: Float64Array; counts: Float64Array } {
  const most = a.values.length + b.values.length, values = new Float64Array(most), counts = new Float64Array(most);
  let at = 0, i = 0, j = 0;
  while (i < a.values.length || j < b.values.length) {
    const x = i < a.values.length ? a.values[i] : Infinity, y = j < b.values.length ? b.values[j] : Infinity;
    // Infinity may be a magnitude: past its end a list must not be asked for one.
    const takeA = i < a.values.length && x <= y, takeB = j < b.values.length && y <= x;
    values[at] = takeA ? x : y;
    counts[at++] = (takeA ? a.counts[i++] : 0) + (takeB ? b.counts[j++] : 0);
  }
  return { values: values.slice(0, at), counts: counts.slice(0, at) };
}

/**
 * Sums ascending lists as they come. Lists of like size are added first, so that n pairs in all cost n log n, and no more
 * is kept than a few times the distinct magnitudes.
 */
export class CountedSum {
  private readonly runs: Counted[] = [];

  add(list: Counted): void {
    if (list.values.length === 0) return;
    this.runs.push(list);
    while (this.runs.length > 1 && this.runs[this.runs.length - 2].values.length <= 2 * this.runs[this.runs.length - 1].values.length) {
      const b = this.runs.pop() as Counted, a = this.runs.pop() as Counted;
      this.runs.push(addTwo(a, b));
    }
  }

  result(): Counted {
    return this.runs.reduceRight<Counted>((sum, run) => addTwo(run, sum), { values: [], counts: [] });
  }
}
