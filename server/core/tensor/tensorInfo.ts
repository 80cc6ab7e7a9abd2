import { dtypes, type DType } from './dtype';
import type { EncodingStep } from './encoding';

/**
 * A tensor without its values: where its bytes lie and how to read them. Row-major, little endian, contiguous, unless
 * `encoding` says how it becomes so. Values are read through `bytes/decodedSource.ts`, which knows both.
 */
export interface TensorInfo {
  readonly name: string;
  readonly dtype: DType;
  /** e.g. (out, in) for a Linear, (in, out) for GPT-2's Conv1D; [] is a scalar with one element. */
  readonly shape: readonly number[];
  /** Product of the shape. */
  readonly elements: number;
  /** Index into `Checkpoint.files`. */
  readonly file: number;
  /** First byte in that file, as stored. */
  readonly from: number;
  /** One past the last byte, as stored. */
  readonly to: number;
  /** Missing where the bytes are the values. */
  readonly encoding?: readonly EncodingStep[];
  /** The name in the file, where `name` is a translation of it (GGUF's into those of transformers). */
  readonly storedName?: string;
  /** What the file calls the type where that is no dtype of ours (Q4_K, QINT8): `dtype` is then what it decodes to. */
  readonly storedDtype?: string;
  /** Bits a weight in the file, where that is not the dtype's. */
  readonly storedBits?: number;
  /** How the graph that is stored with it uses it; missing where a file holds names only. */
  readonly use?: TensorUse;
  /** `constant`: stands inside a node of a graph, which pruning leaves as it is. */
  readonly section?: 'constant';
  /** Why it is shown but never pruned. */
  readonly special?: 'quantised';
}

/** The type as a person is told it: `F32`, or `Q4_K (4.5 bits)` where the file packs its weights. */
export const shownDtype = ({ dtype, storedDtype, storedBits }: Pick<TensorInfo, 'dtype' | 'storedDtype' | 'storedBits'>): string =>
  (storedDtype === undefined ? dtype : `${storedDtype}${storedBits === undefined ? '' : ` (${Number(storedBits.toFixed(2))} bits)`}`);

/** What a graph says of a tensor that its name may not. */
export interface TensorUse {
  /** The operator that takes it, through casts and transposes. */
  readonly op: string;
  /** Where the inputs run in the last two axes; null where the operator says nothing of it. */
  readonly orientation: 'out-in' | 'in-out' | null;
  /** It multiplies activations as a matrix. */
  readonly prunable: boolean;
  /** The module that the operator belongs to, as exporters write it into node names; null when they do not. */
  readonly scope: string | null;
  /** What it makes is an output of the graph. */
  readonly head: boolean;
}

/** Bytes of the values, decoded: elements x bits / 8. Those in the file are `to - from`. */
export const valueBytes = (tensor: Pick<TensorInfo, 'dtype' | 'elements'>): number => (tensor.elements * dtypes[tensor.dtype].bits) / 8;

/** Orders names by Unicode code point: the order in which ties at the threshold are broken (not JavaScript's UTF-16 order). */
export function compareCodePoints(a: string, b: string): number {
  const shorter = Math.min(a.length, b.length);
  for (let i = 0; i < shorter; i++) {
    const x = a.charCodeAt(i), y = b.charCodeAt(i);
    if (x === y) continue;
    // Surrogates (0xD800..0xDFFF) stand for code points above every other UTF-16 unit.
    const xs = x >= 0xd800 && x <= 0xdfff, ys = y >= 0xd800 && y <= 0xdfff;
    return xs === ys ? x - y : xs ? 1 : -1;
  }
  return a.length - b.length;
}
