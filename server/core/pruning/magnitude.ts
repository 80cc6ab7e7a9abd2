import type { PruningMethod } from './contract';
import { planPlain } from './planByScore';

/** The smallest weights go: the plain method that the others are compared with. */
export const magnitude: PruningMethod = {
  id: 'magnitude',
  title: 'Magnitude',
  summary: 'Zeroes the weights with the smallest absolute value; needs no data.',
  defaultScope: 'global',
  scopes: ['global', 'tensor', 'row'],
  patterns: ['unstructured', 'n:m', 'block'],
  allocations: ['uniform', 'owl', 'table'],
  needs: null,
  parameters: [],
  source: null,
  plan: (model, request, tools, signal) => planPlain('magnitude', model, request, null, tools, signal),
};
