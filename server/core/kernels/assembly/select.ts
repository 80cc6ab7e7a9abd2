// Selection within groups and rows.
import { SLOT_TABLES } from '../layout';
import { bump, slot } from './shared';

// @ts-ignore: decorator
@inline function sizeBits<T>(at: usize): i32 {
  return sizeof<T>() == 4 ? load<i32>(at) & 0x7fffffff : <i32>load<u16>(at) & 0x7fff;
}

/**
 * N:M. Group i starts at element i * step, its `width` (at most 32) elements lie `stride` apart; the `drop` smallest become +0.0,
 * ties by position, NaN (above `infinity`) never. RESULT 0: newly zeroed.
 */
function groups<T>(ptr: usize, count: i32, step: i32, width: i32, stride: i32, drop: i32, infinity: i32): void {
  const jump = <usize>stride * sizeof<T>();
  let changed = 0;
  for (let i = 0; i < count; i++) {
    const base = ptr + <usize>i * <usize>step * sizeof<T>();
    let chosen: u32 = 0;
    for (let round = 0; round < drop; round++) {
      let best = -1, least = infinity + 1;
      for (let j = 0; j < width; j++) {
        const bits = sizeBits<T>(base + <usize>j * jump);
        if (bits < least && ((chosen >> j) & 1) == 0) { least = bits; best = j; }
      }
      if (best < 0) break;
      chosen |= 1 << best;
      if (least != 0) changed++;
    }
    // Written after all rounds, so that a cleared element is not taken for the next smallest.
    for (let j = 0; j < width; j++) if ((chosen >> j) & 1) store<T>(base + <usize>j * jump, 0);
  }
  store<f64>(slot(0), <f64>changed);
}

export function groups16(ptr: usize, count: i32, step: i32, width: i32, stride: i32, drop: i32, infinity: i32): void {
  groups<u16>(ptr, count, step, width, stride, drop, infinity);
}

export function groups32(ptr: usize, count: i32, step: i32, width: i32, stride: i32, drop: i32, infinity: i32): void {
  groups<u32>(ptr, count, step, width, stride, drop, infinity);
}

/**
 * The `wanted` smallest of n elements that lie `stride` apart become +0.0, ties by position, NaN never. The last magnitude to
 * go is found digit by digit (11 and 10 bits at a time), counting in the first slot table. RESULT 0: newly zeroed.
 */
function smallest<T>(ptr: usize, n: i32, stride: i32, wanted: i32, infinity: i32): void {
  const jump = <usize>stride * sizeof<T>(), end = ptr + <usize>n * jump;
  store<f64>(slot(0), 0);
  let numbers = 0;
  for (let p = ptr; p < end; p += jump) if (sizeBits<T>(p) <= infinity) numbers++;
  let rank = min(wanted, numbers) - 1;
  if (rank < 0) return;
  let prefix = 0, known = 0;
  for (let shift = sizeof<T>() == 4 ? 20 : 8; shift >= 0; shift -= sizeof<T>() == 4 ? 10 : 8) {
    memory.fill(SLOT_TABLES, 0, 2048 * 4);
    const digit = sizeof<T>() == 4 ? (shift == 20 ? 0x7ff : 0x3ff) : 0xff;
    for (let p = ptr; p < end; p += jump) {
      const bits = sizeBits<T>(p);
      if (bits <= infinity && (bits & known) == prefix) bump(((bits >> shift) & digit) << 2, SLOT_TABLES);
    }
    let d = 0;
    for (;; d++) {
      const here = load<i32>(<usize>SLOT_TABLES + (<usize>d << 2));
      if (rank < here) break;
      rank -= here;
    }
    prefix |= d << shift;
    known |= digit << shift;
  }
  let ties = rank + 1, changed = 0;
  for (let p = ptr; p < end; p += jump) {
    const bits = sizeBits<T>(p);
    if (bits > prefix) continue;
    if (bits == prefix && --ties < 0) continue;
    if (bits != 0) changed++;
    store<T>(p, 0);
  }
  store<f64>(slot(0), <f64>changed);
}

export function smallest16(ptr: usize, n: i32, stride: i32, wanted: i32, infinity: i32): void {
  smallest<u16>(ptr, n, stride, wanted, infinity);
}

export function smallest32(ptr: usize, n: i32, stride: i32, wanted: i32, infinity: i32): void {
  smallest<u32>(ptr, n, stride, wanted, infinity);
}
