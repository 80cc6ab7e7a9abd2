/**
 * Reads the recipes of llm-compressor (checked against its 0.14) far enough to prune alike: `*_stage: *_modifiers: SparseGPTModifier:
 * {sparsity, ...}`. What becomes a flag of `winnow prune` is listed in `fields`; what cannot is said on its line.
 */
import { isMap, isScalar, isSeq, LineCounter, parseDocument, type Node, type Pair, type YAMLMap } from 'yaml';
import { excludesOf, namesEveryLayer } from './modifierTargets';
import { MAX_RECIPE_CHARACTERS, type LevelMark } from './recipe';

const MODIFIERS: Readonly<Record<string, string>> = { SparseGPTModifier: 'sparsegpt', WandaPruningModifier: 'wanda', MagnitudePruningModifier: 'magnitude' };

export interface ModifierLevel extends LevelMark {
  readonly modifier: string;
  readonly method: string;
  /** `unstructured` or N:M that keeps N. */
  readonly pattern: string;
  /** What `winnow prune` takes besides the sparsity: method, pattern, scope, allocation, numbers, globs. */
  readonly flags: readonly string[];
}

export interface ModifierRecipe {
  /** One per modifier with a sparsity. */
  readonly levels: readonly ModifierLevel[];
  /** What is in the recipe and not done by Winnow. `line` counts from 1. */
  readonly remarks: readonly { readonly message: string; readonly from: number; readonly to: number; readonly line: number }[];
}

type Remark = (node: Node | null, message: string) => void;
const nameOf = (pair: Pair<Node, Node | null>): string => (isScalar(pair.key) ? String(pair.key.value) : '');
const pairsOf = (map: YAMLMap): Pair<Node, Node | null>[] => map.items as Pair<Node, Node | null>[];
const valueOf = (node: Node | null): unknown => (isScalar(node) ? node.value : null);

/** What has been understood of one modifier. */
interface Draft {
  level: { value: number; node: Node } | null;
  pattern: string;
  scope: string | null;
  profile: Node | null;
  owl: { m: number | null; lambda: number | null };
  numbers: string[];
  exclude: string[];
}
interface Entry { readonly key: Node; readonly value: Node | null; readonly draft: Draft; readonly remark: Remark }
type Field = (entry: Entry) => void;

/** Says nothing: it holds here as well, or changes nothing that is written. */
const agrees: Field = () => {};
const unless = (holds: (value: unknown) => boolean, message: string): Field => ({ key, value, remark }) => { if (!holds(valueOf(value))) remark(key, message); };
const never = (message: string): Field => ({ key, remark }) => remark(key, message);

const level: Field = ({ key, value, draft, remark }) => {
  const read = valueOf(value);
  if (typeof read === 'number' && read >= 0 && read <= 1) draft.level = { value: read, node: value! };
  else if (isSeq(value)) remark(value, 'One sparsity for each layer is not read; Winnow takes one here, or an allocation table in a recipe of its own.');
  else remark(value ?? key, `${nameText(key)} takes one fraction from 0 to 1.`);
};
const nameText = (key: Node): string => (isScalar(key) ? String(key.value) : 'this');

/** llm-compressor counts N of N:M as the zeros of a group; Winnow's keep:of counts what stays. */
const structure: Field = ({ value, draft, remark }) => {
  const text = valueOf(value);
  if (text === '0:0' || text === 'unstructured') return;
  const [zeros, of] = (/^(\d+):(\d+)$/.exec(typeof text === 'string' ? text : '') ?? []).slice(1).map(Number);
  if (zeros > 0 && zeros < of) draft.pattern = `${of - zeros}:${of}`;
  else remark(value, `Winnow has no mask structure ${String(text)}: it takes unstructured, 0:0 and N:M.`);
};

const number = (flag: string, most: number): Field => ({ key, value, draft, remark }) => {
  const read = valueOf(value);
  if (typeof read === 'number' && read >= 0 && read <= most) draft.numbers.push(`--${flag}`, String(read));
  else if (read !== null) remark(value ?? key, `${nameText(key)} takes a number from 0 to ${most}.`);
};
const owl = (which: 'm' | 'lambda'): Field => ({ key, value, draft, remark }) => {
  const read = valueOf(value);
  if (typeof read === 'number' && read > 0) draft.owl[which] = read;
  else if (read !== null) remark(value ?? key, `${nameText(key)} takes a number above 0.`);
};

const targets: Field = ({ value, remark }) => {
  const items = (isSeq(value) ? value.items : [value]) as (Node | null)[];
  const other = items.find((item) => !namesEveryLayer(valueOf(item)));
  if (other) remark(other, `Winnow prunes its own prunable set (attention and MLP matrices) and does not narrow it to ${String(valueOf(other))}; use exclude in a recipe of Winnow's.`);
};
const ignore: Field = ({ value, draft, remark }) => {
  for (const item of (isSeq(value) ? value.items : [value]) as (Node | null)[]) {
    const globs = excludesOf(valueOf(item));
    if (globs === null) remark(item, `Winnow cannot turn ${String(valueOf(item))} into a glob; name what to leave alone with exclude in a recipe of its own.`);
    else draft.exclude.push(...globs);
  }
};

