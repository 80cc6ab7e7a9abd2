// What the kernels share. No allocation, no growth, no I/O; addresses need no alignment.
import { RESULT, TABLES, TABLE_BYTES } from '../layout';

const TABLE_1: usize = TABLES + TABLE_BYTES, TABLE_2: usize = TABLES + TABLE_BYTES * 2, TABLE_3: usize = TABLES + TABLE_BYTES * 3;

// @ts-ignore: decorator
@inline export function bump(offset: u32, table: usize): void {
  const at: usize = table + offset;
  store<u32>(at, load<u32>(at) + 1);
}

// The same for the four tables of one slice, `pattern` being 16 bits. The table is part of the instruction: no addition.
// @ts-ignore: decorator
@inline export function bump0(pattern: u32): void { store<u32>(pattern << 2, load<u32>(pattern << 2, TABLES) + 1, TABLES); }
// @ts-ignore: decorator
@inline export function bump1(pattern: u32): void { store<u32>(pattern << 2, load<u32>(pattern << 2, TABLE_1) + 1, TABLE_1); }
// @ts-ignore: decorator
@inline export function bump2(pattern: u32): void { store<u32>(pattern << 2, load<u32>(pattern << 2, TABLE_2) + 1, TABLE_2); }
// @ts-ignore: decorator
@inline export function bump3(pattern: u32): void { store<u32>(pattern << 2, load<u32>(pattern << 2, TABLE_3) + 1, TABLE_3); }

/** Address of the i-th F64 of the result area. */
// @ts-ignore: decorator
@inline export function slot(i: i32): usize { return RESULT + (i << 3); }
/** Sum of four i32 lanes. */
// @ts-ignore: decorator
@inline export function lanes(v: v128): i32 {
  return i32x4.extract_lane(v, 0) + i32x4.extract_lane(v, 1) + i32x4.extract_lane(v, 2) + i32x4.extract_lane(v, 3);
}
