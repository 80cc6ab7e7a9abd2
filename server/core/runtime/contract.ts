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
