import { CheckpointError } from '../errors';
import type { Problem } from '../errors';
import { formatOf } from '../formats/registry';
import type { Model, TensorRole } from '../models/contract';
import { dtypes } from '../tensor/dtype';
import type { DType } from '../tensor/dtype';
import { compareCodePoints } from '../tensor/tensorInfo';
import type { TensorInfo } from '../tensor/tensorInfo';
import type { PruneRequest } from './contract';
import { globMatcher } from './glob';

/** Floats that have a zero to write (the scale type E8M0 has none). */
const isPrunableDType = (dtype: DType): boolean => dtypes[dtype].kind === 'float' && dtype !== 'F8_E8M0';

/** A tensor that competes, and every stored copy of it. */
export interface ScopeTensor {
  readonly info: TensorInfo;
  readonly role: TensorRole;
}

export interface PruneScope {
  /** In tie order: names by code point. One per parameter: the kept name of a tied group. */
  readonly tensors: readonly ScopeTensor[];
  readonly problems: readonly Problem[];
}

/** Names of every stored copy of each parameter that has more than one, by each of its names. */
export function copiesOf(model: Model): ReadonlyMap<string, readonly string[]> {
  const copies = new Map<string, readonly string[]>();
  for (const group of model.tied) for (const name of group) copies.set(name, group);
  return copies;
}

/** Values of an ONNX file that are no plain bytes of it: half floats in `int32_data`, floats in pieces. */
const isWrittenOut = ({ checkpoint }: Model, { encoding }: TensorInfo): boolean => formatOf(checkpoint.format).inPlace === true && encoding?.some((step) => step.kind === 'protobuf') === true;

/**
 * Which tensors compete: the prunable ones, those that an `include` glob names, less those that an `exclude` glob names.
 * A glob that names one copy of a tied group means the group.
 *
 * @throws CheckpointError `no-match` for a glob that names nothing, `unsupported-dtype` for an included tensor that is not
 *   a float this version prunes or whose values cannot be changed in place, `nothing-in-scope`
 */
export function pruneScope(model: Model, request: Pick<PruneRequest, 'include' | 'exclude'>): PruneScope {
  const { tensors } = model.checkpoint;
  const place = { file: model.checkpoint.path };
  const copies = copiesOf(model);
  const byName = new Map(tensors.map((info, i) => [info.name, { info, role: model.roles[i] }]));
  const namesOf = (name: string): readonly string[] => copies.get(name) ?? [name];

  function named(globs: readonly string[], flag: string): Set<string> {
    const found = new Set<string>();
    for (const glob of globs) {
      const matches = globMatcher(glob);
      let any = false;
      for (const { name } of tensors) if (matches(name)) { any = true; for (const copy of namesOf(name)) found.add(copy); }
      if (!any) throw new CheckpointError('no-match', { ...place, key: glob }, `${flag} ${glob} names none of ${tensors.length} tensors`);
    }
    return found;
  }
  const included = named(request.include, '--include'), excluded = named(request.exclude, '--exclude');

  const chosen: ScopeTensor[] = [], problems: Problem[] = [];
  for (const tensor of byName.values()) {
    const { name, dtype } = tensor.info;
    if (excluded.has(name)) continue;
    // The first stored name of a group stands for it; the config may tie a name that is not stored.
    if (namesOf(name).find((copy) => byName.has(copy)) !== name) continue;
    const asked = included.has(name);
    if (!asked && !tensor.role.prunable) continue;
    if (tensor.info.special !== undefined) {
      if (asked) throw new CheckpointError('unsupported-dtype', { ...place, tensor: name }, `it is ${tensor.info.special} (${tensor.info.storedDtype ?? dtype})`);
      continue;
    }
    if (isWrittenOut(model, tensor.info)) {
      throw new CheckpointError('unsupported-dtype', { ...place, tensor: name }, `its ${dtype} values stand in the graph as a list of numbers, which cannot be changed in place; convert the checkpoint to safetensors and prune that copy, or save the model again with raw_data`);
    }
    if (isPrunableDType(dtype)) chosen.push(tensor);
    else if (asked) throw new CheckpointError('unsupported-dtype', { ...place, tensor: name }, `${dtype} cannot be pruned by magnitude`);
    else if (dtypes[dtype].kind === 'float') problems.push({ code: 'unsupported-dtype', where: { ...place, tensor: name }, detail: `${dtype} is left alone` });
  }
  if (chosen.length === 0) throw new CheckpointError('nothing-in-scope', place, `none of ${tensors.length} tensors is prunable`);
  chosen.sort((a, b) => compareCodePoints(a.info.name, b.info.name));
  return { tensors: chosen, problems };
}
