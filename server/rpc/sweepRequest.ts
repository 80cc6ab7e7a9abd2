import { existsSync } from 'node:fs';
import path from 'node:path';
import { readWholeText } from '../core/bytes/readWhole';
import { CheckpointError } from '../core/errors';
import { findBenchmark, locateBenchmark, readBenchmark } from '../core/evaluation/benchmarks';
import { checkSource, protocolOfBenchmark } from '../core/evaluation/source';
import { evaluable, textBenchmark } from '../core/evaluation/prepareText';
import { findProtocol } from '../core/evaluation/protocols';
import type { Model } from '../core/models/contract';
import { scopes } from '../core/pruning/contract';
import type { Allocation, Scope } from '../core/pruning/contract';
import { parsePattern, patternSparsity } from '../core/pruning/pattern';
import { pruneScope } from '../core/pruning/pruneScope';
import { statisticsNeeded } from '../core/pruning/inputNorms';
import { methodParameters } from '../core/pruning/options';
import { findMethod, pruningMethods } from '../core/pruning/registry';
import { providers } from '../core/runtime/contract';
import type { Provider } from '../core/runtime/contract';
import { DEFAULT_LEVELS } from '../core/sweep/plan';
import type { SweepRequest } from '../core/sweep/plan';
import { MAX_RECIPE_CHARACTERS, parseRecipe } from '../language/recipe';
import type { Recipe } from '../language/recipe';
import { suggestion } from './arguments';
import { calibrationRequest, calibrationWish } from './calibrationFlags';
import type { CalibrationWish } from './calibrationFlags';
import { givenAllocation, givenOwl, givenParameters, refuseStray } from './methodFlags';
import type { Arguments, VerbContext } from './verbs/contract';
import { protocolFlag } from './verbs/flags';

const MAX_SEED = 2 ** 32 - 1;
const MAX_TOKENS = 2 ** 24;

const usage = (detail: string): CheckpointError => new CheckpointError('usage', {}, detail);

/** What is asked for before the model is opened: from flags, else from the recipe, else null for a default. */
export interface SweepWish {
  readonly checkpoint: string;
  readonly out: string | null;
  readonly methods: readonly string[];
  readonly levels: readonly number[] | null;
  readonly scope: Scope | null;
  readonly pattern: string;
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  readonly seed: number;
  /** Undefined: uniform. */
  readonly allocation: Allocation | undefined;
  /** Numbers of methods, by name. */
  readonly parameters: Readonly<Record<string, number>>;
  /** What methods are calibrated on; undefined keys take their defaults. */
  readonly calibration: CalibrationWish;
  /** Null: the default benchmark. */
  readonly benchmarks: readonly string[] | null;
  readonly protocol: string | null;
  readonly context: number | null;
  readonly stride: number | null;
  readonly limit: number | null;
  readonly provider: Provider | 'auto';
  /** Of a JSON Lines file; undefined: `text`. */
  readonly field: string | undefined;
  /** Compare predictions with the dense model's. */
  readonly divergence: boolean;
}

/** Comma lists of one flag, given once or several times; undefined when absent. */
function list(args: Arguments, ...flags: string[]): string[] | undefined {
  const given = flags.filter((flag) => args.has(flag));
  if (given.length > 1) throw usage(`--${given[0]} and --${given[1]} say the same; give one`);
  if (given.length === 0) return undefined;
  const words = args.many(given[0]).flatMap((text) => text.split(',')).map((text) => text.trim()).filter((text) => text !== '');
  if (words.length === 0) throw usage(`--${given[0]} names nothing`);
  return words;
}

function levelsOf(texts: readonly string[] | undefined): number[] | undefined {
  return texts?.map((text) => {
    const level = /^(\d+\.?\d*|\.\d+)(e-?\d+)?$/i.test(text) ? Number(text) : Number.NaN;
    if (!(level >= 0 && level <= 1)) throw usage(`--levels takes fractions from 0 to 1 with commas between, not \`${text}\`; 0.5 prunes half`);
    return level;
  });
}

