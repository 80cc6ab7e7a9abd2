/** Where labels go so that none lies on another or on a foreign line. Pure. */

/** Moves positions apart until neighbours are `gap` from each other, within [low, high]; keeps their order and moves little. */
export function spread(positions: readonly number[], gap: number, low: number, high: number): number[] {
  const order = positions.map((_, i) => i).sort((a, b) => positions[a] - positions[b] || a - b);
  // Blocks of touching labels, each centred on the mean of what it wants: the least-squares answer, merged left to right.
  const blocks: { sum: number; size: number; at: number }[] = [];
  const put = (block: { sum: number; size: number }): { sum: number; size: number; at: number } => {
    const length = (block.size - 1) * gap;
    const at = block.sum / block.size - length / 2;
    return { ...block, at: Math.max(low, Math.min(high - length, at)) };
  };
  for (const i of order) {
    let block = put({ sum: positions[i], size: 1 });
    for (let last = blocks.at(-1); last && last.at + last.size * gap > block.at; last = blocks.at(-1)) {
      blocks.pop();
      block = put({ sum: last.sum + block.sum, size: last.size + block.size });
    }
    blocks.push(block);
  }
  const result = new Array<number>(positions.length);
  let next = 0;
  for (const block of blocks) for (let k = 0; k < block.size; k += 1) result[order[next++]] = block.at + k * gap;
  return result;
}

/** Indices of ticks whose labels fit: greedy from the ends (the last and first always stay), at least `gap` apart. */
export function keepApart(positions: readonly number[], gap: number): boolean[] {
  const keep = positions.map(() => false);
  if (positions.length === 0) return keep;
  keep[0] = true;
  const last = positions.length - 1;
  if (last > 0 && positions[last] - positions[0] >= gap) keep[last] = true;
  let before = positions[0];
  for (let i = 1; i < last; i += 1) {
    if (positions[i] - before < gap || positions[last] - positions[i] < gap) continue;
    keep[i] = true;
    before = positions[i];
  }
  return keep;
}

export interface Polyline { points: readonly { x: number; y: number }[] }

/** Height of a polyline at x by linear interpolation; null outside. */
export function heightAt(line: Polyline, x: number): number | null {
  for (let i = 1; i < line.points.length; i += 1) {
    const a = line.points[i - 1];
    const b = line.points[i];
    if (x >= a.x && x <= b.x && b.x > a.x) return a.y + ((b.y - a.y) * (x - a.x)) / (b.x - a.x);
  }
  return null;
}

/**
 * One spot on or beside each line for its label (centre x, centre y; widths in pixels), as far as possible from other lines and
 * labels. Tries above and below at several places along the line.
 */
export function labelLines(lines: readonly Polyline[], widths: readonly number[], box: { left: number; right: number; top: number; bottom: number }): { x: number; y: number }[] {
  const placed: { x: number; y: number; width: number }[] = [];
  return lines.map((line, i) => {
    let best = { x: box.left, y: box.top, score: -Infinity };
    for (let step = 1; step < 20; step += 1) {
      const x = box.left + ((box.right - box.left) * step) / 20;
      if (x - widths[i] / 2 < box.left || x + widths[i] / 2 > box.right) continue;
      const y = heightAt(line, x);
      if (y === null) continue;
      for (const side of [-10, 10]) {
        const at = y + side;
        if (at < box.top + 4 || at > box.bottom - 6) continue;
        const score = Math.min(...lines.map((other, j) => clearance(other, x, at, widths[i]) + (i === j ? 3 : 0)),
          ...placed.map((label) => Math.max(Math.abs(label.y - at) * 1.5, Math.abs(label.x - x) - (label.width + widths[i]) / 2)), 24);
        if (score > best.score + 0.01) best = { x, y: at, score };
      }
    }
    placed.push({ x: best.x, y: best.y, width: widths[i] });
    return { x: best.x, y: best.y };
  });
}

/** Vertical distance between a label's middle and a line, least over the label's width. */
function clearance(line: Polyline, x: number, y: number, width: number): number {
  let least = 40;
  for (const dx of [-width / 2, -width / 4, 0, width / 4, width / 2]) {
    const at = heightAt(line, x + dx);
    if (at !== null) least = Math.min(least, Math.abs(at - y));
  }
  return least;
}
