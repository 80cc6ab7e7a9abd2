import { CheckpointError } from '../core/errors';
import { scopes } from '../core/pruning/contract';
import type { Pattern, PruneRequest, PruningMethod, Scope } from '../core/pruning/contract';
import { statisticsNeeded } from '../core/pruning/inputNorms';
import { parsePattern, patternSparsity, patternText } from '../core/pruning/pattern';
import { parametersOf } from '../core/pruning/options';
import { providers } from '../core/runtime/contract';
import type { Provider } from '../core/runtime/contract';
import { calibrationFlag, calibrationRequest, calibrationWish } from './calibrationFlags';
import { givenAllocation, givenOwl, givenParameters, refuseStray } from './methodFlags';
import type { Arguments, VerbContext } from './verbs/contract';

const MAX_SEED = 2 ** 32 - 1;

const usage = (detail: string): CheckpointError => new CheckpointError('usage', {}, detail);

/** What the flags ask of a method. @throws CheckpointError `usage`, `unsupported-pattern` */
export function pruneRequest(args: Arguments, method: PruningMethod, context: Pick<VerbContext, 'cwd' | 'threads' | 'dataFolder'>): PruneRequest {
  const pattern: Pattern = parsePattern(args.text('pattern') ?? 'unstructured');
  const given = args.number('sparsity', 0, 1);
  const implied = patternSparsity(pattern) ?? undefined;
  if (given === undefined && implied === undefined) throw usage('--sparsity is missing: a number from 0 to 1, e.g. --sparsity 0.5 (an N:M --pattern implies it)');
  if (given !== undefined && implied !== undefined && Math.abs(given - implied) > 1e-9) {
    throw usage(`--pattern ${patternText(pattern)} implies --sparsity ${implied}; leave --sparsity out, or use the pattern unstructured`);
  }
  const scope = args.text('scope') ?? method.defaultScope;
  if (!scopes.includes(scope as Scope)) throw usage(`--scope takes ${scopes.join(', ')}, not \`${scope}\``);
  const allocation = givenAllocation(args.many('allocation'), givenOwl(args)), numbers = givenParameters(args);
  refuseStray(numbers, [method]);
  const calibrates = statisticsNeeded(method, { allocation }) !== null || (method.takes !== undefined && calibrationFlag(args) !== undefined), seed = args.integer('seed', 0, MAX_SEED) ?? 0;
  const stray = calibrationFlag(args) ?? ['benchmark', 'provider'].find((flag) => args.has(flag));
  if (stray !== undefined && !calibrates) throw usage(`--${stray} is for methods that need calibration; ${method.id} needs none`);
  const benchmark = args.text('benchmark'), provider = args.text('provider') ?? 'auto';
  if (provider !== 'auto' && !providers.includes(provider as Provider)) throw new CheckpointError('unknown-provider', { key: provider }, `\`${provider}\``);
  const calibration = calibrates ? calibrationRequest(calibrationWish(args, context.cwd), { benchmarks: benchmark === undefined ? [] : [benchmark], seed, provider: provider as Provider | 'auto' }, context) : null;
  const parameters = parametersOf(method, numbers);
  return {
    sparsity: implied ?? given!, scope: scope as Scope, pattern,
    include: args.many('include'), exclude: args.many('exclude'), seed,
    ...(allocation ? { allocation } : {}), ...(parameters ? { parameters } : {}), ...(calibration ? { calibration } : {}),
  };
}
