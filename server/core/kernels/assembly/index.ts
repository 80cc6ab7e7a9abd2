// WASM SIMD kernels. Loops over memory that the caller laid out (kernels/layout.ts): no allocation, no growth, no I/O.
// Addresses need no alignment. `n` counts elements, at most 2^23 a call, so u32 counters and i32 sums never overflow
// within a window; the tables take one slice (at most 2^31 elements).
import { RESULT, SLOT_MAP, SLOT_TABLES, TABLES, TABLE_BYTES } from '../layout';

const INDEX: u32 = 0x3fffc; // a 16-bit pattern times 4, as a byte offset into a table
const BLOCK: i32 = 2048; // elements whose moments are taken about one pivot

// @ts-ignore: decorator
@inline function bump(offset: u32, table: usize): void {
  const at: usize = table + offset;
  store<u32>(at, load<u32>(at) + 1);
}

/** Zeroes the four tables and the result area. */
export function clearTables(): void {
  memory.fill(TABLES, 0, TABLE_BYTES * 4);
  memory.fill(RESULT, 0, 128);
}

/** Adds tables 1..3 into table 0. */
export function foldTables(): void {
  for (let p: usize = TABLES, end: usize = TABLES + TABLE_BYTES; p < end; p += 16) {
    const a = i32x4.add(v128.load(p), v128.load(p + TABLE_BYTES));
    const b = i32x4.add(v128.load(p + TABLE_BYTES * 2), v128.load(p + TABLE_BYTES * 3));
    v128.store(p, i32x4.add(a, b));
  }
}

/** Counts n 16-bit patterns (sign included). One table a lane: equal neighbours do not wait for each other's store. */
export function histogram16(ptr: usize, n: i32): void {
  const end = ptr + ((n & ~7) << 1);
  const stop = ptr + (n << 1);
  let p = ptr;
  for (; p < end; p += 16) {
    const v = load<u64>(p), w = load<u64>(p + 8);
    const a = u32(v), b = u32(v >> 32), c = u32(w), d = u32(w >> 32);
    bump((a << 2) & INDEX, TABLES);
    bump((a >> 14) & INDEX, TABLES + TABLE_BYTES);
    bump((b << 2) & INDEX, TABLES + TABLE_BYTES * 2);
    bump((b >> 14) & INDEX, TABLES + TABLE_BYTES * 3);
    bump((c << 2) & INDEX, TABLES);
    bump((c >> 14) & INDEX, TABLES + TABLE_BYTES);
    bump((d << 2) & INDEX, TABLES + TABLE_BYTES * 2);
    bump((d >> 14) & INDEX, TABLES + TABLE_BYTES * 3);
  }
  for (; p < stop; p += 2) bump(u32(load<u16>(p)) << 2, TABLES);
}

// Result slots of scan32, F64 each, kept from window to window of one slice:
// 0 finite, 1 nan, 2 inf, 3 zeros, 4 sum, 5 mean, 6 m2, 7 min, 8 max, 9 above.
// @ts-ignore: decorator
@inline function slot(i: i32): usize { return RESULT + (i << 3); }
// @ts-ignore: decorator
@inline function lanes(v: v128): i32 {
  return i32x4.extract_lane(v, 0) + i32x4.extract_lane(v, 1) + i32x4.extract_lane(v, 2) + i32x4.extract_lane(v, 3);
}

/**
 * First pass over n F32: counts the top 16 bits (sign included) into the tables and adds to the moments in RESULT.
 * `limit`: counts magnitudes whose pattern is greater (-1 counts all, infinity's none; never more), NaN not.
 */
export function scan32(ptr: usize, n: i32, limit: i32): void {
  let p = ptr;
  for (let left = n; left > 0; left -= BLOCK) {
    const count = min(left, BLOCK);
    if (!plain32(p, count, limit)) moments32(p, count, limit);
    p += <usize>count << 2;
  }
}

