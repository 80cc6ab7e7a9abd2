// What the kernels share. No allocation, no growth, no I/O; addresses need no alignment.
import { RESULT } from '../layout';

/** A 16-bit pattern times 4, as a byte offset into a table. */
export const INDEX: u32 = 0x3fffc;

// @ts-ignore: decorator
@inline export function bump(offset: u32, table: usize): void {
  const at: usize = table + offset;
  store<u32>(at, load<u32>(at) + 1);
}

/** Address of the i-th F64 of the result area. */
// @ts-ignore: decorator
@inline export function slot(i: i32): usize { return RESULT + (i << 3); }
/** Sum of four i32 lanes. */
// @ts-ignore: decorator
@inline export function lanes(v: v128): i32 {
  return i32x4.extract_lane(v, 0) + i32x4.extract_lane(v, 1) + i32x4.extract_lane(v, 2) + i32x4.extract_lane(v, 3);
}
