import { codeValues, countCodes } from '../kernels/codes';
import { float64Key, patternAtMost } from '../kernels/floatBits';
import { ofValues, sparse } from '../stats/histogram';
import { absMaxOf, MomentAccumulator, momentsOfCodes } from '../stats/moments';
import type { MagnitudeHistogram } from '../stats/contract';
import { dtypes } from '../tensor/dtype';
import type { SliceSource, WorkerAnswers } from './contract';
import { elementsIn, streamWindows, withSource, type TaskContext } from './task';
import { isWide, WIDE_BLOCK, WideReader, type WideDType } from './wide';

type Answer = WorkerAnswers['scan'];

/** Histogram, moments and the count above a threshold, in one pass over a slice. */
export function scanTask(context: TaskContext, source: SliceSource, threshold: number | null): Answer {
  const { dtype } = source;
  if (dtype === 'F32') return scanF32(context, source, threshold);
  if (isWide(dtype)) return scanWide(context, source, dtype, threshold);
  return scanCodes(context, source, threshold);
}

function scanF32(context: TaskContext, source: SliceSource, threshold: number | null): Answer {
  const { kernels } = context;
  const limit = patternAtMost('F32', threshold ?? Infinity);
  kernels.beginScan();
  withSource(source, (bytes) => streamWindows(context, source, bytes, 4, (length) => kernels.scan32(0, length / 4, limit)));
  const table = kernels.tables();
  const m = kernels.moments32();
  // The patterns with infinity's top half are infinity and some NaNs; all keys above it are NaN.
  const histogram = foldSign('F32', kernels.filled(), table, 0x7f7f, m.inf > 0 ? { key: 0x7f80, count: m.inf } : null);
  const moments = {
    elements: m.finite + m.nan + m.inf, zeros: m.zeros, nan: m.nan, inf: m.inf, min: m.min, max: m.max, sum: m.sum, m2: m.m2,
    ...(m.finite > 0 ? { mean: m.mean } : {}),
    absMax: absMaxOf(m.min, m.max, m.inf),
  };
  return { moments, histogram, above: threshold === null ? null : m.above };
}

function scanCodes(context: TaskContext, source: SliceSource, threshold: number | null): Answer {
  const { kernels } = context;
  const { dtype } = source, { bits } = dtypes[dtype];
  const values = codeValues(dtype) as Float64Array;
  let counts: ArrayLike<number>, codes: ArrayLike<number>;
  if (bits === 16) {
    kernels.beginScan();
    withSource(source, (bytes) => streamWindows(context, source, bytes, 2, (length) => kernels.histogram16(0, length / 2)));
    counts = kernels.tables();
    codes = kernels.filled();
  } else {
    const table = new Float64Array(values.length);
    withSource(source, (bytes) => streamWindows(context, source, bytes, 3, (length) => countCodes(kernels.buffer, bits, elementsIn(dtype, length), table)));
    counts = table;
    codes = [...table.keys()].filter((code) => table[code] > 0);
  }
  const moments = momentsOfCodes(values, counts, codes);
  let above: number | null = null;
  if (threshold !== null) {
    above = 0;
    for (let i = 0; i < codes.length; i++) if (Math.abs(values[codes[i]]) > threshold) above += counts[codes[i]];
  }
  return { moments, histogram: dtype === 'BF16' || dtype === 'F16' ? foldSign(dtype, codes, counts, dtype === 'BF16' ? 0x7f80 : 0x7c00, null) : foldValues(values, counts), above };
}

/**
 * Magnitude histogram from signed counts; keys after `last` (NaN) in no bin.
 *
 * @param codes signed patterns with a count, ascending: first those without a sign, then those with one
 * @param extra one more bin, after `last`
 */
function foldSign(space: 'BF16' | 'F16' | 'F32', codes: ArrayLike<number>, counts: ArrayLike<number>, last: number, extra: { key: number; count: number } | null): MagnitudeHistogram {
  const keys = new Uint32Array(codes.length + 1), sums = new Float64Array(codes.length + 1);
  let signed = 0, at = 0;
  while (signed < codes.length && codes[signed] < 0x8000) signed++;
  for (let i = 0, j = signed; i < signed || j < codes.length; at++) {
    const plain = i < signed ? codes[i] : 0x8000, negative = j < codes.length ? codes[j] - 0x8000 : 0x8000;
    const key = Math.min(plain, negative);
    if (key > last) break;
    keys[at] = key;
    if (plain === key) sums[at] += counts[codes[i++]];
    if (negative === key) sums[at] += counts[codes[j++]];
  }
  if (extra) { keys[at] = extra.key; sums[at++] = extra.count; }
  return { space, keys: keys.slice(0, at), counts: sums.slice(0, at) };
}

function foldValues(values: Float64Array, counts: ArrayLike<number>): MagnitudeHistogram {
  const table = new Map<number, number>();
  for (let code = 0; code < values.length; code++) {
    if (counts[code] === 0 || Number.isNaN(values[code])) continue;
    const magnitude = Math.abs(values[code]);
    table.set(magnitude, (table.get(magnitude) ?? 0) + counts[code]);
  }
  return ofValues(table);
}

function scanWide(context: TaskContext, source: SliceSource, dtype: WideDType, threshold: number | null): Answer {
  const accumulator = new MomentAccumulator(), dense = new Float64Array(0x8000), block = new Float64Array(WIDE_BLOCK);
  let above = 0;
  withSource(source, (bytes) => streamWindows(context, source, bytes, 8, (length) => {
    const reader = new WideReader(dtype, context.kernels.buffer.subarray(0, length));
    const n = elementsIn(dtype, length);
    for (let from = 0; from < n; from += WIDE_BLOCK) {
      const count = Math.min(WIDE_BLOCK, n - from);
      reader.read(from, count, block);
      accumulator.add(block, count);
      for (let i = 0; i < count; i++) {
        if (Number.isNaN(block[i])) continue;
        dense[float64Key(block[i])]++;
        if (threshold !== null && reader.compare(from + i, threshold) > 0) above++;
      }
    }
  }));
  return { moments: accumulator.result(), histogram: sparse('F64', dense), above: threshold === null ? null : above };
}