// The usual block: all finite, mean small beside the spread. Counts the histogram and takes the moments about zero in one
// loop, so that the loads and stores of the one hide behind the arithmetic of the other. Answers false, with the histogram
// counted and RESULT untouched, when something is not finite or more than half of the squares' sum would cancel.
function plain32(ptr: usize, n: i32, limit: i32): bool {
  const magnitude = i32x4.splat(0x7fffffff), zero = i32x4.splat(0), above0 = i32x4.splat(limit);
  let s0 = f64x2.splat(0), s1 = f64x2.splat(0), q0 = f64x2.splat(0), q1 = f64x2.splat(0);
  let low = f32x4.splat(Infinity), high = f32x4.splat(-Infinity);
  let zeros = zero, above = zero, top = zero;
  const end = ptr + ((n & ~3) << 2);
  const stop = ptr + (n << 2);
  let p = ptr;
  for (; p < end; p += 16) {
    const v = v128.load(p);
    const i = load<u64>(p), j = load<u64>(p + 8);
    bump((u32(i) >> 14) & INDEX, TABLES);
    bump((u32(i >> 32) >> 14) & INDEX, TABLES + TABLE_BYTES);
    bump((u32(j) >> 14) & INDEX, TABLES + TABLE_BYTES * 2);
    bump((u32(j >> 32) >> 14) & INDEX, TABLES + TABLE_BYTES * 3);
    const bits = v128.and(v, magnitude);
    top = i32x4.max_s(top, bits);
    zeros = i32x4.sub(zeros, i32x4.eq(bits, zero));
    above = i32x4.sub(above, i32x4.gt_s(bits, above0));
    low = f32x4.pmin(low, v);
    high = f32x4.pmax(high, v);
    const a = f64x2.promote_low_f32x4(v);
    const b = f64x2.promote_low_f32x4(i8x16.shuffle(v, v, 8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15));
    s0 = f64x2.add(s0, a);
    s1 = f64x2.add(s1, b);
    q0 = f64x2.add(q0, f64x2.mul(a, a));
    q1 = f64x2.add(q1, f64x2.mul(b, b));
  }
  let largest = max(max(i32x4.extract_lane(top, 0), i32x4.extract_lane(top, 1)), max(i32x4.extract_lane(top, 2), i32x4.extract_lane(top, 3)));
  let zeroCount = lanes(zeros), more = lanes(above);
  s0 = f64x2.add(s0, s1);
  q0 = f64x2.add(q0, q1);
  let s = f64x2.extract_lane(s0, 0) + f64x2.extract_lane(s0, 1);
  let q = f64x2.extract_lane(q0, 0) + f64x2.extract_lane(q0, 1);
  let lowest = min(min(f32x4.extract_lane(low, 0), f32x4.extract_lane(low, 1)), min(f32x4.extract_lane(low, 2), f32x4.extract_lane(low, 3)));
  let highest = max(max(f32x4.extract_lane(high, 0), f32x4.extract_lane(high, 1)), max(f32x4.extract_lane(high, 2), f32x4.extract_lane(high, 3)));
  for (; p < stop; p += 4) {
    const word = load<u32>(p), bits = <i32>(word & 0x7fffffff);
    bump((word >> 14) & INDEX, TABLES);
    largest = max(largest, bits);
    if (bits == 0) zeroCount++;
    if (bits > limit) more++;
    const x = load<f32>(p);
    lowest = min(lowest, x);
    highest = max(highest, x);
    s += <f64>x;
    q += <f64>x * <f64>x;
  }
  if (largest >= 0x7f800000 || s * s > 0.5 * q * <f64>n) return false;
  store<f64>(slot(3), load<f64>(slot(3)) + <f64>zeroCount);
  store<f64>(slot(9), load<f64>(slot(9)) + <f64>more);
  merge(<f64>n, 0, s, q, <f64>lowest, <f64>highest);
  return true;
}

