import { decodeInto } from '../tensor/decode';
import { dtypes } from '../tensor/dtype';
import type { SliceSource, WorkerAnswers } from './contract';
import { elementsIn, streamWindows, withSource, type TaskContext } from './task';

/** Sums of |w| along both axes of whole rows of one matrix, in F64, in storage order. NaN and infinities do not count. */
export function sumsTask(context: TaskContext, source: SliceSource): WorkerAnswers['sums'] {
  const [height, width] = source.shape, rowBytes = (width * dtypes[source.dtype].bits) / 8;
  const rows = new Float64Array(height), columns = new Float64Array(width);
  let values = new Float64Array(0), row = 0;
  withSource(source, (bytes) => streamWindows(context, source, bytes, rowBytes, (length) => {
    const n = elementsIn(source.dtype, length);
    if (values.length < n) values = new Float64Array(n);
    decodeInto(source.dtype, context.kernels.buffer.slice(0, length) as Uint8Array<ArrayBuffer>, n, values);
    for (let at = 0; at < n; at += width, row++) {
      let sum = 0;
      for (let x = 0; x < width; x++) {
        const size = Math.abs(values[at + x]);
        if (!(size < Infinity)) continue;
        sum += size;
        columns[x] += size;
      }
      rows[row] = sum;
    }
  }));
  return { rows, columns };
}
