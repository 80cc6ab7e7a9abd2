/** CodeLenses of recipes and of a model's config.json: which line, which words, which command. Knows no LSP. */
import path from 'node:path';
import type { Recipe } from './recipe';
import { parseRecipe, type KnownIds } from './recipe';
import { percent } from './percent';
import { readModifierRecipe } from './modifierRecipe';
import type { DocumentKind } from './siblings';

/** What a lens hands to `winnow.prune`. */
export interface PruneArgument { readonly path: string; readonly sparsity: number; readonly flags: readonly string[] }
/** What a lens hands to `winnow.sweep`: a recipe is run as it is; a checkpoint is asked about first. */
export interface SweepArgument { readonly path: string; readonly recipe?: string }

export interface Lens {
  /** Line counted from 0, as editors do. */
  readonly line: number;
  readonly title: string;
  readonly command: 'winnow.inspect' | 'winnow.prune' | 'winnow.sweep';
  readonly argument: string | PruneArgument | SweepArgument;
}

/** The recipe's checkpoint as an absolute path. */
export const checkpointOf = (file: string, recipe: Pick<Recipe, 'checkpoint'>): string => path.resolve(path.dirname(file), recipe.checkpoint);

/** Flags of `winnow prune` that the recipe implies, less the sparsity; files are relative to `folder`, the recipe's. */
export function pruneFlags(recipe: Recipe, folder: string): string[] {
  const flags: string[] = [];
  if (recipe.method !== 'magnitude') flags.push('--method', recipe.method);
  if (recipe.scope) flags.push('--scope', recipe.scope);
  if (recipe.pattern !== 'unstructured') flags.push('--pattern', recipe.pattern);
  if (recipe.allocation.length > 0 && recipe.allocation[0] !== 'uniform') flags.push('--allocation', ...recipe.allocation);
  if (recipe.owl.m !== undefined) flags.push('--owl-m', String(recipe.owl.m));
  if (recipe.owl.lambda !== undefined) flags.push('--owl-lambda', String(recipe.owl.lambda));
  if (recipe.owl.published) flags.push('--owl-published');
  for (const [name, value] of Object.entries(recipe.parameters)) flags.push(`--${name}`, String(value));
  const { text, samples, length, oneShot } = recipe.calibration;
  if (text !== undefined) flags.push('--calibration', text === 'train' || text === 'valid' ? text : path.resolve(folder, text));
  if (samples !== undefined) flags.push('--calibration-samples', String(samples));
  if (length !== undefined) flags.push('--calibration-length', String(length));
  if (oneShot) flags.push('--one-shot');
  if (recipe.include.length > 0) flags.push('--include', ...recipe.include);
  if (recipe.exclude.length > 0) flags.push('--exclude', ...recipe.exclude);
  if (recipe.seed !== 0) flags.push('--seed', String(recipe.seed));
  return flags;
}

/** Lenses of one document, top first. A recipe with an error offers only to inspect: nothing starts from half a plan. */
export function lensesOf(file: string, kind: DocumentKind, text: string, known: KnownIds = {}): Lens[] {
  const folder = path.dirname(file);
  if (kind === 'config') {
    if (!looksLikeObject(text)) return [];
    return [
      { line: 0, title: 'Inspect', command: 'winnow.inspect', argument: folder },
      { line: 0, title: `Prune to ${percent(0.5)}`, command: 'winnow.prune', argument: { path: folder, sparsity: 0.5, flags: [] } },
      { line: 0, title: 'Sweep', command: 'winnow.sweep', argument: { path: folder } },
    ];
  }
  const modifiers = readModifierRecipe(text, known.methods);
  if (modifiers) return modifiers.levels.map((level) => ({
    line: level.line - 1, title: `Prune to ${percent(level.value)}`, command: 'winnow.prune',
    argument: { path: folder, sparsity: level.value, flags: level.flags },
  }));
  if (kind !== 'recipe') return [];
  const { recipe, levels } = parseRecipe(text, known);
  if (!recipe) return [];
  const checkpoint = checkpointOf(file, recipe), flags = pruneFlags(recipe, folder);
  return [
    { line: 0, title: 'Run sweep', command: 'winnow.sweep', argument: { path: checkpoint, recipe: file } },
    { line: 0, title: 'Inspect', command: 'winnow.inspect', argument: checkpoint },
    // Nothing is pruned at 0: that is the baseline of a sweep.
    ...levels.filter((level) => level.value > 0).map((level): Lens => ({ line: level.line - 1, title: `Prune to ${percent(level.value)}`, command: 'winnow.prune', argument: { path: checkpoint, sparsity: level.value, flags } })),
  ];
}

const looksLikeObject = (text: string): boolean => /^\s*\{/.test(text);
