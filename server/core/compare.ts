import type { ByteSource, IoMode } from './bytes/byteSource';
import { openTensor } from './bytes/decodedSource';
import { prepareSpill } from './bytes/decoders/prepareSpill';
import { throwIfCancelled } from './errors';
import type { Checkpoint } from './formats/contract';
import type { Job } from './job';
import { decodeInto, partsOf } from './tensor/decode';
import { dtypes } from './tensor/dtype';
import { valueBytes, type TensorInfo } from './tensor/tensorInfo';

/** Elements looked at in one step: at most 3 MiB of each checkpoint, and the doubles they decode to. A multiple of WHOLE_BYTES. */
const WINDOW_ELEMENTS = 3 * 2 ** 17;

export type CompareStatus = 'same' | 'differs' | 'only-in-a' | 'only-in-b' | 'shape-differs' | 'dtype-differs';

export interface TensorComparison {
  readonly name: string;
  /** `same` means the same bytes. */
  readonly status: CompareStatus;
  /** max |a - b| over doubles; where both are NaN, or the same infinity, the difference is 0; NaN where one is NaN. Null where it cannot be taken. */
  readonly maxAbsDifference: number | null;
  /** Fraction of zeros, null where the tensor is missing or empty. */
  readonly sparsityA: number | null;
  readonly sparsityB: number | null;
}

/**
 * Compares two checkpoints tensor by tensor, by name, wherever it is stored. Streams both by windows; memory does not grow.
 * Dtypes that differ are compared by value; shapes that differ are not.
 *
 * @returns A's tensors in its order, then those only in B
 */
export async function* compareCheckpoints(a: Checkpoint, b: Checkpoint, io: IoMode, signal?: AbortSignal): Job<readonly TensorComparison[]> {
  const inA = new Map(a.tensors.map((info) => [info.name, info])), inB = new Map(b.tensors.map((info) => [info.name, info]));
  const names = [...inA.keys(), ...[...inB.keys()].filter((name) => !inA.has(name))];
  const total = names.reduce((sum, name) => sum + sizeOf(inA.get(name)) + sizeOf(inB.get(name)), 0);
  const reader = new Readers(io), results: TensorComparison[] = [];
  let done = 0;
  try {
    for (const name of names) {
      const left = inA.get(name), right = inB.get(name);
      for (const [checkpoint, info] of [[a, left], [b, right]] as const) if (info) await prepareSpill(checkpoint.files[info.file], info, signal);
      const pair = new Pair(left, right);
      const elements = Math.max(left?.elements ?? 0, right?.elements ?? 0);
      for (let first = 0; first < elements || first === 0; first += WINDOW_ELEMENTS) {
        throwIfCancelled(signal);
        yield { stage: 'compare', done, total, unit: 'bytes' };
        done += pair.look(reader, a, b, first);
        // Lets a signal be heard: everything else here is synchronous.
        await new Promise((resolve) => { setImmediate(resolve); });
      }
      results.push(pair.result(name));
    }
    yield { stage: 'compare', done, total, unit: 'bytes' };
  } finally {
    reader.close();
  }
  return results;
}

const sizeOf = (info: TensorInfo | undefined): number => (info ? valueBytes(info) : 0);

/** Each tensor's values opened once, and closed when the next one of its side begins. */
class Readers {
  private readonly open = new Map<Checkpoint, { readonly info: TensorInfo; readonly source: ByteSource }>();
  constructor(private readonly io: IoMode) {}

  read(checkpoint: Checkpoint, info: TensorInfo, from: number, to: number, into: Uint8Array): void {
    let held = this.open.get(checkpoint);
    if (held?.info !== info) {
      held?.source.close();
      this.open.delete(checkpoint);
      this.open.set(checkpoint, (held = { info, source: openTensor(checkpoint.files[info.file], info, this.io) }));
    }
    held.source.read(from, to, into);
  }

  close(): void {
    for (const { source } of this.open.values()) source.close();
  }
}

/** One side of a window: its bytes, its values, its zeros so far. */
class Side {
  zeros = 0;
  bytes = new Uint8Array(0);
  values = new Float64Array(0);
  count = 0;
  constructor(readonly info: TensorInfo | undefined) {}

  load(readers: Readers, checkpoint: Checkpoint, first: number): number {
    const { info } = this;
    this.count = info ? Math.max(0, Math.min(WINDOW_ELEMENTS, info.elements - first)) : 0;
    if (!info || this.count === 0) return 0;
    const { bits } = dtypes[info.dtype], parts = partsOf(info.dtype), length = (this.count * bits) / 8, from = (first * bits) / 8;
    if (this.bytes.length === 0) {
      const most = Math.min(WINDOW_ELEMENTS, info.elements);
      this.bytes = new Uint8Array(Math.ceil((most * bits) / 64) * 8);
      this.values = new Float64Array(most * parts);
    }
    readers.read(checkpoint, info, from, from + length, this.bytes);
    decodeInto(info.dtype, this.bytes, this.count, this.values);
    for (let i = 0; i < this.count; i++) if (this.values[i * parts] === 0 && (parts === 1 || this.values[i * parts + 1] === 0)) this.zeros++;
    return length;
  }

  get sparsity(): number | null {
    return this.info && this.info.elements > 0 ? this.zeros / this.info.elements : null;
  }
}

class Pair {
  private readonly a: Side;
  private readonly b: Side;
  private readonly comparable: boolean;
  private same = true;
  private most = 0;

  constructor(private readonly left: TensorInfo | undefined, private readonly right: TensorInfo | undefined) {
    this.a = new Side(left);
    this.b = new Side(right);
    this.comparable = left !== undefined && right !== undefined && left.shape.join() === right.shape.join() && partsOf(left.dtype) === partsOf(right.dtype);
  }

  /** Looks at one window of both. @returns bytes read */
  look(readers: Readers, a: Checkpoint, b: Checkpoint, first: number): number {
    const read = [this.a.load(readers, a, first), this.b.load(readers, b, first)];
    if (this.comparable) {
      if (this.left!.dtype === this.right!.dtype && Buffer.compare(this.a.bytes.subarray(0, read[0]), this.b.bytes.subarray(0, read[1])) === 0) return read[0] + read[1];
      this.same = false;
      const x = this.a.values, y = this.b.values, values = this.a.count * partsOf(this.left!.dtype);
      for (let i = 0; i < values; i++) {
        if (x[i] === y[i] || (Number.isNaN(x[i]) && Number.isNaN(y[i]))) continue;
        this.most = Math.max(this.most, Math.abs(x[i] - y[i])); // NaN once, NaN for ever
      }
    }
    return read[0] + read[1];
  }

  result(name: string): TensorComparison {
    const { left, right } = this;
    const status: CompareStatus = right === undefined ? 'only-in-a' : left === undefined ? 'only-in-b'
      : left.shape.join() !== right.shape.join() ? 'shape-differs'
      : left.dtype !== right.dtype ? 'dtype-differs'
      : this.same ? 'same' : 'differs';
    return { name, status, maxAbsDifference: this.comparable ? this.most : null, sparsityA: this.a.sparsity, sparsityB: this.b.sparsity };
  }
}
