import type { HiddenStates } from './hiddenStates';

/**
 * How much a block changes what flows through it: the mean over tokens of 1 - cos(in, out), the block influence of Men et al. 2024
 * (ShortGPT). Reads window after window.
 *
 * @returns null where more or less than one value crosses the block
 */
export function influenceOf(before: HiddenStates, after: HiddenStates): number | null {
  const enters = before.values.filter((value) => !after.values.includes(value)), leaves = after.values.filter((value) => !before.values.includes(value));
  if (enters.length !== 1 || leaves.length !== 1 || before.shapes === null || after.shapes === null) return null;
  const [rows, width] = before.shapes[enters[0]];
  if (after.shapes[leaves[0]].join() !== `${rows},${width}`) return null;
  after.close(); // it was being written
  let sum = 0, tokens = 0;
  for (let window = 0; window < before.windows; window++) {
    const x = before.read(window)[enters[0]].data as Float32Array, y = after.read(window)[leaves[0]].data as Float32Array;
    for (let row = 0; row < rows; row++, tokens++) {
      let dot = 0, xx = 0, yy = 0;
      for (let i = row * width, end = i + width; i < end; i++) { dot += x[i] * y[i]; xx += x[i] * x[i]; yy += y[i] * y[i]; }
      // A token that is all zeros has no direction to change.
      if (xx > 0 && yy > 0) sum += 1 - dot / Math.sqrt(xx * yy);
    }
  }
  return tokens === 0 ? null : sum / tokens;
}
