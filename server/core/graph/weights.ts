import { CheckpointError } from '../errors';
import type { Checkpoint } from '../formats/contract';
import { valueBytes, type TensorInfo } from '../tensor/tensorInfo';
import type { ElementType, GraphBuilder, Value } from './builder';
import type { GraphOptions, ModelGraph, Tap, WeightReference } from './contract';

const widened: Partial<Record<TensorInfo['dtype'], ElementType>> = { F32: 'F32', F16: 'F16', BF16: 'BF16', F64: 'F64' };

/** Name of the scalar graph input that masks a tensor. */
export const thresholdInput = (tensor: string): string => `threshold:${tensor}`;

/**
 * The weights of one checkpoint as values of one graph: by reference, widened to F32, masked where the options ask.
 * Every tensor is looked up, checked against the shape the configuration promises, and referenced once.
 */
export class Weights {
  private readonly tensors: ReadonlyMap<string, TensorInfo>;
  private readonly raw = new Map<string, Value>();
  private readonly whole = new Map<string, Value>();
  private readonly maskable: ReadonlySet<string>;
  /** What each matrix is multiplied with: (rows, in) and (rows, out) of every product, by stored name. */
  readonly taps = new Map<string, Tap[]>();
  /** Names of the threshold inputs, in the order of `options.maskable`. */
  readonly thresholdInputs: readonly string[];
  /** Bytes of everything referenced so far, as stored. */
  weightBytes = 0;
  /** Bytes that the copies of one weight take at most, while it is widened and masked. They live as long as its use. */
  foldedBytes = 0;

  constructor(private readonly builder: GraphBuilder, private readonly checkpoint: Checkpoint, private readonly options: GraphOptions) {
    this.tensors = new Map(checkpoint.tensors.map((tensor) => [tensor.name, tensor]));
    const masked = options.masking === 'thresholds' ? options.maskable : [];
    for (const name of masked) if (!this.tensors.has(name)) throw new CheckpointError('tensor-missing', { file: checkpoint.path, tensor: name }, 'asked to be maskable');
    this.maskable = new Set(masked);
    this.thresholdInputs = masked.map((name) => builder.input(thresholdInput(name), 'F32', []));
  }

  has(name: string): boolean {
    return this.tensors.has(name);
  }

  /** The tensor as stored. `shape` is what the configuration says it is. */
  private reference(name: string, shape: readonly number[]): { value: Value; type: ElementType } {
    const tensor = this.tensors.get(name);
    const place = { file: this.checkpoint.path, tensor: name };
    if (!tensor) throw new CheckpointError('tensor-missing', place, `expected ${name} of shape (${shape.join(', ')})`);
    if (tensor.shape.length !== shape.length || tensor.shape.some((size, axis) => size !== shape[axis])) {
      throw new CheckpointError('tensor-shape-differs', place, `stored (${tensor.shape.join(', ')}), the configuration says (${shape.join(', ')})`);
    }
    const type = widened[tensor.dtype];
    if (!type) throw new CheckpointError('unsupported-dtype', place, `${tensor.dtype} cannot be evaluated, only F32, F16, BF16 and F64`);
    const known = this.raw.get(name);
    if (known !== undefined) return { value: known, type };
    const overlay = this.options.overlay?.get(name);
    const byteLength = valueBytes(tensor);
    if (!overlay && tensor.encoding) throw new CheckpointError('internal', place, 'an encoded weight has to be materialised first');
    if (overlay && overlay.byteLength !== byteLength) {
      throw new CheckpointError('tensor-shape-differs', { file: overlay.realPath, tensor: name }, `overlay has ${overlay.byteLength} bytes, the tensor ${byteLength}`);
    }
    const source: WeightReference = overlay ?? { realPath: this.checkpoint.files[tensor.file].realPath, from: tensor.from, byteLength };
    this.weightBytes += byteLength;
    const value = this.builder.external(name, type, shape, source);
    this.raw.set(name, value);
    return { value, type };
  }

  /**
   * Where(|W| <= t, +0, W): NaN compares false and is kept; a product would lose it and make -0.0. Written without an
   * Abs(W), which a provider that folds constants would compute once and keep beside W for good.
   */
  private mask(name: string, value: Value): Value {
    if (!this.maskable.has(name)) return value;
    const g = this.builder, t = thresholdInput(name);
    const inner = g.op('Where', [g.op('GreaterOrEqual', [value, g.op('Neg', [t])]), g.float(0), value]);
    return g.op('Where', [g.op('LessOrEqual', [value, t]), inner, value]);
  }

  /** The whole tensor as F32, masked if asked. Asked twice it is the same value. */
  f32(name: string, shape: readonly number[]): Value {
    const known = this.whole.get(name);
    if (known !== undefined) return known;
    const { value, type } = this.reference(name, shape);
    // Widening makes one F32 copy; masking two, and two of booleans.
    const copies = (type === 'F32' ? 0 : 4) + (this.maskable.has(name) ? 10 : 0);
    this.foldedBytes = Math.max(this.foldedBytes, copies * shape.reduce((product, size) => product * size, 1));
    const value32 = this.builder.first(() => this.mask(name, type === 'F32' ? value : this.builder.cast(value, 'F32')));
    this.whole.set(name, value32);
    return value32;
  }

  /**
   * Rows of a table (rows, width) at int64 `indices`, as F32. Gathers before it widens and masks, so the table stays on
   * disk; but in a portable graph an F16 table is widened first, because not every GPU can read F16 (WebGPU: `shader-f16`).
   */
  rows(name: string, shape: readonly [number, number], indices: Value): Value {
    const { value, type } = this.reference(name, shape);
    if (type === 'F16' && this.options.plainAttention) return this.builder.op('Gather', [this.f32(name, shape), indices], { axis: { i: 0 } });
    const rows = this.builder.op('Gather', [value, indices], { axis: { i: 0 } });
    return this.mask(name, type === 'F32' ? rows : this.builder.cast(rows, 'F32'));
  }

  /**
   * x (rows, in) times the weight, plus the bias if there is one: (rows, out). One Gemm: a stored (out, in) matrix is
   * read transposed in place, where a Transpose node would be constant folded into a copy.
   */
  linear(x: Value, name: string, bias: string | null, size: { readonly in: number; readonly out: number }, orientation: 'out-in' | 'in-out'): Value {
    const weight = this.f32(name, orientation === 'out-in' ? [size.out, size.in] : [size.in, size.out]);
    const inputs = bias === null ? [x, weight] : [x, weight, this.f32(bias, [size.out])];
    const product = this.builder.op('Gemm', inputs, orientation === 'out-in' ? { transB: { i: 1 } } : {});
    this.taps.set(name, [...this.taps.get(name) ?? [], { input: x, output: product }]);
    return product;
  }
}

/** What a builder of a family answers, once its outputs are there. */
export function modelGraph(g: GraphBuilder, weights: Weights, rest: Pick<ModelGraph, 'activationBytesPerToken' | 'vocabSize' | 'portableBytes' | 'takesEncoder'>): ModelGraph {
  return {
    bytes: g.finish(), root: g.root ?? '/', thresholdInputs: weights.thresholdInputs, weightBytes: weights.weightBytes, foldedBytes: weights.foldedBytes, ...rest,
    pieces: { builder: g, boundaries: g.boundaries, taps: weights.taps },
  };
}
