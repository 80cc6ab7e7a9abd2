import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import type { Checkpoint } from '../../../server/core/formats/contract';
import type { WindowBatch } from '../../../server/core/runtime/contract';
import { golden } from '../runtime/fixture';
import { smallCheckpoint, wholeWindow } from './smallCheckpoint';

/** One variant of one architecture: its configuration, which tensors of the family's file it has, and the window that transformers scored. */
export interface Case { readonly name: string; readonly weights: readonly string[]; readonly config: Record<string, unknown>; readonly ids: readonly number[]; readonly encoderIds?: readonly number[]; readonly decoder?: 'emd' | 'plain' }
export interface Family { readonly kind: 'decoder' | 'encoder' | 'encoder-decoder'; readonly cases: readonly Case[] }

export const familyFolder = path.join(golden, 'families');

/** Names of the families that have golden files. */
export const familyNames: readonly string[] = readdirSync(familyFolder).filter((name) => name.endsWith('.json')).map((name) => path.basename(name, '.json'));

export const readFamily = (name: string): Family => JSON.parse(readFileSync(path.join(familyFolder, `${name}.json`), 'utf8')) as Family;

/** The tensors of one variant, out of the family's one file. */
export function openCase(family: string, { weights, config }: Case): Checkpoint {
  const all = smallCheckpoint(familyFolder, `${family}.safetensors`, config);
  const tensors = all.tensors.flatMap((tensor) => {
    const slash = tensor.name.indexOf('/');
    return weights.includes(tensor.name.slice(0, slash)) ? [{ ...tensor, name: tensor.name.slice(slash + 1) }] : [];
  });
  return { ...all, tensors };
}

const ints = (values: readonly number[]): BigInt64Array => BigInt64Array.from(values, BigInt);

/** The window of a case: every token of an encoder scored where it stands, every token but the first of a decoder. */
export function windowOf(kind: Family['kind'], { ids, encoderIds }: Case): WindowBatch {
  if (kind === 'encoder') return { inputIds: ints(ids), batch: 1, length: ids.length, positions: ints(ids.map((_, i) => i)), targets: ints(ids) };
  return { ...wholeWindow(ids), ...(encoderIds && { encoder: { ids: ints(encoderIds), length: encoderIds.length } }) };
}

/** The same window twice, to see that windows of a batch do not see each other. */
export const twice = (one: WindowBatch): WindowBatch => {
  const double = (values: BigInt64Array): BigInt64Array => BigInt64Array.of(...values, ...values);
  return { batch: 2, length: one.length, inputIds: double(one.inputIds), positions: double(one.positions), targets: double(one.targets), ...(one.encoder && { encoder: { ids: double(one.encoder.ids), length: one.encoder.length } }) };
};

/** Entries of the vocabulary, of the text part where there are several. */
export const vocabOf = ({ config }: Case): number => Number(config.vocab_size ?? (config.text_config as Case['config']).vocab_size);

/** The longest row of tokens of a case, for the graph's context. */
export const contextOf = ({ ids, encoderIds }: Case): number => Math.max(ids.length, encoderIds?.length ?? 0);

/** The largest |a - b| / max(1, |b|). */
export const relativeDifference = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Array.from(a).reduce((worst, x, i) => Math.max(worst, Number.isFinite(x) ? Math.abs(x - b[i]) / Math.max(1, Math.abs(b[i])) : Infinity), 0);
