/** Reads the recipes of llm-compressor far enough to offer to prune: `*_stage: *_modifiers: SparseGPTModifier: {sparsity, ...}`. */
import { isMap, isScalar, LineCounter, parseDocument, type Node, type Pair, type YAMLMap } from 'yaml';
import { MAX_RECIPE_CHARACTERS, type LevelMark } from './recipe';

const MODIFIERS: Readonly<Record<string, string>> = { SparseGPTModifier: 'sparsegpt', WandaPruningModifier: 'wanda', MagnitudePruningModifier: 'magnitude', ConstantPruningModifier: 'magnitude' };
const READ_KEYS = new Set(['sparsity', 'mask_structure', 'targets', 'ignore', 'final_sparsity']);

export interface ModifierRecipe {
  /** One per modifier with a sparsity. `pattern` is `unstructured` or N:M. */
  readonly levels: readonly (LevelMark & { readonly modifier: string; readonly method: string; readonly pattern: string })[];
  /** What is in the recipe and not done by Winnow. `line` counts from 1. */
  readonly remarks: readonly { readonly message: string; readonly from: number; readonly to: number; readonly line: number }[];
}

const nameOf = (pair: Pair<Node, Node | null>): string => (isScalar(pair.key) ? String(pair.key.value) : '');
const pairsOf = (map: YAMLMap): Pair<Node, Node | null>[] => map.items as Pair<Node, Node | null>[];

/**
 * @param supported ids of the pruning methods there are; a modifier that asks for another is remarked on
 * @returns null when the text is no such recipe (or cannot be read at all)
 */
export function readModifierRecipe(text: string, supported: readonly string[] = ['magnitude']): ModifierRecipe | null {
  if (text.length > MAX_RECIPE_CHARACTERS || !/_modifiers\s*:/.test(text)) return null;
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, merge: false });
  if (document.errors.length > 0 || !isMap(document.contents)) return null;
  const levels: ModifierRecipe['levels'][number][] = [];
  const remarks: ModifierRecipe['remarks'][number][] = [];
  const remark = (node: Node | null, message: string): void => { const [from, to] = node?.range ?? [0, 0]; remarks.push({ message, from, to, line: lines.linePos(from).line }); };
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
        if (!method) { remark(modifier.key, `Winnow does not do ${name}; this part is left alone.`); continue; }
        if (!supported.includes(method)) { remark(modifier.key, `Winnow does not have ${method} yet; this part is left alone.`); continue; }
        if (!isMap(modifier.value)) continue;
        let pattern = 'unstructured', mark: LevelMark | null = null;
        for (const entry of pairsOf(modifier.value)) {
          const key = nameOf(entry), value = isScalar(entry.value) ? entry.value.value : null;
          if (!READ_KEYS.has(key)) remark(entry.key, `Winnow does not use ${key}.`);
          if (key === 'mask_structure' && typeof value === 'string' && /^\d+:\d+$/.test(value) && value !== '0:0') {
            // llm-compressor counts N of N:M as the zeros per group; Winnow's keep:of counts what stays.
            const [zeros, of] = value.split(':').map(Number);
            if (zeros > 0 && zeros < of) pattern = `${of - zeros}:${of}`;
          }
          if (key === 'targets' || key === 'ignore') remark(entry.key, `Winnow prunes its own prunable set; ${key} is not read yet.`);
          if ((key === 'sparsity' || key === 'final_sparsity') && entry.value) {
            const [from, to] = entry.value.range ?? [0, 0];
            if (typeof value === 'number' && value >= 0 && value <= 1) mark = { value, from, to, line: lines.linePos(from).line };
            else remark(entry.value, `${key} takes one fraction from 0 to 1.`);
          }
        }
        if (mark) levels.push({ ...mark, modifier: name, method, pattern });
      }
    }
  }
  return found ? { levels, remarks } : null;
}
