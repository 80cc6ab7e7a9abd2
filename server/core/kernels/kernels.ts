import { readFileSync } from 'node:fs';
import path from 'node:path';
import { distFolder } from '../paths';
import { infinityBits, type KernelFloat } from './floatBits';
import { BUFFER, BUFFER_BYTES, FILLED, MEMORY_PAGES, RESULT, SLOT_MAP, SLOT_TABLES, SLOTS, TABLES, TABLE_BYTES } from './layout';

interface Exports {
  clearTables(): void;
  clearFolded(): void;
  foldTables(): number;
  histogram16(ptr: number, n: number): void;
  scan32(ptr: number, n: number, limit: number): void;
  clearSlots(slots: number): void;
  refine32(ptr: number, n: number, lowKey: number, highKey: number): void;
  mask16(ptr: number, n: number, limit: number): void;
  mask32(ptr: number, n: number, limit: number): void;
  count16(ptr: number, n: number, bits: number): void;
  count32(ptr: number, n: number, bits: number): void;
  groups16(ptr: number, count: number, step: number, of: number, stride: number, drop: number, infinity: number): void;
  groups32(ptr: number, count: number, step: number, of: number, stride: number, drop: number, infinity: number): void;
  smallest16(ptr: number, n: number, stride: number, wanted: number, infinity: number): void;
  smallest32(ptr: number, n: number, stride: number, wanted: number, infinity: number): void;
  cholesky(a: number, n: number, least: number): void;
  invertLower(l: number, out: number, n: number): void;
  applyLower(t: number, n: number, x: number, width: number): void;
  sweep(w: number, e: number, mask: number, u: number, divisors: number, n: number, width: number, of: number, drop: number): void;
}

/** Longest N:M group of the kernels. */
export const MAX_GROUP = 32;

/** What `scan32` has gathered since `beginScan`. */
export interface Scan32 {
  readonly finite: number; readonly nan: number; readonly inf: number; readonly zeros: number;
  readonly sum: number; readonly mean: number; readonly m2: number; readonly min: number; readonly max: number;
  /** Magnitude patterns above the limit, NaN not counted. */
  readonly above: number;
}

/**
 * One WASM instance with its own fixed memory. All methods work on the data window: `first` is a byte offset into
 * `buffer`, of any alignment. Views are made once: the memory never grows.
 */
export class Kernels {
  private readonly memory: WebAssembly.Memory;
  private readonly wasm: Exports;
  private readonly result: Float64Array;
  /** The data window, BUFFER_BYTES long. */
  readonly buffer: Uint8Array;
  /** False once `tables()` has left three of the four empty. A scan that was cancelled leaves all as they are. */
  private counting = true;
  private patterns = 0;

  constructor(module: WebAssembly.Module) {
    this.memory = new WebAssembly.Memory({ initial: MEMORY_PAGES, maximum: MEMORY_PAGES });
    const abort = (): never => { throw new Error('a kernel aborted'); };
    this.wasm = new WebAssembly.Instance(module, { env: { memory: this.memory, abort } }).exports as unknown as Exports;
    this.result = new Float64Array(this.memory.buffer, RESULT, 16);
    this.buffer = new Uint8Array(this.memory.buffer, BUFFER, BUFFER_BYTES);
  }

  private check(first: number, n: number, bytes: number): number {
    if (!(first >= 0 && n >= 0 && first + n * bytes <= BUFFER_BYTES)) throw new RangeError(`kernel window ${first} + ${n} x ${bytes} leaves the buffer`);
    return BUFFER + first;
  }

  /** Zeroes tables and moments before a slice. */
  beginScan(): void {
    if (this.counting) this.wasm.clearTables();
    else this.wasm.clearFolded();
    this.counting = true;
  }

  /** Counts 16-bit patterns into the tables. */
  histogram16(first: number, n: number): void {
    this.wasm.histogram16(this.check(first, n, 2), n);
  }

  /** Counts the top halves of F32 into the tables and adds to the moments. `limit` from `patternAtMost`. */
  scan32(first: number, n: number, limit: number): void {
    this.wasm.scan32(this.check(first, n, 4), n, limit);
  }

  /** The counts of all 65,536 patterns since `beginScan`: a view, valid until the next `beginScan`. Call once a scan. */
  tables(): Uint32Array {
    this.patterns = this.wasm.foldTables();
    this.counting = false;
    return new Uint32Array(this.memory.buffer, TABLES, TABLE_BYTES / 4);
  }

  /** The patterns with a count in `tables()`, ascending: a view, valid until the next `beginRefine`. Call after `tables()`. */
  filled(): Uint32Array {
    return new Uint32Array(this.memory.buffer, FILLED, this.patterns);
  }

  moments32(): Scan32 {
    const [finite, nan, inf, zeros, sum, mean, m2, min, max, above] = this.result;
    return { finite, nan, inf, zeros, sum, mean, m2, min: finite ? min : NaN, max: finite ? max : NaN, above };
  }

