import { codeValues, countCodes } from '../kernels/codes';
import { float32FromBits, float64Key, isKernelFloat, patternAtLeast } from '../kernels/floatBits';
import { SLOTS } from '../kernels/layout';
import { CheckpointError } from '../errors';
import { dtypes } from '../tensor/dtype';
import type { SliceSource, WorkerAnswers } from './contract';
import { elementsIn, streamWindows, withSource, type TaskContext } from './task';
import { isWide, WideReader } from './wide';

/** Exact counts of |w| < magnitude and |w| = magnitude. */
export function countTask(context: TaskContext, source: SliceSource, magnitude: number): WorkerAnswers['count'] {
  const { kernels } = context, { dtype } = source;
  let less = 0, equal = 0;
  const stream = (unit: number, visit: (length: number) => void): void => withSource(source, (bytes) => streamWindows(context, source, bytes, unit, visit));
  if (isKernelFloat(dtype)) {
    const pattern = patternAtLeast(dtype, magnitude);
    stream(4, (length) => {
      const counts = kernels.count(dtype, 0, elementsIn(dtype, length), pattern.bits);
      less += counts.less;
      equal += pattern.equal ? counts.equal : 0;
    });
  } else if (isWide(dtype)) {
    stream(8, (length) => {
      const reader = new WideReader(dtype, kernels.buffer.subarray(0, length)), n = elementsIn(dtype, length);
      for (let i = 0; i < n; i++) {
        const sign = reader.compare(i, magnitude);
        if (sign < 0) less++;
        else if (sign === 0) equal++;
      }
    });
  } else {
    const values = codeValues(dtype) as Float64Array, table = new Float64Array(values.length);
    stream(6, (length) => countCodes(kernels.buffer, dtypes[dtype].bits, elementsIn(dtype, length), table));
    values.forEach((value, code) => {
      if (Math.abs(value) < magnitude) less += table[code];
      else if (Math.abs(value) === magnitude) equal += table[code];
    });
  }
  return { less, equal };
}

/** Distinct magnitudes with their counts, ascending, inside the coarse keys. For spaces F32 and F64. */
export function refineTask(context: TaskContext, source: SliceSource, keys: readonly number[]): WorkerAnswers['refine'] {
  const { dtype } = source;
  const wanted = [...new Set(keys)].sort((a, b) => a - b);
  if (dtype === 'F32') return refineF32(context, source, wanted);
  if (!isWide(dtype)) throw new CheckpointError('internal', { file: source.file.path }, `${dtype} needs no refining`);
  // Sorted rather than counted by pattern: memory is the elements of the slice that fall into the keys.
  const isWanted = new Uint8Array(0x8000);
  for (const key of wanted) isWanted[key] = 1;
  let found = new Float64Array(4096), n = 0;
  withSource(source, (bytes) => streamWindows(context, source, bytes, 8, (length) => {
    const reader = new WideReader(dtype, context.kernels.buffer.subarray(0, length)), elements = elementsIn(dtype, length);
    for (let i = 0; i < elements; i++) {
      const magnitude = Math.abs(reader.value(i));
      if (Number.isNaN(magnitude) || isWanted[float64Key(magnitude)] === 0) continue;
      if (n === found.length) {
        const larger = new Float64Array(2 * n);
        larger.set(found);
        found = larger;
      }
      found[n++] = magnitude;
    }
  }));
  return runs(found.subarray(0, n).sort());
}

/** Run lengths of sorted values. */
export function runs(sorted: Float64Array): { values: Float64Array; counts: Float64Array } {
  const values: number[] = [], counts: number[] = [];
  for (let i = 0; i < sorted.length; i++) {
    if (i > 0 && sorted[i] === sorted[i - 1]) counts[counts.length - 1]++;
    else { values.push(sorted[i]); counts.push(1); }
  }
  return { values: Float64Array.from(values), counts: Float64Array.from(counts) };
}

function refineF32(context: TaskContext, source: SliceSource, keys: readonly number[]): WorkerAnswers['refine'] {
  const { kernels } = context;
  const values: number[] = [], counts: number[] = [];
  withSource(source, (bytes) => {
    for (let at = 0; at < keys.length; at += SLOTS) {
      const some = keys.slice(at, at + SLOTS);
      kernels.beginRefine(some);
      streamWindows(context, source, bytes, 4, (length) => kernels.refine32(0, length / 4, some[0], some[some.length - 1]));
      some.forEach((key, slot) => {
        const table = kernels.slotTable(slot);
        // In infinity's key only the first pattern is a magnitude; the rest are NaN.
        const end = key === 0x7f80 ? 1 : key > 0x7f80 ? 0 : 0x10000;
        for (let low = 0; low < end; low++) {
          if (table[low] > 0) { values.push(float32FromBits((key << 16) | low)); counts.push(table[low]); }
        }
      });
    }
  });
  return { values: Float64Array.from(values), counts: Float64Array.from(counts) };
}
