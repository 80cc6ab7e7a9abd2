import type { Problem } from '../../errors';
import type { Checkpoint } from '../contract';

/** What is in front of, or between, the names that a model gives its own tensors. */
export interface Wrapping { readonly name: (stored: string) => string; /** The wrappers that were found, outermost first. */ readonly found: readonly string[] }

/** torch.compile puts it where the compiled module is, at the front or further in. */
const COMPILED = '_orig_mod.';

/** Beginnings that transformers gives whole models: what follows a `model.` of a trainer (Lightning). OPT's own `model.decoder.` is not among them. */
const WHOLE_MODEL = /^(?:model|lm_head|bert|roberta|deberta|albert|distilbert|electra|gpt_neox|cls|lm_predictions)\.|^transformer\.(?:h|wte|wpe|word_embeddings)\.|^(?:en|de)coder\.block\./;

/**
 * What wraps the names: `module.` (DataParallel and DDP) and `model.` (a trainer's) in front of all of them, `_orig_mod.`
 * (torch.compile) anywhere. None where two names would become one.
 */
export function findWrapping(names: readonly string[]): Wrapping {
  const found: string[] = [];
  let bare = names;
  const all = (prefix: string): boolean => bare.length > 0 && bare.every((name) => name.startsWith(prefix) && name.length > prefix.length);
  for (let again = true; again;) {
    again = false;
    const prefix = all('module.') ? 'module.' : all('model.') && bare.some((name) => WHOLE_MODEL.test(name.slice('model.'.length))) ? 'model.' : null;
    // No trainer wraps deeper; names may.
    if (prefix !== null && found.length < 6) {
      found.push(prefix);
      bare = bare.map((name) => name.slice(prefix.length));
      again = true;
    }
    if (bare.some((name) => name.startsWith(COMPILED) || name.includes(`.${COMPILED}`)) && !found.includes(COMPILED)) {
      found.push(COMPILED);
      bare = bare.map(withoutCompiled);
      again = true;
    }
  }
  if (found.length === 0 || bare.some((name) => name === '') || new Set(bare).size !== names.length) return { name: (stored) => stored, found: [] };
  const map = new Map(names.map((name, i) => [name, bare[i]]));
  return { name: (stored) => map.get(stored) ?? stored, found };
}

const withoutCompiled = (name: string): string => {
  const parts = name.split('.');
  return parts.filter((part, i) => part !== '_orig_mod' || i === parts.length - 1).join('.');
};

/** The checkpoint with the names that its model uses; what the file says stays in `storedName`, and a remark says what was taken away. */
export function unwrapNames(checkpoint: Checkpoint): Checkpoint {
  const { name, found } = findWrapping(checkpoint.tensors.map((tensor) => tensor.name));
  if (found.length === 0) return checkpoint;
  const problem: Problem = { code: 'prefix-removed', where: { file: checkpoint.path }, detail: found.map((one) => `${one} (${MAKERS[one]})`).join(', ') };
  const tensors = checkpoint.tensors.map((tensor) => (name(tensor.name) === tensor.name ? tensor : { ...tensor, name: name(tensor.name), storedName: tensor.name }));
  return { ...checkpoint, tensors, problems: [...checkpoint.problems, problem] };
}

const MAKERS: Readonly<Record<string, string>> = { 'module.': 'DataParallel or DDP', 'model.': 'a trainer', [COMPILED]: 'torch.compile' };
