import { openSource } from '../bytes/openSource';
import type { Checkpoint } from '../formats/contract';
import type { TensorInfo } from '../tensor/tensorInfo';

/** Bytes compared at a time. */
const STEP = 1 << 20;

/**
 * The tables that embed tokens and that score them, where the configuration ties the two. As in transformers: one that
 * is missing is the other; two that are equal byte for byte are one; two that differ are not tied after all.
 */
export function tiedTables(checkpoint: Checkpoint, embedding: string, head: string, tied: boolean): { readonly embedding: string; readonly head: string } {
  if (!tied) return { embedding, head };
  const [a, b] = [embedding, head].map((name) => checkpoint.tensors.find((tensor) => tensor.name === name));
  if (!b) return { embedding, head: embedding };
  if (!a) return { embedding: head, head };
  return sameBytes(checkpoint, a, b) ? { embedding, head: embedding } : { embedding, head };
}

function sameBytes(checkpoint: Checkpoint, a: TensorInfo, b: TensorInfo): boolean {
  if (a.dtype !== b.dtype || a.to - a.from !== b.to - b.from) return false;
  const sources = [a, b].map((tensor) => openSource(checkpoint.files[tensor.file], 'pread'));
  try {
    const [left, right] = [Buffer.alloc(STEP), Buffer.alloc(STEP)];
    for (let at = 0; at < a.to - a.from; at += STEP) {
      const bytes = Math.min(STEP, a.to - a.from - at);
      sources[0].read(a.from + at, a.from + at + bytes, left);
      sources[1].read(b.from + at, b.from + at + bytes, right);
      if (left.compare(right, 0, bytes, 0, bytes) !== 0) return false;
    }
    return true;
  } finally {
    for (const source of sources) source.close();
  }
}
