import { CheckpointError } from '../errors';
import type { PruningMethod } from './contract';
import { magnitude } from './magnitude';

/** Every way of choosing weights, in the order in which they are offered. */
export const pruningMethods: readonly PruningMethod[] = [magnitude];

/** @throws CheckpointError `unknown-method` with the ids there are */
export function findMethod(id: string): PruningMethod {
  const method = pruningMethods.find((candidate) => candidate.id === id);
  if (!method) throw new CheckpointError('unknown-method', { key: id }, `methods: ${pruningMethods.map((known) => known.id).join(', ')}`);
  return method;
}