// Any block, without its histogram. About the pivot of its first finite value x0: |x0 - mean| <= std * sqrt(n), so what cancels in m2 is bounded
// by n * 2^-53 relative, whatever the mean. Lanes that are not finite are replaced by the pivot: they add nothing.
function moments32(ptr: usize, n: i32, limit: i32): void {
  const stop = ptr + (n << 2);
  let first = ptr;
  while (first < stop && (load<u32>(first) & 0x7f800000) == 0x7f800000) first += 4;
  const some = first < stop;
  const pivot = some ? load<f32>(first) : <f32>0;
  const x0 = f32x4.splat(pivot), d0 = f64x2.splat(<f64>pivot);
  const magnitude = i32x4.splat(0x7fffffff), infinity = i32x4.splat(0x7f800000), zero = i32x4.splat(0), above0 = i32x4.splat(limit);
  let s0 = f64x2.splat(0), s1 = f64x2.splat(0), q0 = f64x2.splat(0), q1 = f64x2.splat(0);
  let low = x0, high = x0;
  let zeros = zero, nans = zero, infs = zero, above = zero;
  const end = ptr + ((n & ~3) << 2);
  let p = ptr;
  for (; p < end; p += 16) {
    const v = v128.load(p);
    const bits = v128.and(v, magnitude);
    zeros = i32x4.sub(zeros, i32x4.eq(bits, zero));
    nans = i32x4.sub(nans, i32x4.gt_s(bits, infinity));
    infs = i32x4.sub(infs, i32x4.eq(bits, infinity));
    above = i32x4.sub(above, i32x4.gt_s(bits, above0));
    const x = v128.bitselect(v, x0, i32x4.lt_s(bits, infinity));
    low = f32x4.pmin(low, x);
    high = f32x4.pmax(high, x);
    const a = f64x2.sub(f64x2.promote_low_f32x4(x), d0);
    const b = f64x2.sub(f64x2.promote_low_f32x4(i8x16.shuffle(x, x, 8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15)), d0);
    s0 = f64x2.add(s0, a);
    s1 = f64x2.add(s1, b);
    q0 = f64x2.add(q0, f64x2.mul(a, a));
    q1 = f64x2.add(q1, f64x2.mul(b, b));
  }
  let nan = lanes(nans), inf = lanes(infs), zeroCount = lanes(zeros), more = lanes(above);
  s0 = f64x2.add(s0, s1);
  q0 = f64x2.add(q0, q1);
  let s = f64x2.extract_lane(s0, 0) + f64x2.extract_lane(s0, 1);
  let q = f64x2.extract_lane(q0, 0) + f64x2.extract_lane(q0, 1);
  let lowest = min(min(f32x4.extract_lane(low, 0), f32x4.extract_lane(low, 1)), min(f32x4.extract_lane(low, 2), f32x4.extract_lane(low, 3)));
  let highest = max(max(f32x4.extract_lane(high, 0), f32x4.extract_lane(high, 1)), max(f32x4.extract_lane(high, 2), f32x4.extract_lane(high, 3)));
  for (; p < stop; p += 4) {
    const bits = load<i32>(p) & 0x7fffffff;
    if (bits == 0) zeroCount++;
    if (bits > limit) more++;
    if (bits > 0x7f800000) { nan++; continue; }
    if (bits == 0x7f800000) { inf++; continue; }
    const x = load<f32>(p);
    lowest = min(lowest, x);
    highest = max(highest, x);
    const d = <f64>x - <f64>pivot;
    s += d;
    q += d * d;
  }
  store<f64>(slot(1), load<f64>(slot(1)) + <f64>nan);
  store<f64>(slot(2), load<f64>(slot(2)) + <f64>inf);
  store<f64>(slot(3), load<f64>(slot(3)) + <f64>zeroCount);
  store<f64>(slot(9), load<f64>(slot(9)) + <f64>(more - nan));
  if (some) merge(<f64>(n - nan - inf), <f64>pivot, s, q, <f64>lowest, <f64>highest);
}

