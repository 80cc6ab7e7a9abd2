import { statSync } from 'node:fs';
import { CheckpointError } from '../errors';
import { MAX_GROUP } from '../kernels/kernels';
import { isKernelFloat, patternAtLeast, type KernelFloat } from '../kernels/floatBits';
import type { ByteSource } from '../bytes/byteSource';
import { openSource } from '../bytes/openSource';
import type { MagnitudeRule, TensorRule } from '../pruning/contract';
import { dtypes } from '../tensor/dtype';
import type { MaskCounts, SliceSource, WorkerTask } from './contract';
import { floatCells, requireMaskable, type FloatCells } from './floatCells';
import { selectInGroup, selectSmallest } from './select';
import { maskBits } from './maskBits';
import { maskBlocks, zerosIn } from './maskBlocks';
import { asScores, maskScored, maskScoredColumns } from './maskScored';
import { elementsIn, streamWindows, withSource, withTarget, type TaskContext, type Writer } from './task';

type MaskTask = Extract<WorkerTask, { kind: 'mask' }>;
type Rule<Kind extends TensorRule['kind']> = Extract<TensorRule, { kind: Kind }>;
/** Zeros found before, and weights that became zero. */
export interface Tally { zeros: number; changed: number }

/** Reads a slice, applies its rule and writes it; without a target it only counts. The slice holds whole rows, groups or rows of blocks where the rule needs them. */
export function maskTask(context: TaskContext, task: MaskTask): MaskCounts {
  const { source, rule, target } = task;
  requireMaskable(source.dtype, { file: source.file.path });
  const tally: Tally = { zeros: 0, changed: 0 };
  const at = target?.at ?? 0;
  withSource(source, (bytes) => withTarget(target, (writer) => {
    const work = { source, bytes, writer, at };
    if (rule.kind === 'scored') {
      const { by } = rule, { kernels } = context;
      const select = (count: number, height: number): number => {
        let changed = 0;
        if (by.kind !== 'rows') throw new CheckpointError('internal', { file: source.file.path }, `columns with rule ${by.kind}`);
        for (let x = 0; x < count; x++) changed += kernels.smallest('F32', x * 4, height, count, by.selected);
        return changed;
      };
      if (task.columns) maskScoredColumns(context, task.columns, { ...work, rule }, tally, select);
      else maskScored(context, applier(context, asScores(source), by, tally), { ...work, rule });
    } else if (rule.kind === 'blocks') maskBlocks(context, { ...work, rule }, tally);
    else if (rule.kind === 'values') copyValues(context, { ...work, rule }, tally);
    else if (rule.kind === 'bits') maskBits(context, { ...work, rule }, tally);
    else if (task.columns) maskColumns(context, source, rule, task.columns, bytes, writer, at, tally);
    else {
      const apply = applier(context, source, rule, tally);
      streamWindows(context, source, bytes, apply.unit, (length, offset) => {
        apply.window(length);
        writer?.write(context.kernels.buffer.subarray(0, length), at + offset);
      });
    }
  }));
  return { zerosBefore: tally.zeros, zerosAfter: tally.zeros + tally.changed, changed: tally.changed };
}

/** A rule on the window in the kernels' buffer, which is a multiple of `unit` bytes (the last may be shorter). */
export interface Applier { readonly unit: number; window(length: number): void }

function applier(context: TaskContext, source: SliceSource, rule: MagnitudeRule, tally: Tally): Applier {
  const { dtype } = source;
  switch (rule.kind) {
    case 'cut': return isKernelFloat(dtype) ? kernelCut(context, dtype, rule, tally) : plainCut(context, source, rule, tally);
    case 'rows': return isKernelFloat(dtype) ? kernelRows(context, source, dtype, rule, tally) : rowSelection(context, source, rule, tally);
    case 'groups':
      if (isKernelFloat(dtype) && rule.of <= MAX_GROUP) return kernelGroups(context, source, dtype, rule, tally);
      return rule.orientation === 'out-in' ? rowGroups(context, source, rule, tally) : columnGroups(context, source, rule, tally);
  }
}

/** Whole windows by the kernel; only the window in which the tie budget ends is cut in two at its last tie. */
function kernelCut(context: TaskContext, dtype: KernelFloat, rule: Rule<'cut'>, tally: Tally): Applier {
  const { kernels } = context, size = dtypes[dtype].bits / 8;
  const pattern = patternAtLeast(dtype, rule.threshold);
  let ties = pattern.equal ? rule.ties : 0;
  const mask = (first: number, n: number, limit: number): void => {
    const counts = kernels.mask(dtype, first * size, n, limit);
    tally.zeros += counts.zeros;
    tally.changed += counts.changed;
  };
  return {
    unit: size,
    window(length) {
      const n = length / size;
      const present = ties > 0 ? kernels.count(dtype, 0, n, pattern.bits).equal : 0;
      if (present <= ties) {
        mask(0, n, ties > 0 ? pattern.bits + 1 : pattern.bits);
        ties -= present;
        return;
      }
      const cells = floatCells(dtype, kernels.buffer);
      let split = 0;
      for (; ties > 0; split++) if (cells.magnitude(split) === rule.threshold) ties--;
      mask(0, split, pattern.bits + 1);
      mask(split, n - split, pattern.bits);
    },
  };
}