const ONCE = 'Winnow prunes once, to the end of a schedule: there are no steps.';
const common: Readonly<Record<string, Field>> = { targets, ignore, mask_structure: structure, index: agrees, group: agrees, start: never(ONCE), end: never(ONCE), update: never(ONCE) };
const layerwise: Readonly<Record<string, Field>> = {
  ...common, sparsity: level, owl_m: owl('m'), owl_lmbda: owl('lambda'),
  sparsity_profile: ({ value, draft, remark }) => { if (typeof valueOf(value) === 'string' && String(valueOf(value)).toLowerCase() === 'owl') draft.profile = value; else if (valueOf(value) !== null) remark(value, 'The only sparsity profile is owl.'); },
  sequential_update: unless((value) => value !== false, 'Blocks always see what pruning the blocks before them made of their inputs, as in llm-compressor today; --one-shot is the other way.'),
  sequential_targets: never('Winnow goes block by block, whatever the targets are called.'),
};
const fields: Readonly<Record<string, Readonly<Record<string, Field>>>> = {
  SparseGPTModifier: {
    ...layerwise, block_size: number('block-size', 1024), dampening_frac: number('damping', 1), offload_hessians: agrees,
    preserve_sparsity_mask: unless((value) => value !== true, 'Weights that are zero already may get a value again from the weight update; Winnow never ends with fewer zeros, but keeps no mask.'),
  },
  WandaPruningModifier: layerwise,
  MagnitudePruningModifier: {
    ...common, final_sparsity: level, leave_enabled: agrees,
    init_sparsity: never(ONCE), update_scheduler: never(ONCE), scheduler_args: never(ONCE),
    apply_globally: ({ value, draft }) => { draft.scope = valueOf(value) === true ? 'global' : 'tensor'; },
  },
};

/**
 * @param supported ids of the pruning methods there are; a modifier that asks for another is remarked on, and still read
 * @returns null when the text is no such recipe (or cannot be read at all)
 */
export function readModifierRecipe(text: string, supported?: readonly string[]): ModifierRecipe | null {
  if (!isModifierRecipe(text)) return null;
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, merge: false });
  if (document.errors.length > 0 || !isMap(document.contents)) return null;
  const levels: ModifierLevel[] = [], remarks: ModifierRecipe['remarks'][number][] = [];
  const remark: Remark = (node, message) => { const [from, to] = node?.range ?? [0, 0]; remarks.push({ message, from, to, line: lines.linePos(from).line }); };
  let found = false;
  for (const stage of pairsOf(document.contents)) {
    if (!isMap(stage.value)) continue;
    // A stage holds groups of modifiers; a short recipe has the group at the top.
    const groups = nameOf(stage).endsWith('_modifiers') ? [stage] : pairsOf(stage.value).filter((pair) => nameOf(pair).endsWith('_modifiers'));
    for (const group of groups) {
      if (!isMap(group.value)) continue;
      for (const modifier of pairsOf(group.value)) {
        found = true;
        const name = nameOf(modifier), method = MODIFIERS[name];
        if (name === 'ConstantPruningModifier') { remark(modifier.key, 'Nothing is pruned here: it holds zeros while training. Winnow writes masks (--masks) that do the same in PyTorch, see docs/masks.md.'); continue; }
        if (!method) { remark(modifier.key, `Winnow does not do ${name}; this part is left alone.`); continue; }
        if (supported && !supported.includes(method)) remark(modifier.key, `This Winnow has no method ${method}.`);
        if (!isMap(modifier.value)) continue;
        const read = readModifier(name, method, modifier.value, remark);
        if (read) { const [from, to] = read.node.range ?? [0, 0]; levels.push({ ...read.level, from, to, line: lines.linePos(from).line }); }
      }
    }
  }
  return found ? { levels, remarks } : null;
}

/** Cheap: whether it is worth parsing. */
export const isModifierRecipe = (text: string): boolean => text.length <= MAX_RECIPE_CHARACTERS && /_modifiers\s*:/.test(text);

function readModifier(modifier: string, method: string, map: YAMLMap, remark: Remark): { readonly node: Node; readonly level: Omit<ModifierLevel, 'from' | 'to' | 'line'> } | null {
  const draft: Draft = { level: null, pattern: 'unstructured', scope: method === 'magnitude' ? 'tensor' : null, profile: null, owl: { m: null, lambda: null }, numbers: [], exclude: [] };
  for (const entry of pairsOf(map)) {
    const field = fields[modifier][nameOf(entry)];
    if (field) field({ key: entry.key, value: entry.value, draft, remark });
    else remark(entry.key, `Winnow does not use ${nameOf(entry)}.`);
  }
  const { m, lambda } = draft.owl;
  if ((draft.profile !== null || m !== null || lambda !== null) && (draft.profile === null || m === null || lambda === null)) remark(draft.profile ?? map, 'sparsity_profile: owl, owl_m and owl_lmbda go together; without all three, sparsity is the same everywhere.');
  if (!draft.level) return null;
  const { node } = draft.level, [keep, of] = draft.pattern.split(':').map(Number), implied = draft.pattern === 'unstructured' ? null : 1 - keep / of;
  if (implied !== null && Math.abs(implied - draft.level.value) > 1e-9) remark(node, `The mask structure decides: ${of - keep} of every ${of} become zero, a sparsity of ${implied}.`);
  const allocation = draft.profile !== null && m !== null && lambda !== null && implied === null
    // llm-compressor's mean over layers is the paper's unweighted one.
    ? ['--allocation', 'owl', '--owl-m', String(m), '--owl-lambda', String(lambda), '--owl-published'] : [];
  const flags = [
    ...(method === 'magnitude' ? [] : ['--method', method]), ...(draft.scope !== null && implied === null ? ['--scope', draft.scope] : []), ...(implied === null ? [] : ['--pattern', draft.pattern]),
    ...allocation, ...draft.numbers, ...(draft.exclude.length > 0 ? ['--exclude', ...draft.exclude] : []),
  ];
  return { node, level: { value: implied ?? draft.level.value, modifier, method, pattern: draft.pattern, flags } };
}
