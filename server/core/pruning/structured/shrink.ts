import type { Checkpoint } from '../../formats/contract';
import { dtypes } from '../../tensor/dtype';
import type { EncodingStep } from '../../tensor/encoding';
import type { TensorInfo } from '../../tensor/tensorInfo';
import { unitOfPlace } from './scoreUnits';
import type { UnitPart } from './units';

/** A part of a tensor and which of its units stay. */
export interface KeptPart { readonly part: UnitPart; readonly units: number; readonly kept: readonly number[] }

/** The tensor as its kept places of one axis: another shape, read through one more step. Nothing is copied. */
export function shrinkTensor(info: TensorInfo, axis: number, kept: Uint32Array): TensorInfo {
  const product = (sizes: readonly number[]): number => sizes.reduce((all, size) => all * size, 1);
  const step: EncodingStep = { kind: 'select', itemBytes: dtypes[info.dtype].bits / 8, outer: product(info.shape.slice(0, axis)), length: info.shape[axis], inner: product(info.shape.slice(axis + 1)), kept };
  const shape = info.shape.map((size, i) => (i === axis ? kept.length : size));
  return { ...info, shape, elements: product(shape), encoding: [...(info.encoding ?? []), step] };
}

/** The checkpoint with every part cut down to its kept units and other counts in its configuration. Tensors without a part stay as they are. */
export function shrinkUnits(checkpoint: Checkpoint, parts: readonly KeptPart[], config: Readonly<Record<string, unknown>>): Checkpoint {
  const byName = new Map<string, KeptPart[]>();
  for (const one of parts) byName.set(one.part.info.name, [...(byName.get(one.part.info.name) ?? []), one]);
  const tensors = checkpoint.tensors.map((info) => (byName.get(info.name) ?? []).reduce((shrunk, { part, units, kept }) => {
    const stays = new Set(kept), owner = unitOfPlace(part, units);
    return shrinkTensor(shrunk, part.axis, Uint32Array.from([...owner.keys()].filter((place) => owner[place] < 0 || stays.has(owner[place]))));
  }, info));
  return { ...checkpoint, tensors, config: { ...checkpoint.config, ...config } };
}
