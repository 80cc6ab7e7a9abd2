import type { SessionOptions } from './contract';

/** What the parent asks of the ONNX child. Sent with `advanced` serialization, so typed arrays cross as they are. */
export type ChildRequest =
  | { readonly kind: 'open'; readonly id: number; readonly graph: Uint8Array; readonly root: string; readonly options: SessionOptions }
  | { readonly kind: 'run'; readonly id: number; readonly feeds: readonly Feed[] };

/** One named input. */
export interface Feed {
  readonly name: string;
  readonly type: 'int64' | 'float32';
  readonly data: BigInt64Array | Float32Array;
  readonly dims: readonly number[];
}

export type ChildAnswer =
  | { readonly kind: 'opened'; readonly id: number; readonly outputs: readonly string[] }
  | { readonly kind: 'ran'; readonly id: number; readonly outputs: Readonly<Record<string, Float32Array>>; readonly ms: number; readonly peakBytes: number }
  | { readonly kind: 'failed'; readonly id: number; readonly detail: string };
