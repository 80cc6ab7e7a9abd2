import type { Checkpoint } from '../formats/contract';
import { findTied } from './tied';

/**
 * The tables that embed tokens and that score them, where the configuration ties the two. As in transformers: one that
 * is missing is the other; two that are equal byte for byte are one; two that differ are not tied after all.
 */
export function tiedTables(checkpoint: Checkpoint, embedding: string, head: string, tied: boolean): { readonly embedding: string; readonly head: string } {
  if (!tied) return { embedding, head };
  const stored = (name: string): boolean => checkpoint.tensors.some((tensor) => tensor.name === name);
  if (!stored(head)) return { embedding, head: embedding };
  if (!stored(embedding)) return { embedding: head, head };
  const one = findTied(checkpoint, [[embedding, head]]).groups.some((group) => group.includes(embedding) && group.includes(head));
  return { embedding, head: one ? embedding : head };
}
