// The first pass over F32: top halves and moments.
import { bump0, bump1, bump2, bump3, lanes, slot } from './shared';

const BLOCK: i32 = 2048; // elements whose moments are taken about one pivot

// Result slots of scan32, F64 each, kept from window to window of one slice:
// 0 finite, 1 nan, 2 inf, 3 zeros, 4 sum, 5 mean, 6 m2, 7 min, 8 max, 9 above.
/**
 * First pass over n F32: counts the top 16 bits (sign included) into the tables and adds to the moments in RESULT.
 * `limit`: counts magnitudes whose pattern is greater (-1 counts all, infinity's none; never more), NaN not.
 */
export function scan32(ptr: usize, n: i32, limit: i32): void {
  const counts = limit < 0x7f800000; // no finite pattern is greater
  let p = ptr;
  for (let left = n; left > 0; left -= BLOCK) {
    const count = min(left, BLOCK);
    if (!(counts ? plainCounting(p, count, limit) : plainOnly(p, count))) moments32(p, count, limit);
    p += <usize>count << 2;
  }
}

// The usual block: all finite, mean small beside the spread. Counts the histogram and takes the moments about zero in one
// loop, so that the loads and stores of the one hide behind the arithmetic of the other. Answers false, with the histogram
// counted and RESULT untouched, when something is not finite (then so is q, which no finite F32 can overflow) or more than
// half of the squares' sum would cancel. `counting` is a constant where this is inlined: registers are scarce.
// @ts-ignore: decorator
@inline function plain32(ptr: usize, n: i32, limit: i32, counting: bool): bool {
  const magnitude = i32x4.splat(0x7fffffff), above0 = i32x4.splat(limit), zero = f32x4.splat(0);
  let s0 = f64x2.splat(0), q0 = f64x2.splat(0), q1 = f64x2.splat(0);
  let low = f32x4.splat(Infinity), high = f32x4.splat(-Infinity);
  let zeros = i32x4.splat(0), above = i32x4.splat(0);
  const end = ptr + ((n & ~3) << 2);
  const stop = ptr + (n << 2);
  let p = ptr;
  for (; p < end; p += 16) {
    const v = v128.load(p);
    bump0(load<u16>(p, 2));
    bump1(load<u16>(p, 6));
    bump2(load<u16>(p, 10));
    bump3(load<u16>(p, 14));
    zeros = i32x4.add(zeros, f32x4.eq(v, zero)); // a true lane is -1
    if (counting) above = i32x4.add(above, i32x4.gt_s(v128.and(v, magnitude), above0));
    low = f32x4.pmin(low, v);
    high = f32x4.pmax(high, v);
    const a = f64x2.promote_low_f32x4(v);
    const b = f64x2.promote_low_f32x4(v128.load64_zero(p, 8));
    s0 = f64x2.add(s0, f64x2.add(a, b));
    q0 = f64x2.add(q0, f64x2.mul(a, a));
    q1 = f64x2.add(q1, f64x2.mul(b, b));
  }
  let zeroCount = -lanes(zeros), more = -lanes(above);
  q0 = f64x2.add(q0, q1);
  let s = f64x2.extract_lane(s0, 0) + f64x2.extract_lane(s0, 1);
  let q = f64x2.extract_lane(q0, 0) + f64x2.extract_lane(q0, 1);
  let lowest = min(min(f32x4.extract_lane(low, 0), f32x4.extract_lane(low, 1)), min(f32x4.extract_lane(low, 2), f32x4.extract_lane(low, 3)));
  let highest = max(max(f32x4.extract_lane(high, 0), f32x4.extract_lane(high, 1)), max(f32x4.extract_lane(high, 2), f32x4.extract_lane(high, 3)));
  for (; p < stop; p += 4) {
    const word = load<u32>(p), bits = <i32>(word & 0x7fffffff);
    bump0(word >> 16);
    if (bits == 0) zeroCount++;
    if (counting && bits > limit) more++;
    const x = load<f32>(p);
    lowest = min(lowest, x);
    highest = max(highest, x);
    s += <f64>x;
    q += <f64>x * <f64>x;
  }
  if (!(q < Infinity) || s * s > 0.5 * q * <f64>n) return false;
  store<f64>(slot(3), load<f64>(slot(3)) + <f64>zeroCount);
  store<f64>(slot(9), load<f64>(slot(9)) + <f64>more);
  merge(<f64>n, 0, s, q, <f64>lowest, <f64>highest);
  return true;
}

function plainCounting(ptr: usize, n: i32, limit: i32): bool { return plain32(ptr, n, limit, true); }
function plainOnly(ptr: usize, n: i32): bool { return plain32(ptr, n, 0, false); }

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
