import { codeValues, readCode } from '../kernels/codes';
import { dtypes, type DType } from '../tensor/dtype';
import type { SliceSource, Structure } from './contract';
import { elementsIn, streamWindows, withSource, type TaskContext } from './task';
import { isWide, WideReader } from './wide';

const GROUP = 4;

/** Dead rows and groups that already hold 2:4. Needs whole rows; in orientation in-out the whole matrix (its state is one byte a column and group). */
export function structureTask(context: TaskContext, source: SliceSource, orientation: 'out-in' | 'in-out'): Structure {
  const width = source.shape.length === 0 ? 1 : source.shape[source.shape.length - 1];
  const count = orientation === 'out-in' ? new RowStructure(width) : new ColumnStructure(width);
  const unit = Math.max(1, Math.ceil((width * dtypes[source.dtype].bits) / 8));
  withSource(source, (bytes) => streamWindows(context, source, bytes, unit, (length) => {
    const isZero = zeroTest(source.dtype, context.kernels.buffer.subarray(0, length)), n = elementsIn(source.dtype, length);
    for (let first = 0; first < n; first += width) count.row(isZero, first);
  }));
  return count.result();
}

class RowStructure {
  private rows = 0;
  private dead = 0;
  private groups = 0;
  private ready = 0;
  constructor(private readonly width: number) {}

  row(isZero: (index: number) => boolean, first: number): void {
    let zeros = 0, inGroup = 0;
    for (let x = 0; x < this.width; x++) {
      if (isZero(first + x)) { zeros++; inGroup++; }
      if (x % GROUP === GROUP - 1) {
        this.groups++;
        if (inGroup >= 2) this.ready++;
        inGroup = 0;
      }
    }
    this.rows++;
    if (zeros === this.width) this.dead++;
  }

  result(): Structure {
    return { rows: this.rows, deadRows: this.dead, groups: this.groups, ready: this.ready };
  }
}

class ColumnStructure {
  private readonly alive: Uint8Array;
  private readonly inGroup: Uint8Array;
  private y = 0;
  private groups = 0;
  private ready = 0;
  constructor(private readonly width: number) {
    this.alive = new Uint8Array(width);
    this.inGroup = new Uint8Array(width);
  }

  row(isZero: (index: number) => boolean, first: number): void {
    const { alive, inGroup, width } = this;
    for (let x = 0; x < width; x++) {
      if (isZero(first + x)) inGroup[x]++;
      else alive[x] = 1;
    }
    if (this.y++ % GROUP !== GROUP - 1) return;
    for (let x = 0; x < width; x++) if (inGroup[x] >= 2) this.ready++;
    this.groups += width;
    inGroup.fill(0);
  }

  result(): Structure {
    return { rows: this.width, deadRows: this.alive.reduce((dead, one) => dead + (one === 0 ? 1 : 0), 0), groups: this.groups, ready: this.ready };
  }
}

function zeroTest(dtype: DType, bytes: Uint8Array): (index: number) => boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (dtype === 'BF16' || dtype === 'F16') return (i) => (view.getUint16(2 * i, true) & 0x7fff) === 0;
  if (dtype === 'F32') return (i) => (view.getUint32(4 * i, true) & 0x7fffffff) === 0;
  if (isWide(dtype)) {
    const reader = new WideReader(dtype, bytes);
    return (i) => reader.value(i) === 0;
  }
  const values = codeValues(dtype) as Float64Array, { bits } = dtypes[dtype];
  return (i) => values[readCode(bytes, bits, i)] === 0;
}
