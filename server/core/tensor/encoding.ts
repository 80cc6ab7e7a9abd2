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
  /** Block-quantised values of a GGUF type, as F32. */
  | { readonly kind: 'ggml'; readonly type: number; readonly bigEndian?: true }
  /** All values of one repeated number field of a protobuf message, packed or not. Varints keep their low `itemBytes`. */
  | { readonly kind: 'protobuf'; readonly field: number; readonly wire: 'varint' | 'fixed32' | 'fixed64'; readonly itemBytes: number; readonly decodedBytes: number }
  /** Integers of 2 or 4 bits, low bits first, as one byte each. */
  | { readonly kind: 'packed'; readonly bits: 2 | 4; readonly signed: boolean; readonly items: number };

/** Bytes of a file and how to read them. */
export interface EncodedBytes {
  readonly from: number;
  readonly to: number;
  readonly steps: readonly EncodingStep[];
}
