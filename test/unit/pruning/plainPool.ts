import { createHash } from 'node:crypto';
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import type { MagnitudeRule } from '../../../server/core/pruning/contract';
import type { SliceSource, WorkerAnswers, WorkerPool, WorkerTask } from '../../../server/core/workers/contract';
import { codeValues } from '../../../server/core/kernels/codes';
import { decodeInto } from '../../../server/core/tensor/decode';
import { dtypes } from '../../../server/core/tensor/dtype';

/** The referee of the worker pool: the same answers by sorting whole tensors in plain TypeScript, in this thread. Small tensors only. */
export const plainPool: WorkerPool = {
  threads: 1,
  async run<T extends WorkerTask>(task: T, _signal?: AbortSignal, onBytes?: (bytes: number) => void): Promise<WorkerAnswers[T['kind']]> {
    if ('source' in task) onBytes?.(task.source.to - task.source.from);
    return answer(task) as WorkerAnswers[T['kind']];
  },
  close: () => Promise.resolve(),
};

function answer(task: WorkerTask): WorkerAnswers[WorkerTask['kind']] {
  if (!('source' in task)) throw new Error(`${task.kind} has no referee here`);
  const bytes = Uint8Array.from(readFileSync(task.source.file.realPath).subarray(task.source.from, task.source.to));
  switch (task.kind) {
    case 'copy': write(task.target, bytes); return { bytes: bytes.length };
    case 'scan': return scan(task.source, magnitudesOf(task.source, bytes));
    case 'count': {
      const w = magnitudesOf(task.source, bytes);
      return { less: w.filter((x) => x < task.magnitude).length, equal: w.filter((x) => x === task.magnitude).length };
    }
    case 'refine': {
      const keys = new Set(task.keys), table = new Map<number, number>();
      for (const x of magnitudesOf(task.source, bytes)) if (!Number.isNaN(x) && keys.has(keyOf(task.source, x))) table.set(x, (table.get(x) ?? 0) + 1);
      const values = Float64Array.from(table.keys()).sort();
      return { values, counts: values.map((value) => table.get(value)!) };
    }
    case 'mask': {
      if (task.columns) throw new Error('whole tensors only');
      const before = magnitudesOf(task.source, bytes), chosen = select(before, task.source.shape, task.rule as MagnitudeRule), size = dtypes[task.source.dtype].bits / 8;
      for (const i of chosen) bytes.fill(0, i * size, (i + 1) * size);
      if (task.target) write(task.target, bytes);
      const zeros = (w: Float64Array): number => w.filter((x) => x === 0).length;
      const zerosBefore = zeros(before), zerosAfter = zeros(magnitudesOf(task.source, bytes));
      return { zerosBefore, zerosAfter, changed: zerosAfter - zerosBefore };
    }
    case 'hash': return { sha256: createHash('sha256').update(bytes).digest('hex') };
    case 'structure': case 'sums': case 'pack': throw new Error('not needed here');
  }
}

const magnitudesOf = (source: SliceSource, bytes: Uint8Array<ArrayBuffer>): Float64Array => {
  const elements = (bytes.length * 8) / dtypes[source.dtype].bits, out = new Float64Array(elements);
  decodeInto(source.dtype, bytes, elements, out);
  return out.map(Math.abs);
};

/** Key in the magnitude histogram: 15 bits of the pattern, or of its top half. */
function keyOf(source: SliceSource, magnitude: number): number {
  if (source.dtype === 'F32') return new Uint32Array(Float32Array.of(magnitude).buffer)[0] >>> 16;
  if (source.dtype === 'F64') return new Uint32Array(Float64Array.of(magnitude).buffer)[1] >>> 16;
  return codeValues(source.dtype)!.subarray(0, 0x8000).indexOf(magnitude);
}

function scan(source: SliceSource, w: Float64Array): WorkerAnswers['scan'] {
  const table = new Map<number, number>();
  for (const x of w) if (!Number.isNaN(x)) { const key = keyOf(source, x); table.set(key, (table.get(key) ?? 0) + 1); }
  const keys = Uint32Array.from(table.keys()).sort();
  const space = source.dtype as 'F32' | 'F16' | 'BF16' | 'F64';
  const nan = w.filter(Number.isNaN).length, inf = w.filter((x) => x === Infinity).length;
  return {
    above: null, histogram: { space, keys, counts: Float64Array.from(keys, (key) => table.get(key)!) },
    moments: { elements: w.length, zeros: w.filter((x) => x === 0).length, nan, inf, min: NaN, max: NaN, sum: 0, m2: 0, absMax: NaN },
  };
}

/** Positions that a rule selects, by sorting. */
function select(w: Float64Array, shape: readonly number[], rule: MagnitudeRule): number[] {
  const smallest = (positions: number[], count: number): number[] => positions.filter((i) => !Number.isNaN(w[i])).sort((a, b) => w[a] - w[b] || a - b).slice(0, count);
  if (rule.kind === 'cut') {
    const all = Array.from(w.keys());
    return [...all.filter((i) => w[i] < rule.threshold), ...all.filter((i) => w[i] === rule.threshold).slice(0, rule.ties)];
  }
  const [height, width] = shape.slice(-2), chosen: number[] = [];
  for (let matrix = 0; matrix < w.length; matrix += height * width) {
    const [outputs, inputs] = rule.orientation === 'out-in' ? [height, width] : [width, height];
    const at = (output: number, input: number): number => matrix + (rule.orientation === 'out-in' ? output * width + input : input * width + output);
    const length = rule.kind === 'rows' ? inputs : rule.of, count = rule.kind === 'rows' ? rule.selected : rule.of - rule.keep;
    for (let output = 0; output < outputs; output++) {
      for (let first = 0; first + length <= inputs; first += length) chosen.push(...smallest(Array.from({ length }, (_, i) => at(output, first + i)), count));
    }
  }
  return chosen;
}

function write(target: { readonly path: string; readonly at: number }, bytes: Uint8Array): void {
  const fd = openSync(target.path, 'r+');
  try {
    writeSync(fd, bytes, 0, bytes.length, target.at);
  } finally {
    closeSync(fd);
  }
}