function readRecipe(file: string): Recipe {
  const { recipe, diagnostics } = parseRecipe(readWholeText(file, 4 * MAX_RECIPE_CHARACTERS), { methods: pruningMethods.map(({ id }) => id), providers: ['auto', ...providers], parameters: methodParameters });
  const error = diagnostics.find(({ severity }) => severity === 'error');
  if (!recipe || error) throw new CheckpointError('recipe-invalid', { file, line: error?.line ?? 1, ...(error?.key ? { key: error.key } : {}) }, (error?.message ?? 'it cannot be read').replace(/\.$/, ''));
  return recipe;
}

/** Reads flags and, where the word is a recipe, the recipe; a flag goes before a key. @throws CheckpointError `usage`, `recipe-invalid`, `not-found` */
export function sweepWish(args: Arguments, context: Pick<VerbContext, 'cwd'>): SweepWish {
  const word = path.resolve(context.cwd, args.positional[0]);
  const isRecipe = /\.ya?ml$/i.test(word);
  if (isRecipe && !existsSync(word)) throw new CheckpointError('not-found', { file: word }, '');
  const recipe = isRecipe ? readRecipe(word) : null;
  const beside = (text: string): string => path.resolve(path.dirname(word), text);
  const text = args.text('text'), named = list(args, 'benchmarks', 'benchmark');
  if (text !== undefined && named !== undefined) throw usage('give --text or --benchmarks, not both');
  const scope = args.text('scope') ?? recipe?.scope ?? null;
  if (scope !== null && !scopes.includes(scope as Scope)) throw usage(`--scope takes ${scopes.join(', ')}, not \`${scope}\`${suggestion(scope, scopes)}`);
  const provider = args.text('provider') ?? recipe?.provider ?? 'auto';
  if (provider !== 'auto' && !providers.includes(provider as Provider)) throw new CheckpointError('unknown-provider', { key: provider }, `\`${provider}\`${suggestion(provider, providers)}`);
  const out = args.text('out');
  return {
    checkpoint: recipe ? beside(recipe.checkpoint) : word,
    out: out !== undefined ? path.resolve(context.cwd, out) : recipe?.out ? beside(recipe.out) : null,
    methods: list(args, 'methods', 'method') ?? (recipe ? [recipe.method] : ['magnitude']),
    levels: levelsOf(list(args, 'levels', 'sparsity')) ?? recipe?.levels ?? null,
    scope: scope as Scope | null,
    pattern: args.text('pattern') ?? recipe?.pattern ?? 'unstructured',
    include: args.has('include') ? args.many('include') : recipe?.include ?? [],
    exclude: args.has('exclude') ? args.many('exclude') : recipe?.exclude ?? [],
    seed: args.integer('seed', 0, MAX_SEED) ?? recipe?.seed ?? 0,
    // Flags of an allocation go before the recipe's as a whole: half of each is neither.
    allocation: ['allocation', 'owl-m', 'owl-lambda', 'owl-published'].some((flag) => args.has(flag)) ? givenAllocation(args.many('allocation'), givenOwl(args)) : givenAllocation(recipe?.allocation ?? [], recipe?.owl ?? {}),
    parameters: { ...recipe?.parameters, ...givenParameters(args) },
    calibration: calibrationWish(args, context.cwd, recipe ? { ...recipe.calibration, text: recipe.calibration.text === undefined || ['train', 'valid'].includes(recipe.calibration.text) ? recipe.calibration.text : beside(recipe.calibration.text) } : {}),
    benchmarks: text !== undefined ? [textBenchmark(path.resolve(context.cwd, text))] : named ?? (recipe?.text ? [textBenchmark(beside(recipe.text))] : recipe?.benchmarks ?? null),
    protocol: protocolFlag(args) ?? recipe?.protocol ?? null,
    context: args.integer('context', 1, MAX_TOKENS) ?? recipe?.context ?? null,
    stride: args.integer('stride', 1, MAX_TOKENS) ?? recipe?.stride ?? null,
    limit: args.integer('limit', 1, MAX_TOKENS) ?? recipe?.limit ?? null,
    provider: provider as Provider | 'auto',
    field: args.text('field') ?? recipe?.field,
    divergence: args.has('divergence') || (recipe?.divergence ?? false),
  };
}

/** WikiText-2 where it is on this machine, else the text that ships with Winnow. */
const defaultBenchmark = (dataFolder: string | null): string => locateBenchmark(findBenchmark('wikitext-2-raw'), dataFolder) === null ? 'sample' : 'wikitext-2-raw';

