// Pattern counts. The tables take one slice (at most 2^31 elements).
import { FILLED, RESULT, SLOT_MAP, SLOT_TABLES, TABLES, TABLE_BYTES } from '../layout';
import { bump, bump0, bump1, bump2, bump3 } from './shared';

/** Zeroes the four tables and the result area. */
export function clearTables(): void {
  memory.fill(TABLES, 0, TABLE_BYTES * 4);
  memory.fill(RESULT, 0, 128);
}

/** Zeroes table 0 and the result area: enough after `foldTables`, which leaves the other tables empty. */
export function clearFolded(): void {
  memory.fill(TABLES, 0, TABLE_BYTES);
  memory.fill(RESULT, 0, 128);
}

/**
 * Adds tables 1..3 into table 0 and empties them; lists the patterns that were counted, ascending, as u32 at FILLED and
 * answers how many. One pass that mostly only reads: few patterns occur, and a checkpoint has many small tensors.
 */
export function foldTables(): i32 {
  const none = i32x4.splat(0);
  let out: usize = FILLED;
  for (let p: usize = 0; p < <usize>TABLE_BYTES; p += 16) {
    const a = v128.load(p, TABLES), b = v128.load(p, TABLES + TABLE_BYTES), c = v128.load(p, TABLES + TABLE_BYTES * 2), d = v128.load(p, TABLES + TABLE_BYTES * 3);
    if (!v128.any_true(v128.or(v128.or(a, b), v128.or(c, d)))) continue;
    v128.store(p, i32x4.add(i32x4.add(a, b), i32x4.add(c, d)), TABLES);
    v128.store(p, none, TABLES + TABLE_BYTES);
    v128.store(p, none, TABLES + TABLE_BYTES * 2);
    v128.store(p, none, TABLES + TABLE_BYTES * 3);
    for (let q = p; q < p + 16; q += 4) {
      if (load<u32>(q, TABLES) == 0) continue;
      store<u32>(out, <u32>(q >> 2));
      out += 4;
    }
  }
  return <i32>((out - FILLED) >> 2);
}

/** Counts n 16-bit patterns (sign included). One table a lane: equal neighbours do not wait for each other's store. */
export function histogram16(ptr: usize, n: i32): void {
  const end = ptr + ((n & ~7) << 1);
  const stop = ptr + (n << 1);
  let p = ptr;
  for (; p < end; p += 16) {
    const v = load<u64>(p), w = load<u64>(p, 8);
    const a = u32(v), b = u32(v >> 32), c = u32(w), d = u32(w >> 32);
    bump0(a & 0xffff);
    bump1(a >> 16);
    bump2(b & 0xffff);
    bump3(b >> 16);
    bump0(c & 0xffff);
    bump1(c >> 16);
    bump2(d & 0xffff);
    bump3(d >> 16);
  }
  for (; p < stop; p += 2) bump0(u32(load<u16>(p)));
}

/** Zeroes the slot map and the slot tables. */
export function clearSlots(slots: i32): void {
  memory.fill(SLOT_MAP, 0, 0x10000);
  memory.fill(SLOT_TABLES, 0, <usize>slots << 18);
}

/** Counts the low 16 bits of those F32 whose top 15 magnitude bits have a slot. lowKey..highKey bound the wanted keys (ends included). */
export function refine32(ptr: usize, n: i32, lowKey: i32, highKey: i32): void {
  const magnitude = i32x4.splat(0x7fffffff), from = i32x4.splat(lowKey << 16), to = i32x4.splat((highKey << 16) | 0xffff);
  const end = ptr + ((n & ~3) << 2);
  const stop = ptr + (n << 2);
  let p = ptr;
  for (; p < end; p += 16) {
    const bits = v128.and(v128.load(p), magnitude);
    if (!v128.any_true(v128.and(i32x4.ge_s(bits, from), i32x4.le_s(bits, to)))) continue;
    refineOne(load<u32>(p));
    refineOne(load<u32>(p + 4));
    refineOne(load<u32>(p + 8));
    refineOne(load<u32>(p + 12));
  }
  for (; p < stop; p += 4) refineOne(load<u32>(p));
}

// @ts-ignore: decorator
@inline function refineOne(bits: u32): void {
  const found = <u32>load<u16>(SLOT_MAP + (((bits >> 16) & 0x7fff) << 1));
  if (found != 0) bump(((found - 1) << 18) + ((bits & 0xffff) << 2), SLOT_TABLES);
}
