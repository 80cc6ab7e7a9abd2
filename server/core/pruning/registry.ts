import { CheckpointError } from '../errors';
import type { PruningMethod } from './contract';
import { magnitude } from './magnitude';
import { random } from './random';
import { ria } from './ria';
import { sparsegpt } from './sparsegpt';
import { heads } from './structured/heads';
import { layers } from './structured/layers';
import { neurons } from './structured/neurons';
import { wanda } from './wanda';

/** Every way of choosing weights, in the order in which they are offered: single weights, then whole parts. */
export const pruningMethods: readonly PruningMethod[] = [magnitude, random, wanda, ria, sparsegpt, heads, neurons, layers];

/** @throws CheckpointError `unknown-method` with the ids there are */
export function findMethod(id: string): PruningMethod {
  const method = pruningMethods.find((candidate) => candidate.id === id);
  if (!method) throw new CheckpointError('unknown-method', { key: id }, `methods: ${pruningMethods.map((known) => known.id).join(', ')}`);
  return method;
}
