import type { DType } from './dtype';

/**
 * How the bytes [from, to) of a file become a tensor's values: contiguous, row-major, little-endian bytes of its dtype.
 * Steps are applied in order, each on what the one before it gives. A tensor without steps lies in its file as it is.
 * Everything here is plain data: it crosses to workers.
 */
export type EncodingStep =
  /** A deflated zip entry (raw deflate). */
  | { readonly kind: 'inflate'; readonly inflatedBytes: number }
  /** The bytes [from, to). */
  | { readonly kind: 'slice'; readonly from: number; readonly to: number }
  /** Items stored big endian. */
  | { readonly kind: 'swap'; readonly itemBytes: number }
  /** A view: element (i, j, ...) lies at item `offset + i * strides[0] + j * strides[1] ...`. Strides may be zero. */
  | { readonly kind: 'strided'; readonly itemBytes: number; readonly shape: readonly number[]; readonly strides: readonly number[]; readonly offset: number }
  /** A stored (rows, columns) matrix as (columns, rows). */
  | { readonly kind: 'transpose'; readonly itemBytes: number; readonly rows: number; readonly columns: number }
  /** Sign bits inverted: the top bit of these bytes of each item (a lazy negation or conjugation). */
  | { readonly kind: 'signs'; readonly itemBytes: number; readonly bytes: readonly number[] }
  /** (q - zeroPoint) * scale as F32, of integers. With `channels`, item i has the scale of channel `floor(i / inner) % scales.length`. */
  | {
    readonly kind: 'affine'; readonly stored: 'I8' | 'U8' | 'I32'; readonly scale: number; readonly zeroPoint: number;
    readonly channels?: { readonly scales: readonly number[]; readonly zeroPoints: readonly number[]; readonly inner: number };
  }
  /** Zero (+0.0) where the mask, a tensor of the same file with as many items, is zero. */
  | { readonly kind: 'masked'; readonly itemBytes: number; readonly mask: EncodedBytes & { readonly itemBytes: number } }
  /** Rows of which only the marked values are stored, the others are +0.0: bits and row offsets lie elsewhere in the same file. */
  | {
    readonly kind: 'bitmask'; readonly itemBytes: number; readonly rows: number; readonly columns: number;
    readonly bits: { readonly from: number; readonly to: number }; readonly offsets: { readonly from: number; readonly to: number } | null;
  }
  /** Block-quantised values of a GGUF type, as F32. */
  | { readonly kind: 'ggml'; readonly type: number; readonly bigEndian?: true }
  /** All values of one repeated number field of a protobuf message, packed or not. Varints keep their low `itemBytes`. */
  | { readonly kind: 'protobuf'; readonly field: number; readonly wire: 'varint' | 'fixed32' | 'fixed64'; readonly itemBytes: number; readonly decodedBytes: number }
  /** Integers of 2 or 4 bits, low bits first, as one byte each. */
  | { readonly kind: 'packed'; readonly bits: 2 | 4; readonly signed: boolean; readonly items: number }
  /** Items (outer, length, inner) of which only `kept` of the middle axis remain, in their order. */
  | { readonly kind: 'select'; readonly itemBytes: number; readonly outer: number; readonly length: number; readonly inner: number; readonly kept: Uint32Array }
  | ScoreStep
  /**
   * Means of |w| over blocks of the last two axes (`height` x `width` as stored), F32: (matrices, block rows, block columns). Blocks at the
   * ends may be smaller. Zero exactly where the whole block is zero, NaN where one of it is NaN.
   */
  | { readonly kind: 'blockMeans'; readonly dtype: DType; readonly height: number; readonly width: number; readonly blockHeight: number; readonly blockWidth: number };

/**
 * Weights of `dtype` as pruning scores, F32, as many items: the score's size with the weight's sign. Zero exactly where the weight is zero
 * (a score that would round to zero becomes the smallest normal F32), NaN where it is NaN. `width` and `height` are the last two axes as
 * stored; `orientation` says which of them are the inputs. Tensors of more axes are matrix after matrix.
 */
export interface ScoreStep {
  readonly kind: 'score';
  readonly dtype: DType;
  readonly height: number;
  readonly width: number;
  readonly orientation: 'out-in' | 'in-out';
  readonly how:
    /** |w|. */
    | { readonly kind: 'magnitude' }
    /** |w| x norm of its input channel (Wanda, Sun et al. 2024). `norms`: (inputs), or (matrices x inputs). */
    | { readonly kind: 'wanda'; readonly norms: Float32Array }
    /** (|w| / sum of its output's |w| + |w| / sum of its input's |w|) x norm^power (RIA, Zhang et al. 2024). Sums: (matrices x outputs), (matrices x inputs). */
    | { readonly kind: 'ria'; readonly norms: Float32Array; readonly outputSums: Float64Array; readonly inputSums: Float64Array; readonly power: number }
    /** A number that is uniform in (0, 1] and depends on seed, tensor name (`key`) and flat index alone. */
    | { readonly kind: 'random'; readonly seed: number; readonly key: string };
}

/** Bytes of a file and how to read them. */
export interface EncodedBytes {
  readonly from: number;
  readonly to: number;
  readonly steps: readonly EncodingStep[];
}
