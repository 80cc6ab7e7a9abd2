/** Reads `*.winnow.yaml`: what to prune and measure, with every complaint on the exact key or value. Knows no LSP. */
import { isMap, isScalar, LineCounter, parseDocument, type Node, type Pair } from 'yaml';
import { nearest } from './nearest';
import { readAllocation, readCalibration, readLevel, readList, readNumber, readPattern, readSwitch, readText, readWhole, type Complain } from './recipeValues';

/** `calibration: {text, samples, length, oneShot}`; the text is `train`, `valid` or a file relative to the recipe. */
export interface RecipeCalibration { readonly text?: string; readonly samples?: number; readonly length?: number; readonly oneShot?: boolean }

/** A recipe as written, defaults filled in where they are the same for every model; null = the verb's own default. */
export interface Recipe {
  /** As written: relative to the recipe's folder, which is the default. */
  readonly checkpoint: string;
  readonly method: string;
  readonly scope: 'global' | 'tensor' | 'row' | null;
  /** `unstructured`, `2:4` or `16x16`. */
  readonly pattern: string;
  /** As the command line takes it: `uniform`, `owl`, or entries `GLOB=SPARSITY`; empty where nothing is written. */
  readonly allocation: readonly string[];
  readonly owl: { readonly m?: number; readonly lambda?: number; readonly published?: boolean };
  /** Numbers of methods, by key. */
  readonly parameters: Readonly<Record<string, number>>;
  /** What methods are calibrated on; what is not written is undefined. */
  readonly calibration: RecipeCalibration;
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  /** Fractions 0..1, as written, null for the verb's default. */
  readonly levels: readonly number[] | null;
  readonly benchmarks: readonly string[] | null;
  /** A text file instead of benchmarks, relative to the recipe. */
  readonly text: string | null;
  /** The field that holds a document, where the text is a JSON Lines file and the field is not `text`. */
  readonly field?: string;
  readonly protocol: string | null;
  readonly context: number | null;
  readonly stride: number | null;
  readonly limit: number | null;
  /** Compare predictions with the dense model's, token by token; missing: not. */
  readonly divergence?: boolean;
  readonly provider: string | null;
  readonly out: string | null;
  readonly seed: number;
}

/** One complaint. `from`/`to` are offsets into the text, `line` counts from 1. */
export interface RecipeDiagnostic {
  readonly severity: 'error' | 'warning';
  readonly message: string;
  readonly key: string | null;
  readonly from: number;
  readonly to: number;
  readonly line: number;
}

/** A level with the place it was written at. */
export interface LevelMark { readonly value: number; readonly from: number; readonly to: number; readonly line: number }

export interface ParsedRecipe {
  /** Null as soon as one diagnostic is an error: nothing is started from a half-understood recipe. */
  readonly recipe: Recipe | null;
  readonly diagnostics: readonly RecipeDiagnostic[];
  /** The levels that are sound, whatever else is wrong. */
  readonly levels: readonly LevelMark[];
}

/** Ids to check against; what is not given is not checked. */
export interface KnownIds {
  readonly methods?: readonly string[];
  readonly benchmarks?: readonly string[];
  readonly protocols?: readonly string[];
  readonly providers?: readonly string[];
  /** Numbers that methods take, each a key of its own, with the ids of those methods. */
  readonly parameters?: readonly { readonly name: string; readonly min: number; readonly max: number; readonly whole: boolean; readonly methods: readonly string[] }[];
}

/** Every key of a recipe, in the order in which the README shows them. */
export const recipeKeys = ['checkpoint', 'method', 'scope', 'pattern', 'allocation', 'owl-m', 'owl-lambda', 'owl-published', 'calibration', 'include', 'exclude', 'levels', 'sparsity', 'benchmarks', 'text', 'field', 'protocol', 'context', 'stride', 'limit', 'divergence', 'provider', 'out', 'seed'] as const;
type RecipeKey = (typeof recipeKeys)[number];

/** A recipe is a page, not a data set. */
export const MAX_RECIPE_CHARACTERS = 1 << 20;

/**
 * Parses a recipe. Never throws. `sparsity: 0.5` is read as `levels: [0.5]`; percent signs, quotes and decimal commas
 * are refused with the number that was meant.
 */
