/** ONNX Runtime's words. `auto` picks the first that works and says which. */
export const providers = ['cpu', 'webgpu', 'cuda', 'dml', 'coreml'] as const;
export type Provider = (typeof providers)[number];

export interface SessionOptions {
  readonly provider: Provider;
  /** intra-op threads of the CPU provider. */
  readonly threads: number;
  /** Held fixed within one comparison: prepacked and plain weights differ in the last bits. */
  readonly prepacking: boolean;
}

/** One window (or a batch of equal-length windows) to score. */
export interface WindowBatch {
  /** (batch, length) token ids, flat. */
  readonly inputIds: BigInt64Array;
  readonly batch: number;
  readonly length: number;
  /** (batch, scored) index of the predicting position, and the id to predict, flat. */
  readonly positions: BigInt64Array;
  readonly targets: BigInt64Array;
  /** What the encoder of an encoder-decoder reads, (batch, length), flat. */
  readonly encoder?: { readonly ids: BigInt64Array; readonly length: number };
}

/** What one run answers. */
export interface SessionAnswer {
  readonly losses: Float32Array;
  readonly ms: number;
  /** One a loss, where the graph has that output: see `GraphOptions.withHits`. */
  readonly hits?: Float32Array;
  readonly logits?: Float32Array;
  readonly compared?: ComparedTokens;
  /** Most memory that the child has held so far: its own and the mapped weights, bytes. */
  readonly peakBytes?: number;
}

/** What a graph of two models says of each scored token, flat: see `besideReference`. */
export interface ComparedTokens {
  readonly referenceLosses: Float32Array;
  /** Kullback-Leibler divergence from the reference, nats. */
  readonly divergence: Float32Array;
  /** 1 where both have the same most probable token, else 0. */
  readonly sameTop: Float32Array;
}

/**
 * One ONNX Runtime session in a child process. One request at a time; a window blocks the child, never the caller.
 * When the child is killed (cancel after 500 ms) or dies, the next call makes it again from the same graph.
 */
export interface Session {
  readonly provider: Provider;
  /** Losses (batch * scored), F32, and the milliseconds that `session.run` itself took inside the child. */
  run(batch: WindowBatch, thresholds: Float32Array | null, signal?: AbortSignal): Promise<SessionAnswer>;
  close(): Promise<void>;
}

/** The typed array of each element type that graphs take and give; F16 as its bits. */
export interface GraphTypes {
  readonly float32: Float32Array;
  readonly float64: Float64Array;
  readonly float16: Uint16Array;
  readonly int64: BigInt64Array;
  readonly int32: Int32Array;
  readonly bool: Uint8Array;
}
export type GraphType = keyof GraphTypes;

/** The value of a graph's input or output: row-major. */
export type GraphTensor = { readonly [T in GraphType]: { readonly type: T; readonly data: GraphTypes[T]; readonly dims: readonly number[] } }[GraphType];

/**
 * Any graph in a child process. One request at a time, answered in order. A child that was killed (a cancel, after 500 ms) or died is
 * made again by the next call, without what it kept.
 */
export interface GraphSession {
  readonly provider: Provider;
  /**
   * @param feeds a value of each input, or `{ kept }`: an output that an earlier run kept, which never left the child
   * @param options.fetch outputs that are answered; missing: all that are not kept
   * @param options.keep outputs that stay in the child for later feeds, in place of what was kept under the same name
   * @returns outputs by name, and the milliseconds that the run itself took inside the child
   * @throws CheckpointError `runtime-failed`, `child-died`, `cancelled`
   */
  run(
    feeds: Readonly<Record<string, GraphTensor | { readonly kept: string }>>, options?: { readonly fetch?: readonly string[]; readonly keep?: readonly string[] }, signal?: AbortSignal,
  ): Promise<{ readonly outputs: Readonly<Record<string, GraphTensor>>; readonly ms: number; readonly peakBytes: number }>;
  /** Writes an output that was kept into a file, as row-major bytes, from the child itself. @returns how many bytes */
  save(kept: string, file: string): Promise<number>;
  close(): Promise<void>;
}
