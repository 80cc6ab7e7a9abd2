import type { Model } from './contract';

/**
 * Which stored tensors make up the `parameters` set: tied or aliased tensors once (the kept one), buffers not at all.
 *
 * @returns one flag a tensor, same order as `model.checkpoint.tensors`
 */
export function countedAsParameters(model: Model): readonly boolean[] {
  const copies = new Set(model.tied.flatMap((group) => group.slice(1)));
  return model.checkpoint.tensors.map((tensor, i) => model.roles[i].parameter && !copies.has(tensor.name));
}

/** Which stored tensors make up the prunable set: prunable by role, and not a tied copy of one that is counted already. */
export function countedAsPrunable(model: Model): readonly boolean[] {
  const counted = countedAsParameters(model);
  return model.roles.map((role, i) => counted[i] && role.prunable);
}