function kernelRows(context: TaskContext, source: SliceSource, dtype: KernelFloat, rule: Rule<'rows'>, tally: Tally): Applier {
  const { kernels } = context, { width, bytes } = rowBytes(source);
  return {
    unit: bytes,
    window(length) {
      tally.zeros += kernels.count(dtype, 0, (length / bytes) * width, 0).equal;
      for (let first = 0; first < length; first += bytes) tally.changed += kernels.smallest(dtype, first, width, 1, rule.selected);
    },
  };
}

/** Groups along a row lie side by side; groups of whole stored rows have one column each. */
function kernelGroups(context: TaskContext, source: SliceSource, dtype: KernelFloat, rule: Rule<'groups'>, tally: Tally): Applier {
  const { kernels } = context, { width, bytes } = rowBytes(source), { of } = rule, drop = of - rule.keep;
  const along = rule.orientation === 'out-in', unit = along ? bytes : bytes * of;
  return {
    unit,
    window(length) {
      tally.zeros += kernels.count(dtype, 0, (length / bytes) * width, 0).equal;
      for (let first = 0; first + unit <= length; first += unit) {
        tally.changed += along ? kernels.groups(dtype, first, Math.floor(width / of), of, of, 1, drop) : kernels.groups(dtype, first, width, 1, of, width, drop);
      }
    },
  };
}

/** Clears one element that a rule chose. */
function choose(cells: FloatCells, index: number, magnitude: number, tally: Tally): void {
  if (magnitude !== 0) tally.changed++;
  cells.clear(index);
}

function plainCut(context: TaskContext, source: SliceSource, rule: Rule<'cut'>, tally: Tally): Applier {
  let { ties } = rule;
  return {
    unit: 24,
    window(length) {
      const cells = floatCells(source.dtype, context.kernels.buffer), n = elementsIn(source.dtype, length);
      for (let i = 0; i < n; i++) {
        const magnitude = cells.magnitude(i);
        if (magnitude === 0) tally.zeros++;
        if (magnitude < rule.threshold) choose(cells, i, magnitude, tally);
        else if (magnitude === rule.threshold && ties > 0) { ties--; choose(cells, i, magnitude, tally); }
      }
    },
  };
}

/** Bytes of one stored row (the last axis). @throws `unsupported-pattern` when rows do not end on a byte */
function rowBytes(source: SliceSource): { width: number; bytes: number } {
  const width = source.shape.length === 0 ? 1 : source.shape[source.shape.length - 1];
  const bytes = (width * dtypes[source.dtype].bits) / 8;
  if (!Number.isInteger(bytes)) throw new CheckpointError('unsupported-pattern', { file: source.file.path }, `rows of ${width} ${source.dtype} do not end on a byte`);
  return { width, bytes: Math.max(1, bytes) };
}

/** Fills magnitudes of n cells that lie `stride` apart and counts the zeros among them. */
function load(cells: FloatCells, first: number, stride: number, n: number, out: Float64Array, tally: Tally): void {
  for (let i = 0; i < n; i++) {
    out[i] = cells.magnitude(first + i * stride);
    if (out[i] === 0) tally.zeros++;
  }
}

function clearChosen(cells: FloatCells, first: number, stride: number, n: number, magnitudes: Float64Array, chosen: Uint8Array, tally: Tally): void {
  for (let i = 0; i < n; i++) if (chosen[i] === 1) choose(cells, first + i * stride, magnitudes[i], tally);
}

function rowSelection(context: TaskContext, source: SliceSource, rule: Rule<'rows'>, tally: Tally): Applier {
  const { width, bytes } = rowBytes(source);
  const row = new Float64Array(width), scratch = new Float64Array(width), chosen = new Uint8Array(width);
  return {
    unit: bytes,
    window(length) {
      const cells = floatCells(source.dtype, context.kernels.buffer), n = elementsIn(source.dtype, length);
      for (let first = 0; first < n; first += width) {
        load(cells, first, 1, width, row, tally);
        selectSmallest(row, width, rule.selected, scratch, chosen);
        clearChosen(cells, first, 1, width, row, chosen, tally);
      }
    },
  };
}