// Adds a block of `count` values (sums s and q of differences to the pivot) to RESULT, as Chan, Golub and LeVeque do.
function merge(count: f64, pivot: f64, s: f64, q: f64, lowest: f64, highest: f64): void {
  const before = load<f64>(slot(0)), mean = load<f64>(slot(5));
  const blockMean = pivot + s / count, blockM2 = max(q - s * s / count, 0);
  const delta = blockMean - mean, total = before + count;
  store<f64>(slot(0), total);
  store<f64>(slot(4), load<f64>(slot(4)) + (pivot * count + s));
  store<f64>(slot(5), mean + delta * (count / total));
  store<f64>(slot(6), load<f64>(slot(6)) + blockM2 + delta * delta * (before * count / total));
  store<f64>(slot(7), before == 0 ? lowest : min(load<f64>(slot(7)), lowest));
  store<f64>(slot(8), before == 0 ? highest : max(load<f64>(slot(8)), highest));
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

/**
 * Writes +0.0 over every 16-bit float whose magnitude pattern is below `limit` (at most one past infinity, so never NaN).
 * RESULT 0: zeros before; 1: newly zeroed. `infinity + 1 <= 0x7fff` holds for BF16 and F16.
 */
export function mask16(ptr: usize, n: i32, limit: i32): void {
  const magnitude = i16x8.splat(0x7fff), bound = i16x8.splat(<i16>limit), zero = i16x8.splat(0);
  const end = ptr + ((n & ~7) << 1);
  const stop = ptr + (n << 1);
  let zeros = i32x4.splat(0), cut = i32x4.splat(0);
  let p = ptr;
  while (p < end) {
    // i16 counters: at most 16,384 steps before they are widened.
    const pause = min(end, p + 0x40000);
    let z = zero, c = zero;
    for (; p < pause; p += 16) {
      const v = v128.load(p);
      const bits = v128.and(v, magnitude);
      const chosen = i16x8.lt_s(bits, bound);
      v128.store(p, v128.andnot(v, chosen));
      z = i16x8.sub(z, i16x8.eq(bits, zero));
      c = i16x8.sub(c, chosen);
    }
    zeros = i32x4.add(zeros, i32x4.extadd_pairwise_i16x8_s(z));
    cut = i32x4.add(cut, i32x4.extadd_pairwise_i16x8_s(c));
  }
  let zeroCount = lanes(zeros), chosenCount = lanes(cut);
  for (; p < stop; p += 2) {
    const bits = <i32>load<u16>(p) & 0x7fff;
    if (bits == 0) zeroCount++;
    if (bits < limit) { chosenCount++; store<u16>(p, 0); }
  }
  answer(zeroCount, chosenCount, limit);
}

/** As mask16, for F32. */
export function mask32(ptr: usize, n: i32, limit: i32): void {
  const magnitude = i32x4.splat(0x7fffffff), bound = i32x4.splat(limit), zero = i32x4.splat(0);
  const end = ptr + ((n & ~3) << 2);
  const stop = ptr + (n << 2);
  let zeros = zero, cut = zero;
  let p = ptr;
  for (; p < end; p += 16) {
    const v = v128.load(p);
    const bits = v128.and(v, magnitude);
    const chosen = i32x4.lt_s(bits, bound);
    v128.store(p, v128.andnot(v, chosen));
    zeros = i32x4.sub(zeros, i32x4.eq(bits, zero));
    cut = i32x4.sub(cut, chosen);
  }
  let zeroCount = lanes(zeros), chosenCount = lanes(cut);
  for (; p < stop; p += 4) {
    const bits = load<i32>(p) & 0x7fffffff;
    if (bits == 0) zeroCount++;
    if (bits < limit) { chosenCount++; store<u32>(p, 0); }
  }
  answer(zeroCount, chosenCount, limit);
}

// Zeros are chosen whenever anything is (limit > 0), so what is new is the chosen less the zeros.
function answer(zeros: i32, chosen: i32, limit: i32): void {
  store<f64>(slot(0), <f64>zeros);
  store<f64>(slot(1), limit > 0 ? <f64>(chosen - zeros) : 0);
}

/** Counts 16-bit floats by magnitude pattern. RESULT 0: below `bits`; 1: equal. */
export function count16(ptr: usize, n: i32, bits: i32): void {
  const magnitude = i16x8.splat(0x7fff), bound = i16x8.splat(<i16>bits), zero = i16x8.splat(0);
  const end = ptr + ((n & ~7) << 1);
  const stop = ptr + (n << 1);
  let less = i32x4.splat(0), equal = i32x4.splat(0);
  let p = ptr;
  while (p < end) {
    const pause = min(end, p + 0x40000);
    let a = zero, b = zero;
    for (; p < pause; p += 16) {
      const v = v128.and(v128.load(p), magnitude);
      a = i16x8.sub(a, i16x8.lt_s(v, bound));
      b = i16x8.sub(b, i16x8.eq(v, bound));
    }
    less = i32x4.add(less, i32x4.extadd_pairwise_i16x8_s(a));
    equal = i32x4.add(equal, i32x4.extadd_pairwise_i16x8_s(b));
  }
  let lessCount = lanes(less), equalCount = lanes(equal);
  for (; p < stop; p += 2) {
    const v = <i32>load<u16>(p) & 0x7fff;
    if (v < bits) lessCount++;
    else if (v == bits) equalCount++;
  }
  store<f64>(slot(0), <f64>lessCount);
  store<f64>(slot(1), <f64>equalCount);
}

/** As count16, for F32. */
export function count32(ptr: usize, n: i32, bits: i32): void {
  const magnitude = i32x4.splat(0x7fffffff), bound = i32x4.splat(bits), zero = i32x4.splat(0);
  const end = ptr + ((n & ~3) << 2);
  const stop = ptr + (n << 2);
  let less = zero, equal = zero;
  let p = ptr;
  for (; p < end; p += 16) {
    const v = v128.and(v128.load(p), magnitude);
    less = i32x4.sub(less, i32x4.lt_s(v, bound));
    equal = i32x4.sub(equal, i32x4.eq(v, bound));
  }
  let lessCount = lanes(less), equalCount = lanes(equal);
  for (; p < stop; p += 4) {
    const v = load<i32>(p) & 0x7fffffff;
    if (v < bits) lessCount++;
    else if (v == bits) equalCount++;
  }
  store<f64>(slot(0), <f64>lessCount);
  store<f64>(slot(1), <f64>equalCount);
}
