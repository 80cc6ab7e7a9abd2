import type { GraphTensor, SessionOptions } from './contract';

/** What the parent asks of the ONNX child. Sent with `advanced` serialization, so typed arrays cross as they are. */
export type ChildRequest =
  | { readonly kind: 'open'; readonly id: number; readonly graph: Uint8Array; readonly root: string; readonly options: SessionOptions }
  | {
    readonly kind: 'run'; readonly id: number; readonly feeds: readonly Feed[];
    /** Outputs that are answered; null: all. */
    readonly fetch: readonly string[] | null;
    /** Outputs that stay in the child, under these names, until an output is kept under the same name. */
    readonly keep: readonly string[];
  }
  /** Writes the bytes of a kept output, row-major, into a file. */
  | { readonly kind: 'save'; readonly id: number; readonly kept: string; readonly file: string };

/** One named input: values, or an output that an earlier run kept. */
export type Feed = { readonly name: string } & (GraphTensor | { readonly kept: string });

export type ChildAnswer =
  | { readonly kind: 'opened'; readonly id: number; readonly outputs: readonly string[] }
  | { readonly kind: 'ran'; readonly id: number; readonly outputs: Readonly<Record<string, GraphTensor>>; readonly ms: number; readonly peakBytes: number }
  | { readonly kind: 'saved'; readonly id: number; readonly byteLength: number }
  | { readonly kind: 'failed'; readonly id: number; readonly detail: string };