  /** Prepares `refine32` for at most SLOTS coarse keys (0..32767). */
  beginRefine(keys: readonly number[]): void {
    if (keys.length > SLOTS) throw new RangeError(`${keys.length} keys, ${SLOTS} slots`);
    this.wasm.clearSlots(keys.length);
    const map = new Uint16Array(this.memory.buffer, SLOT_MAP, 0x8000);
    keys.forEach((key, slot) => { map[key] = slot + 1; });
  }

  refine32(first: number, n: number, lowKey: number, highKey: number): void {
    this.wasm.refine32(this.check(first, n, 4), n, lowKey, highKey);
  }

  /** Counts of the 65,536 low halves of slot's key: a view, valid until the next `beginRefine`. */
  slotTable(slot: number): Uint32Array {
    return new Uint32Array(this.memory.buffer, SLOT_TABLES + slot * TABLE_BYTES, TABLE_BYTES / 4);
  }

  /** Writes +0.0 over every |w| whose pattern is below `limit`. NaN is never touched. */
  mask(dtype: KernelFloat, first: number, n: number, limit: number): { zeros: number; changed: number } {
    if (!(limit >= 0 && limit <= infinityBits[dtype] + 1)) throw new RangeError(`mask limit ${limit}`);
    if (dtype === 'F32') this.wasm.mask32(this.check(first, n, 4), n, limit);
    else this.wasm.mask16(this.check(first, n, 2), n, limit);
    return { zeros: this.result[0], changed: this.result[1] };
  }

  /** Counts patterns below and equal to `bits`. */
  count(dtype: KernelFloat, first: number, n: number, bits: number): { less: number; equal: number } {
    if (dtype === 'F32') this.wasm.count32(this.check(first, n, 4), n, bits);
    else this.wasm.count16(this.check(first, n, 2), n, bits);
    return { less: this.result[0], equal: this.result[1] };
  }

  /**
   * Of each of `count` groups the `drop` smallest become +0.0, ties by position, NaN never. Group i starts `i * step` elements
   * after `first`; its `of` (at most MAX_GROUP) elements lie `stride` apart. Answers how many were not zero before.
   */
  groups(dtype: KernelFloat, first: number, count: number, step: number, of: number, stride: number, drop: number): number {
    if (of > MAX_GROUP || drop > of) throw new RangeError(`groups of ${of}, ${drop} dropped`);
    if (count === 0) return 0;
    const size = dtype === 'F32' ? 4 : 2, ptr = this.check(first, (count - 1) * step + (of - 1) * stride + 1, size);
    this.wasm[dtype === 'F32' ? 'groups32' : 'groups16'](ptr, count, step, of, stride, drop, infinityBits[dtype]);
    return this.result[0];
  }

  /** The `wanted` smallest of n elements `stride` apart become +0.0, ties by position, NaN never. Answers how many were not zero before. */
  smallest(dtype: KernelFloat, first: number, n: number, stride: number, wanted: number): number {
    if (n === 0) return 0;
    const ptr = this.check(first, (n - 1) * stride + 1, dtype === 'F32' ? 4 : 2);
    this.wasm[dtype === 'F32' ? 'smallest32' : 'smallest16'](ptr, n, stride, Math.min(wanted, n), infinityBits[dtype]);
    return this.result[0];
  }

  /**
   * The symmetric F64 matrix (n, n) at `first` becomes its lower Cholesky factor.
   *
   * @param least a pivot up to this is none
   * @returns -1, or the column without a pivot, where it stopped
   */
  cholesky(first: number, n: number, least: number): number {
    this.wasm.cholesky(this.check(first, n * n, 8), n, least);
    return this.result[0];
  }

  /** Writes the inverse of the lower triangle (n, n) at `first`, F64, at `out`. */
  invertLower(first: number, out: number, n: number): void {
    this.wasm.invertLower(this.check(first, n * n, 8), this.check(out, n * n, 8), n);
  }

  /** x (n, width) at `x`, width even, becomes t x, with the lower triangle t (n, n) at `first`; F64. */
  applyLower(first: number, n: number, x: number, width: number): void {
    if (width % 2 !== 0) throw new RangeError(`odd width ${width}`);
    this.wasm.applyLower(this.check(first, n * n, 8), n, this.check(x, n * width, 8), width);
  }

  /** SparseGPT's sweep over one block, see `assembly/dense.ts`; offsets of w, e, u and divisors in F64, of the mask in bytes. */
  sweep(places: { readonly w: number; readonly e: number; readonly mask: number; readonly u: number; readonly divisors: number }, n: number, width: number, groups: { readonly of: number; readonly drop: number }): void {
    if (width % 2 !== 0 || groups.drop > groups.of) throw new RangeError(`width ${width}, ${groups.drop} of ${groups.of} dropped`);
    const w = this.check(places.w, n * width, 8), e = this.check(places.e, n * width, 8), u = this.check(places.u, n * n, 8);
    this.wasm.sweep(w, e, this.check(places.mask, n * width, 1), u, this.check(places.divisors, n, 8), n, width, groups.of, groups.drop);
  }
}

/** Compiles the built `kernels.wasm` and makes one instance. */
export function loadKernels(): Kernels {
  return new Kernels(new WebAssembly.Module(readFileSync(path.join(distFolder(), 'kernels.wasm'))));
}
