import { dtypes } from '../tensor/dtype';
import type { EncodingStep } from '../tensor/encoding';
import type { TensorInfo } from '../tensor/tensorInfo';
import type { Checkpoint } from './contract';
import { listNames } from './names';

type Part = Omit<TensorInfo, 'file'> & { readonly file?: number };

/**
 * `x_orig` and `x_mask`, as torch.nn.utils.prune leaves them, are the weight x under its mask. Pairs that lie in two files stay as they are.
 *
 * @returns the tensors in their order, and the names that were folded
 */
export function foldMasks<T extends Part>(tensors: readonly T[]): { readonly tensors: readonly T[]; readonly folded: readonly string[] } {
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor])), masks = new Set<string>(), folded: string[] = [];
  const kept = tensors.map((original): T => {
    if (!original.name.endsWith('_orig')) return original;
    const whole = original.name.slice(0, -'_orig'.length), mask = byName.get(`${whole}_mask`);
    if (!mask || byName.has(whole) || mask.shape.join() !== original.shape.join() || mask.file !== original.file) return original;
    const step: EncodingStep = { kind: 'masked', itemBytes: dtypes[original.dtype].bits / 8, mask: { from: mask.from, to: mask.to, steps: mask.encoding ?? [], itemBytes: dtypes[mask.dtype].bits / 8 } };
    masks.add(mask.name);
    folded.push(whole);
    // A tensor without steps is a slice of its file; with steps its bytes are decoded.
    return { ...original, name: whole, encoding: [...(original.encoding ?? []), step] };
  });
  return folded.length === 0 ? { tensors, folded } : { tensors: kept.filter(({ name }) => !masks.has(name)), folded };
}

/** The same for a whole checkpoint, with a remark; its copies are written with the masks applied. */
export function interpretMasks(checkpoint: Checkpoint): Checkpoint {
  const { tensors, folded } = foldMasks(checkpoint.tensors);
  if (folded.length === 0) return checkpoint;
  return { ...checkpoint, tensors, packing: checkpoint.packing ?? 'torch-masks', problems: [...checkpoint.problems, { code: 'mask-folded', where: { file: checkpoint.path }, detail: listNames([...folded]) }] };
}
