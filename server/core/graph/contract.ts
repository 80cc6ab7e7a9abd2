import type { GraphBuilder, Value } from './builder';

/** Bytes of one weight on disk; what an ONNX initializer with external data points at. */
export interface WeightReference {
  /** Real path (links resolved). ONNX Runtime refuses links that leave the folder. */
  readonly realPath: string;
  readonly from: number;
  readonly byteLength: number;
}

/**
 * How masks get into the graph.
 * `none`: the plain graph, used for values of written files and for every runtime measurement.
 * `thresholds`: each maskable weight W becomes Where(|W| <= t, +0, W) after its cast to F32, with its own scalar graph
 *   input t (t = -1 keeps everything). NaN compares false and is kept.
 */
export type Masking = 'none' | 'thresholds';

export interface GraphOptions {
  readonly masking: Masking;
  /** Names of the tensors that get a threshold input when masking is `thresholds`. */
  readonly maskable: readonly string[];
  /** Tensors whose bytes come from elsewhere (an overlay of pruned tensors). Same dtype and shape. */
  readonly overlay?: ReadonlyMap<string, WeightReference>;
  /** Longest window the graph will be run with; needed where RoPE scaling depends on it. */
  readonly context: number;
  /** Adds a `logits` output (batch, length, vocab), for golden tests only. */
  readonly withLogits?: boolean;
  /** Adds a `hits` output (batch, scored): 1 where no token is more likely than the target (the first of equal ones counts), else 0. */
  readonly withHits?: boolean;
  /** Names the log-probabilities of the scored positions inside the graph, (batch * scored, vocab), for a graph that compares two models. */
  readonly withLogProbabilities?: boolean;
  /**
   * Ask for a portable graph: plain MatMul/Softmax attention even where a contrib operator would be faster, and F16 tables
   * widened before rows are taken. Used by tests and by every provider but the CPU.
   */
  readonly plainAttention?: boolean;
  /** How a masked LM decodes, where its family knows more than one way; by default as the checkpoint was made for. */
  readonly decoder?: 'emd' | 'plain';
}

/**
 * A built graph. Of an encoder-decoder, `input_ids` are the decoder's and `encoder_ids` int64 (batch, encoder_length) the
 * encoder's. Inputs: `input_ids` int64 (batch, length); `targets` int64 (batch, scored): the ids to predict;
 * `positions` int64 (batch, scored): index into the length axis of the hidden state that predicts each target;
 * and one float scalar `threshold:<tensor>` per maskable tensor. Output: `losses` float32 (batch, scored), natural-log
 * negative log-likelihood of each target. The head runs only on the scored positions.
 */
export interface ModelGraph {
  /** Serialised ONNX ModelProto; external locations are relative to the root folder of the file system (or drive). */
  readonly bytes: Uint8Array;
  /**
   * The same graph with standard attention, made when a provider other than the CPU asks: GroupQueryAttention is wrong on
   * WebGPU (measured, 1.30: losses off by 0.9) and F16 only on CUDA. Missing when `bytes` is portable already.
   */
  readonly portableBytes?: () => Uint8Array;
  /** That folder, `/` or a drive root: where ONNX Runtime is told that external data begins. */
  readonly root: string;
  /** Name of the threshold input of each maskable tensor, in `GraphOptions.maskable` order. */
  readonly thresholdInputs: readonly string[];
  /** Bytes of all weights referenced, as stored. */
  readonly weightBytes: number;
  /**
   * Bytes ONNX Runtime will need beyond the mapped weights: copies of the largest weight that is widened or masked when
   * it is used (0 for a plain F32 graph). Nothing is folded into copies that stay.
   */
  readonly foldedBytes: number;
  /** Of the activations of one token, a rough bound in bytes; used to refuse before starting. */
  readonly activationBytesPerToken: number;
  readonly vocabSize: number;
  /** True when the graph has the input `encoder_ids`. */
  readonly takesEncoder?: boolean;
  /** How to run it block by block; missing where the blocks are not known (a graph out of an ONNX file). */
  readonly pieces?: GraphPieces;
}

/** One product of a matrix: (rows, in) goes in, (rows, out) comes out. */
export interface Tap { readonly input: Value; readonly output: Value }

/** A graph that can be cut where its blocks meet. */
export interface GraphPieces {
  readonly builder: GraphBuilder;
  /** Before the first block, between blocks, after the last: the values that cross, (rows, width) F32. */
  readonly boundaries: readonly (readonly Value[])[];
  /** The products of every matrix, by stored name. */
  readonly taps: ReadonlyMap<string, readonly Tap[]>;
}
