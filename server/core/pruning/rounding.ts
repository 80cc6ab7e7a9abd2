/**
 * The nearest integer, halves to the even one: how many weights a sparsity selects. The same double arithmetic as
 * Python's `round(sparsity * count)`, so that other tools can check us.
 */
export function roundHalfEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}
