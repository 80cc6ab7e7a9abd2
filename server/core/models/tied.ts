import { openTensor } from '../bytes/decodedSource';
import type { Problem } from '../errors';
import type { Checkpoint } from '../formats/contract';
import { valueBytes, type TensorInfo } from '../tensor/tensorInfo';

/** Two of these are held while two tensors are compared. */
const WINDOW_BYTES = 4 * 2 ** 20;

/**
 * Groups of stored tensors that are one parameter: the same storage, or tied by the config and equal byte for byte.
 *
 * @param pairs names that the config ties, the kept one first; pairs that are not both stored are passed over
 * @returns groups with the kept name first, and a remark for each pair that the config ties but the bytes do not
 */
export function findTied(checkpoint: Checkpoint, pairs: readonly (readonly [string, string])[]): { readonly groups: readonly (readonly string[])[]; readonly problems: readonly Problem[] } {
  const byName = new Map(checkpoint.tensors.map((tensor) => [tensor.name, tensor]));
  const groups = new Map<string, string[]>();
  const keptBy = new Map<string, string>();
  const join = (kept: string, copy: string): void => {
    const root = keptBy.get(kept) ?? kept;
    if (root === copy || keptBy.has(copy)) return;
    const members = [copy, ...(groups.get(copy) ?? []).slice(1)];
    groups.delete(copy);
    groups.set(root, [...(groups.get(root) ?? [root]), ...members]);
    for (const member of members) keptBy.set(member, root);
  };

  const problems: Problem[] = [];
  for (const [kept, copy] of pairs) {
    const a = byName.get(kept), b = byName.get(copy);
    if (!a || !b) continue;
    const difference = whyDifferent(checkpoint, a, b);
    if (difference === null) join(kept, copy);
    else problems.push({ code: 'tied-differ', where: { file: checkpoint.files[b.file].path, tensor: copy }, detail: `tied to ${kept} by the config, but ${difference}` });
  }
  const byStorage = new Map<string, string>();
  for (const tensor of checkpoint.tensors) {
    if (tensor.elements === 0) continue;
    const place = `${tensor.file}:${tensor.from}:${tensor.to}:${tensor.dtype}:${tensor.shape.join()}:${tensor.encoding ? JSON.stringify(tensor.encoding) : ''}`;
    const first = byStorage.get(place);
    if (first === undefined) byStorage.set(place, tensor.name);
    else join(first, tensor.name);
  }
  return { groups: [...groups.values()], problems };
}

/** Null when the two are the same bytes of the same type and shape. */
function whyDifferent(checkpoint: Checkpoint, a: TensorInfo, b: TensorInfo): string | null {
  if (a.dtype !== b.dtype) return `one is ${a.dtype}, the other ${b.dtype}`;
  if (a.shape.join() !== b.shape.join()) return `one is [${a.shape.join(', ')}], the other [${b.shape.join(', ')}]`;
  if (a.file === b.file && a.from === b.from && JSON.stringify(a.encoding) === JSON.stringify(b.encoding)) return null;
  const left = openTensor(checkpoint.files[a.file], a, 'pread'), right = openTensor(checkpoint.files[b.file], b, 'pread');
  try {
    const size = valueBytes(a);
    const mine = Buffer.alloc(Math.min(WINDOW_BYTES, size)), other = Buffer.alloc(mine.length);
    for (let at = 0; at < size; at += mine.length) {
      const length = Math.min(mine.length, size - at);
      left.read(at, at + length, mine);
      right.read(at, at + length, other);
      if (mine.compare(other, 0, length, 0, length) !== 0) return 'their bytes differ';
    }
    return null;
  } finally {
    left.close();
    right.close();
  }
}