/** Groups along the last axis. A ragged tail of each row is left alone. */
function rowGroups(context: TaskContext, source: SliceSource, rule: Rule<'groups'>, tally: Tally): Applier {
  const { width, bytes } = rowBytes(source);
  const row = new Float64Array(width), chosen = new Uint8Array(width);
  return {
    unit: bytes,
    window(length) {
      const cells = floatCells(source.dtype, context.kernels.buffer), n = elementsIn(source.dtype, length);
      for (let first = 0; first < n; first += width) {
        load(cells, first, 1, width, row, tally);
        chosen.fill(0);
        for (let at = 0; at + rule.of <= width; at += rule.of) selectInGroup(row, at, rule.of, rule.of - rule.keep, chosen);
        clearChosen(cells, first, 1, width, row, chosen, tally);
      }
    },
  };
}

/** Groups of `of` consecutive stored rows (inputs), each column on its own. The slice starts on a group; a ragged tail is left alone. */
function columnGroups(context: TaskContext, source: SliceSource, rule: Rule<'groups'>, tally: Tally): Applier {
  const { width, bytes } = rowBytes(source);
  const column = new Float64Array(rule.of), chosen = new Uint8Array(rule.of);
  return {
    unit: bytes * rule.of,
    window(length) {
      const cells = floatCells(source.dtype, context.kernels.buffer), rows = length / bytes;
      for (let top = 0; top < rows; top += rule.of) {
        const height = Math.min(rule.of, rows - top);
        for (let x = 0; x < width; x++) {
          load(cells, top * width + x, width, height, column, tally);
          if (height < rule.of) continue;
          selectInGroup(column, 0, rule.of, rule.of - rule.keep, chosen);
          clearChosen(cells, top * width + x, width, rule.of, column, chosen, tally);
        }
      }
    },
  };
}

/** Rule `rows` where an output unit is a column: reads columns [from, to) of the matrix as one block of strided pieces. */
function maskColumns(
  context: TaskContext, source: SliceSource, rule: MagnitudeRule, columns: { from: number; to: number }, bytes: ByteSource, writer: Writer | null, at: number, tally: Tally,
): void {
  const { buffer } = context.kernels;
  if (rule.kind !== 'rows') throw new CheckpointError('internal', { file: source.file.path }, `columns with rule ${rule.kind}`);
  const { width, bytes: stored } = rowBytes(source);
  const size = dtypes[source.dtype].bits / 8, count = columns.to - columns.from, piece = count * size, height = (source.to - source.from) / stored;
  if (!Number.isInteger(size) || piece * height > buffer.length || columns.to > width) throw new CheckpointError('internal', { file: source.file.path }, `block of ${count} x ${height} columns`);
  const each = (visit: (view: Uint8Array, offset: number) => void): void => {
    for (let y = 0; y < height; y++) {
      if (y % 1024 === 0) context.check();
      visit(buffer.subarray(y * piece, (y + 1) * piece), y * stored + columns.from * size);
    }
  };
  each((view, offset) => bytes.read(source.from + offset, source.from + offset + piece, view));
  if (isKernelFloat(source.dtype)) {
    tally.zeros += context.kernels.count(source.dtype, 0, count * height, 0).equal;
    for (let x = 0; x < count; x++) tally.changed += context.kernels.smallest(source.dtype, x * size, height, count, rule.selected);
  } else plainColumns(source, rule, buffer, count, height, tally);
  each((view, offset) => writer?.write(view, at + offset));
  context.progress(piece * height);
}

function plainColumns(source: SliceSource, rule: Rule<'rows'>, buffer: Uint8Array, count: number, height: number, tally: Tally): void {
  const cells = floatCells(source.dtype, buffer);
  const column = new Float64Array(height), scratch = new Float64Array(height), chosen = new Uint8Array(height);
  for (let x = 0; x < count; x++) {
    load(cells, x, count, height, column, tally);
    selectSmallest(column, height, rule.selected, scratch, chosen);
    clearChosen(cells, x, count, height, column, chosen, tally);
  }
}

/** Bytes that were made while planning, in place of the tensor's own. A weight that becomes another is no change; one that becomes zero is. */
function copyValues(context: TaskContext, { source, rule, bytes, writer, at }: { source: SliceSource; rule: Rule<'values'>; bytes: ByteSource; writer: Writer | null; at: number }, tally: Tally): void {
  const { realPath, from, byteLength } = rule.values;
  if (byteLength !== source.to - source.from) throw new CheckpointError('internal', { file: realPath }, `${byteLength} bytes for ${source.to - source.from}`);
  const { size, mtimeMs } = statSync(realPath);
  const values = openSource({ path: realPath, realPath, byteLength: size, mtimeMs }, source.io);
  try {
    streamWindows(context, source, bytes, 24, (length, offset) => {
      const n = elementsIn(source.dtype, length), view = context.kernels.buffer.subarray(0, length);
      const before = zerosIn(context, source.dtype, n);
      values.read(from + offset, from + offset + length, view);
      tally.zeros += before;
      tally.changed += zerosIn(context, source.dtype, n) - before;
      writer?.write(view, at + offset);
    });
  } finally {
    values.close();
  }
}
