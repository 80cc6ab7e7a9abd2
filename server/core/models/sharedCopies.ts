import { formatOf } from '../formats/registry';
import { isRewritten, type WrittenAs } from '../formats/written';
import type { Model } from './contract';

/**
 * Copies that are names only: the config ties them to a tensor of which the source stores the bytes once (a `.bin` whose head
 * is its embedding). A safetensors file cannot hold one storage twice, and loaders tie them again, so a written copy
 * leaves them out, as transformers does when it saves, and names them in its metadata, as safetensors' save_model does.
 *
 * @returns the copy's name to the name that is kept
 */
export function sharedCopies(model: Model, as: WrittenAs = 'own'): ReadonlyMap<string, string> {
  const { checkpoint, architecture } = model, found = new Map<string, string>();
  if (architecture === null || !isRewritten(checkpoint, as) || formatOf(checkpoint.format).inPlace) return found;
  const byName = new Map(checkpoint.tensors.map((tensor) => [tensor.name, tensor]));
  const tiedByConfig = new Set(architecture.tied(checkpoint.config ?? {}).map(([, copy]) => copy));
  for (const [kept, ...copies] of model.tied) {
    const own = byName.get(kept);
    for (const copy of copies) {
      const other = byName.get(copy);
      const same = own && other && own.file === other.file && own.from === other.from && own.to === other.to && JSON.stringify(own.encoding) === JSON.stringify(other.encoding);
      if (same && tiedByConfig.has(copy)) found.set(copy, kept);
    }
  }
  return found;
}
