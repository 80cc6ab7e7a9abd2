import { CheckpointError } from '../core/errors';
import { allocationKinds } from '../core/pruning/allocation';
import type { Allocation, PruningMethod } from '../core/pruning/contract';
import { methodParameters, parseAllocation, type OwlNumbers } from '../core/pruning/options';
import type { Arguments, Flag } from './verbs/contract';

/** How the total is dealt out, and the numbers that methods take: made from the registry, of `prune` and of `sweep`. */
export const methodFlags: readonly Flag[] = [
  {
    name: 'allocation', value: [...allocationKinds.filter((kind) => kind !== 'table'), 'GLOB=S'].join('|'), many: true,
    help: 'how the total is dealt out to tensors in the scopes tensor and row: evenly, by outliers, or by a table whose first matching glob decides (default: uniform)',
  },
  { name: 'owl-m', value: 'X', help: 'allocation owl: scores above X times the mean of their block are outliers (default: 5)' },
  { name: 'owl-lambda', value: 'X', help: 'allocation owl: sparsities lie within 2X of one another (default: 0.08)' },
  { name: 'owl-published', value: null, help: "allocation owl: the paper's mean over blocks, not weighted by their size; the total may then differ from what is asked" },
  ...methodParameters.map(({ name, whole, help, fallback, methods }): Flag => ({ name, value: whole ? 'N' : 'X', help: `${methods.join(', ')}: ${help} (default: ${fallback})` })),
];

/** The numbers of methods among the flags. */
export const givenParameters = (args: Arguments): Record<string, number> => Object.fromEntries(methodParameters.flatMap(({ name, min, max, whole }) => {
  const value = whole ? args.integer(name, min, max) : args.number(name, min, max);
  return value === undefined ? [] : [[name, value]];
}));

/** A number that none of the methods takes is a mistake. @throws CheckpointError `usage` */
export function refuseStray(given: Readonly<Record<string, number>>, methods: readonly PruningMethod[]): void {
  for (const name of Object.keys(given)) {
    if (methods.some(({ parameters }) => parameters.some((parameter) => parameter.name === name))) continue;
    throw new CheckpointError('usage', {}, `\`${name}\` is for ${methodParameters.find((parameter) => parameter.name === name)?.methods.join(', ') ?? 'no method'}; ${methods.map(({ id }) => id).join(', ')} does not take it`);
  }
}

/** The numbers of an allocation by outliers among the flags. */
export function givenOwl(args: Arguments): OwlNumbers {
  const m = args.number('owl-m', 0, Number.MAX_VALUE), lambda = args.number('owl-lambda', 0, 0.5);
  return { ...(m === undefined ? {} : { m }), ...(lambda === undefined ? {} : { lambda }), ...(args.has('owl-published') ? { published: true } : {}) };
}

/** The allocation that words and numbers ask for; undefined for the plain one. @throws CheckpointError `bad-allocation` */
export function givenAllocation(words: readonly string[], owl: OwlNumbers): Allocation | undefined {
  const allocation = parseAllocation(words.length === 0 ? ['uniform'] : words, owl);
  return allocation.kind === 'uniform' ? undefined : allocation;
}
