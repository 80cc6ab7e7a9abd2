import path from 'node:path';
import type { Checkpoint } from '../../../server/core/formats/contract';
import type { WindowBatch } from '../../../server/core/runtime/contract';
import { smallCheckpoint, wholeWindow } from './smallCheckpoint';

export interface Case { readonly name: string; readonly weights: readonly string[]; readonly config: Record<string, unknown>; readonly ids: readonly number[]; readonly encoderIds?: readonly number[]; readonly decoder?: 'emd' | 'plain' }
export interface Family { readonly kind: 'decoder' | 'encoder' | 'encoder-decoder'; readonly cases: readonly Case[] }

/** Small random models of every family, with what transformers makes of them. */
export const golden = path.resolve(import.meta.dirname, '../../golden/graph/families');
const ints = (values: readonly number[]): BigInt64Array => BigInt64Array.from(values, BigInt);

/** The tensors of one variant, out of the family's one file. */
export function familyCheckpoint(family: string, { weights, config }: Case): Checkpoint {
  const all = smallCheckpoint(golden, `${family}.safetensors`, config);
  const tensors = all.tensors.flatMap((tensor) => {
    const slash = tensor.name.indexOf('/');
    return weights.includes(tensor.name.slice(0, slash)) ? [{ ...tensor, name: tensor.name.slice(slash + 1) }] : [];
  });
  return { ...all, tensors };
}

/** The window that the golden losses are of. */
export function familyWindow(kind: Family['kind'], { ids, encoderIds }: Case): WindowBatch {
  if (kind === 'encoder') return { inputIds: ints(ids), batch: 1, length: ids.length, positions: ints(ids.map((_, i) => i)), targets: ints(ids) };
  return { ...wholeWindow(ids), ...(encoderIds && { encoder: { ids: ints(encoderIds), length: encoderIds.length } }) };
}