export function parseRecipe(text: string, known: KnownIds = {}): ParsedRecipe {
  const diagnostics: RecipeDiagnostic[] = [];
  const lines = new LineCounter();
  const at = (from: number, to: number, key: string | null, message: string, severity: 'error' | 'warning' = 'error'): void => {
    const start = Math.max(0, Math.min(from, text.length)), end = Math.max(start, Math.min(to, text.length));
    diagnostics.push({ severity, message, key, from: start, to: end, line: Math.max(1, lines.linePos(start).line) });
  };
  const refused = (): ParsedRecipe => ({ recipe: null, diagnostics, levels: [] });
  if (text.length > MAX_RECIPE_CHARACTERS) { at(0, 0, null, `A recipe has at most ${MAX_RECIPE_CHARACTERS} characters; this has ${text.length}.`); return refused(); }

  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true, merge: false });
  for (const error of document.errors) {
    const duplicate = error.code === 'DUPLICATE_KEY' ? keyAt(document.contents, error.pos[0]) : null;
    at(error.pos[0], duplicate ? error.pos[0] + duplicate.length : error.pos[1], duplicate,
      duplicate ? `${duplicate} is given twice; give each key once.` : `${tidy(error.message)}${error.code === 'TAB_AS_INDENT' ? ' (indent with blanks, not tabs)' : ''}`);
  }
  if (document.contents === null || (isScalar(document.contents) && document.contents.value === null)) {
    at(0, 0, null, 'The recipe is empty; it needs at least levels, such as levels: [0.5].');
    return refused();
  }
  if (!isMap(document.contents)) { if (diagnostics.length === 0) at(0, text.length, null, 'A recipe is a map of keys, such as levels: [0.5].'); return refused(); }

  const keys = [...recipeKeys, ...(known.parameters ?? []).map(({ name }) => name)];
  const nodes = new Map<string, Node>();
  const keyNodes = new Map<string, Node>();
  for (const pair of document.contents.items as Pair<Node, Node | null>[]) {
    const name = isScalar(pair.key) ? String(pair.key.value) : '';
    const [from, to] = pair.key?.range ?? [0, 0];
    if (!keys.includes(name)) {
      const meant = nearest(name, keys);
      // A number under an unknown key may be a method's, as long as nobody has said which there are.
      if (!known.parameters && !meant && /^[a-z][a-z-]+$/.test(name) && isScalar(pair.value) && typeof pair.value.value === 'number') continue;
      at(from, to, name, `Unknown key ${name || '(not text)'}${meant ? `; did you mean ${meant}?` : `; keys are ${keys.join(', ')}.`}`);
      continue;
    }
    const key = name;
    if (keyNodes.has(key)) continue;
    keyNodes.set(key, pair.key);
    if (pair.value === null || (isScalar(pair.value) && pair.value.value === null)) { at(from, to, key, `${key} has no value.`); continue; }
    nodes.set(key, pair.value);
  }

  const complainFor = (key: string): Complain => (node, message, severity) => {
    const range = node?.range ?? keyNodes.get(key)?.range ?? [0, 0];
    at(range[0], range[1], key, message, severity);
  };
  const read = <T>(key: string, reader: (node: Node, complain: Complain) => T | null): T | null => {
    const node = nodes.get(key);
    return node ? reader(node, complainFor(key)) : null;
  };
  const text1 = (key: RecipeKey): string | null => read(key, (node, complain) => readText(node, key, complain));
  const whole = (key: RecipeKey, least: number, most: number): number | null => read(key, (node, complain) => readWhole(node, key, least, most, complain));
  const texts = (key: RecipeKey): string[] | null => read(key, (node, complain) => readList(node, key, complain, (item) => readText(item, key, complain))?.items ?? null);
  const oneOf = (key: RecipeKey, value: string | null, ids: readonly string[] | undefined): void => {
    if (value === null || !ids || ids.includes(value)) return;
    const meant = nearest(value, ids);
    complainFor(key)(nodes.get(key) ?? null, `${key} takes ${ids.join(', ')}; ${value} is none of them${meant ? `: did you mean ${meant}?` : '.'}`);
  };

  const scope = text1('scope');
  oneOf('scope', scope, ['global', 'tensor', 'row']);
  const method = text1('method');
  oneOf('method', method, known.methods);
  const protocol = text1('protocol');
  oneOf('protocol', protocol, known.protocols);
  const provider = text1('provider');
  oneOf('provider', provider, known.providers && ['auto', ...known.providers]);
  const pattern = read('pattern', readPattern);

  const levels: LevelMark[] = [];
  const levelKey: RecipeKey = nodes.has('levels') ? 'levels' : 'sparsity';
  if (nodes.has('levels') && nodes.has('sparsity')) complainFor('sparsity')(keyNodes.get('sparsity') ?? null, 'Give levels or sparsity, not both.');
  read(levelKey, (node, complain) => {
    const list = readList(node, levelKey, complain, (item) => {
      const value = readLevel(item, levelKey, complain);
      if (value !== null) { const [from, to] = item.range ?? [0, 0]; levels.push({ value, from, to, line: lines.linePos(from).line }); }
      return value;
    });
    if (list && list.items.length === 0) complain(node, `${levelKey} is empty; it takes fractions from 0 to 1, such as 0.5.`);
    return list;
  });
  if (pattern?.includes(':')) {
    const [keep, of] = pattern.split(':').map(Number);
    const implied = 1 - keep / of;
    for (const level of levels) {
      if (level.value === 0 || Math.abs(level.value - implied) < 1e-9) continue;
      at(level.from, level.to, levelKey, `The pattern ${pattern} gives sparsity ${implied}; ${level.value} differs.`);
    }
  }

  const benchmarks = read('benchmarks', (node, complain) => readList(node, 'benchmarks', complain, (item) => {
    const id = readText(item, 'benchmarks', complain);
    if (id === null || !known.benchmarks || known.benchmarks.includes(id)) return id;
    const meant = nearest(id, known.benchmarks);
    complain(item, `Unknown benchmark ${id}${meant ? `; did you mean ${meant}?` : `; there are ${known.benchmarks.join(', ')}.`}`);
    return null;
  })?.items ?? null);
  const textFile = text1('text'), field = text1('field');
  if (field !== null && textFile === null) complainFor('field')(nodes.get('field') ?? null, 'field is of a text that is a JSON Lines file; give text: FILE.jsonl too.');
  if (nodes.has('text') && nodes.has('benchmarks')) complainFor('text')(keyNodes.get('text') ?? null, 'Give benchmarks or text, not both.');
  const divergence = read('divergence', (node, complain) => readSwitch(node, 'divergence', complain));
  const context = whole('context', 2, 1 << 24), stride = whole('stride', 1, 1 << 24);
  if (context !== null && stride !== null && stride > context) complainFor('stride')(nodes.get('stride') ?? null, `stride takes 1 to context (${context}); ${stride} would skip tokens.`);

  const allocation = read('allocation', readAllocation) ?? [];
  const number = (key: string, least: number, most: number, isWhole = false): number | null => read(key, (node, complain) => (isWhole ? readWhole(node, key, least, most, complain) : readNumber(node, key, least, most, complain)));
  const m = number('owl-m', Number.MIN_VALUE, Number.MAX_VALUE), lambda = number('owl-lambda', 0, 0.5), published = read('owl-published', (node, complain) => readSwitch(node, 'owl-published', complain));
  for (const key of ['owl-m', 'owl-lambda', 'owl-published'] as const) if (nodes.has(key) && allocation[0] !== 'owl') complainFor(key)(keyNodes.get(key) ?? null, `${key} goes with allocation: owl.`);
  const parameters: Record<string, number> = {};
  for (const { name, min, max, whole: isWhole, methods } of known.parameters ?? []) {
    const value = number(name, min, max, isWhole);
    if (value === null) continue;
    parameters[name] = value;
    if (!methods.includes(method ?? 'magnitude')) complainFor(name)(keyNodes.get(name) ?? null, `${name} is for ${methods.join(', ')}; ${method ?? 'magnitude'} does not take it.`);
  }

  const calibration = read('calibration', readCalibration) ?? {};

  const recipe: Recipe = {
    checkpoint: text1('checkpoint') ?? '.', method: method ?? 'magnitude', scope: scope as Recipe['scope'], pattern: pattern ?? 'unstructured',
    allocation, owl: { ...(m === null ? {} : { m }), ...(lambda === null ? {} : { lambda }), ...(published ? { published } : {}) }, parameters, calibration,
    include: texts('include') ?? [], exclude: texts('exclude') ?? [], levels: nodes.has('levels') || nodes.has('sparsity') ? levels.map((level) => level.value) : null,
    benchmarks, text: textFile, ...(field !== null && { field }), protocol, context, stride, limit: whole('limit', 1, 1 << 30), provider, ...(divergence !== null && { divergence }), out: text1('out'), seed: whole('seed', 0, 2 ** 32 - 1) ?? 0,
  };
  diagnostics.sort((a, b) => a.from - b.from);
  return { recipe: diagnostics.some((d) => d.severity === 'error') ? null : recipe, diagnostics, levels };
}

const tidy = (message: string): string => `${message.split('\n')[0].replace(/[\s.:]+$/, '')}.`;

/** Name of the key that starts at `offset`, null when none does. */
function keyAt(contents: unknown, offset: number): string | null {
  if (!isMap(contents)) return null;
  for (const pair of contents.items as Pair<Node, Node | null>[]) if (pair.key?.range?.[0] === offset && isScalar(pair.key)) return String(pair.key.value);
  return null;
}
