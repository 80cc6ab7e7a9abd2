import { CheckpointError } from '../errors';
import type { Allocation, MethodParameter, PruneRequest, PruningMethod } from './contract';
import { OWL_DEFAULTS } from './allocation';
import { pruningMethods } from './registry';

/** Every number that some method takes, with the methods that take it, each name once. */
export const methodParameters: readonly (MethodParameter & { readonly methods: readonly string[] })[] = [...new Map(
  pruningMethods.flatMap(({ parameters }) => parameters).map((parameter) => [parameter.name, parameter]),
).values()].map((parameter) => ({ ...parameter, methods: pruningMethods.filter(({ parameters }) => parameters.some(({ name }) => name === parameter.name)).map(({ id }) => id) }));

/**
 * All numbers of one method, the fallback where none is given; undefined for a method without any. Numbers of other methods do not count.
 *
 * @throws CheckpointError `bad-parameter` for a number out of range, or one that has to be whole
 */
export function parametersOf(method: PruningMethod, given: Readonly<Record<string, number>>): Readonly<Record<string, number>> | undefined {
  if (method.parameters.length === 0) return undefined;
  return Object.fromEntries(method.parameters.map((parameter) => [parameter.name, checkParameter(parameter, given[parameter.name] ?? parameter.fallback)]));
}

function checkParameter({ name, min, max, whole }: MethodParameter, value: number): number {
  if (!(value >= min && value <= max) || (whole && !Number.isInteger(value))) throw new CheckpointError('bad-parameter', { key: name }, `${whole ? 'a whole number' : 'a number'} from ${min} to ${max}, not ${value}`);
  return value;
}

/** @throws CheckpointError `bad-parameter` for a number that the method does not take, or that is out of range */
export function checkParameters(method: PruningMethod, given: PruneRequest['parameters']): void {
  for (const [name, value] of Object.entries(given ?? {})) {
    const parameter = method.parameters.find((one) => one.name === name);
    if (!parameter) throw new CheckpointError('bad-parameter', { key: name }, method.parameters.length === 0 ? `${method.id} takes no numbers` : `${method.id} takes ${method.parameters.map((one) => one.name).join(', ')}`);
    checkParameter(parameter, value);
  }
}

/** Numbers of an allocation by outliers, as flags and recipes give them. */
export interface OwlNumbers { readonly m?: number; readonly lambda?: number; readonly published?: boolean }

/** Largest table that a person writes. */
const MAX_ENTRIES = 1000;

/**
 * `uniform`, `owl`, or entries `GLOB=SPARSITY`: an allocation as words.
 *
 * @throws CheckpointError `bad-allocation`
 */
export function parseAllocation(words: readonly string[], owl: OwlNumbers): Allocation {
  const refuse = (why: string): never => { throw new CheckpointError('bad-allocation', {}, why); };
  const numbers = Object.keys(owl).length > 0;
  if (words.length === 1 && words[0] === 'owl') {
    const { m = OWL_DEFAULTS.m, lambda = OWL_DEFAULTS.lambda, published = false } = owl;
    if (!(m > 0 && Number.isFinite(m))) refuse(`owl-m is a number above 0, not ${m}`);
    if (!(lambda >= 0 && lambda <= 0.5)) refuse(`owl-lambda is a number from 0 to 0.5, not ${lambda}`);
    return { kind: 'owl', m, lambda, published };
  }
  if (numbers) refuse(`owl-m, owl-lambda and owl-published go with the allocation owl`);
  if (words.length === 1 && words[0] === 'uniform') return { kind: 'uniform' };
  if (words.length === 0 || words.length > MAX_ENTRIES) refuse(`${words.length} entries, where 1 to ${MAX_ENTRIES} are possible`);
  return {
    kind: 'table',
    entries: words.map((word) => {
      const equals = word.lastIndexOf('='), glob = word.slice(0, equals), text = word.slice(equals + 1);
      const sparsity = /^(\d+\.?\d*|\.\d+)(e-?\d+)?$/i.test(text) ? Number(text) : Number.NaN;
      if (equals < 1 || !(sparsity >= 0 && sparsity <= 1)) refuse(`\`${word}\` is neither uniform nor owl nor GLOB=SPARSITY such as *.mlp.*=0.6`);
      return { glob, sparsity };
    }),
  };
}

/** What sets a pruning apart from the method's plain form, in words: `owl`, `owl-m=7`, `ria-power=0.3`. Empty where nothing does. */
export function optionWords({ method, allocation, parameters }: { readonly method: string; readonly allocation?: Allocation; readonly parameters?: PruneRequest['parameters'] }): string[] {
  const words: string[] = [];
  if (allocation?.kind === 'owl') {
    words.push('owl');
    if (allocation.m !== OWL_DEFAULTS.m) words.push(`owl-m=${allocation.m}`);
    if (allocation.lambda !== OWL_DEFAULTS.lambda) words.push(`owl-lambda=${allocation.lambda}`);
    if (allocation.published) words.push('owl-published');
  }
  if (allocation?.kind === 'table') words.push(...allocation.entries.map(({ glob, sparsity }) => `${glob}=${sparsity}`));
  const known = pruningMethods.find(({ id }) => id === method)?.parameters ?? [];
  for (const { name, fallback } of known) if (parameters?.[name] !== undefined && parameters[name] !== fallback) words.push(`${name}=${parameters[name]}`);
  return words;
}
