// Zeroing and counting by magnitude pattern. At most 2^23 elements a call.
import { lanes, slot } from './shared';

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