/** Benchmarks that are there, each text once: two names for one text are one benchmark. */
function distinctTexts(ids: readonly string[], dataFolder: string | null): string[] {
  const seen = new Set<string>();
  return ids.filter((id) => {
    const known = id.startsWith('text:') ? null : findBenchmark(id).sha256;
    if (known === null && !id.startsWith('text:')) return true;
    if (known !== null && locateBenchmark(findBenchmark(id), dataFolder) === null) readBenchmark(id, dataFolder); // throws where it was looked for
    const text = known ?? id;
    return !seen.has(text) && Boolean(seen.add(text));
  });
}

/** The protocol that the benchmarks of a sweep are made for; null where any will do. @throws CheckpointError `usage` when they are made for two */
function protocolOfAll(benchmarks: readonly string[]): string | null {
  const own = new Set(benchmarks.map(protocolOfBenchmark));
  if (own.size > 1) throw usage(`a sweep has one protocol: ${benchmarks.filter((id) => protocolOfBenchmark(id) !== null).join(', ')} is scored by its own, so give it a sweep of its own`);
  return [...own][0] ?? null;
}

/**
 * Fills in what depends on the model, and checks all that can be checked before a folder is made: a sweep that stops at a
 * typo must not leave a store that then refuses the corrected one.
 *
 * @throws CheckpointError as `prepareText` does for protocol, context and benchmarks; as `pruneScope` for globs; `usage`
 */
export function sweepRequest(wish: SweepWish, model: Model, provider: Provider, context: Pick<VerbContext, 'threads' | 'dataFolder'>, runtime: boolean): SweepRequest {
  const architecture = evaluable(model);
  const benchmarks = distinctTexts(wish.benchmarks ?? [defaultBenchmark(context.dataFolder)], context.dataFolder);
  const protocol = findProtocol(wish.protocol ?? protocolOfAll(benchmarks), architecture.kind);
  if (protocol.metric === 'accuracy') throw new CheckpointError('metric-makes-no-sense', { key: protocol.id }, `a sweep compares losses, and ${protocol.id} tells an accuracy: use \`winnow eval\``);
  for (const benchmark of benchmarks) checkSource({ benchmark, field: wish.field }, protocol);
  const pattern = parsePattern(wish.pattern), implied = patternSparsity(pattern);
  const levels = wish.levels ?? (implied === null ? DEFAULT_LEVELS : [implied]);
  const other = implied === null ? undefined : levels.find((level) => level !== 0 && level !== implied);
  if (other !== undefined) throw usage(`the pattern ${wish.pattern} implies the level ${implied}; ${other} is another`);
  pruneScope(model, wish);
  refuseStray(wish.parameters, wish.methods.map(findMethod));
  const longest = architecture.maxContext(model.checkpoint.config ?? {});
  const window = wish.context ?? protocol.defaults(longest).context;
  if (window > longest) throw new CheckpointError('context-too-long', { file: model.checkpoint.path }, `${window} tokens asked, the model has ${longest} positions`);
  const asked = Object.values(wish.calibration).some((value) => value !== undefined && value !== false), methods = wish.methods.map(findMethod);
  const calibrates = methods.some((method) => statisticsNeeded(method, { allocation: wish.allocation }) !== null || (asked && method.takes !== undefined));
  if (!calibrates && asked) throw usage(`calibration is for methods that need it; ${wish.methods.join(', ')}: none does`);
  const calibration = calibrates ? calibrationRequest(wish.calibration, { benchmarks, seed: wish.seed, provider }, context) : null;
  return {
    checkpoint: wish.checkpoint, methods: wish.methods, levels, scope: wish.scope, pattern,
    include: wish.include, exclude: wish.exclude, seed: wish.seed, ...(wish.allocation ? { allocation: wish.allocation } : {}), parameters: wish.parameters, ...(calibration ? { calibration } : {}), benchmarks,
    protocol: protocol.id, context: window, stride: wish.stride ?? protocol.strideOf(window), limit: wish.limit, provider, threads: context.threads, dataFolder: context.dataFolder, ...(wish.field !== undefined && { field: wish.field }), ...(wish.divergence && { divergence: true }), runtime,
  };
}
