import { openCheckpoint } from '../formats/openCheckpoint';
import type { Checkpoint } from '../formats/contract';
import type { Problem } from '../errors';
import { dtypes } from '../tensor/dtype';
import type { Architecture, Model, TensorRole } from './contract';
import { roleByName, tiedByName } from './fallback';
import { architectures } from './registry';
import { roleByUse } from './roleByUse';
import { findTied } from './tied';

/** Opens a checkpoint by its headers and gives every tensor its role. @throws CheckpointError as openCheckpoint does */
export const openModel = (path: string): Model => applyArchitecture(openCheckpoint(path));

/**
 * Chooses the architecture (config.json's `model_type`, else names alone) and applies it: roles, tied groups, remarks.
 * Reads weights only where two stored tensors are tied by the config and have to be compared.
 */
export function applyArchitecture(checkpoint: Checkpoint): Model {
  const architecture = chooseArchitecture(checkpoint);
  const role = architecture ? architecture.role : roleByName;
  const roles = checkpoint.tensors.map((tensor): TensorRole => {
    const found = tensor.use ? roleByUse(tensor, tensor.use, role) : role(tensor.name, tensor.shape);
    return found.prunable && (dtypes[tensor.dtype].kind !== 'float' || tensor.special !== undefined) ? { ...found, prunable: false } : found;
  });
  const config = checkpoint.config ?? {};
  const pairs = architecture ? architecture.tied(config) : tiedByName(config);
  const { groups, problems } = findTied(checkpoint, pairs);
  return { checkpoint, architecture, roles, tied: groups, problems: [...checkpoint.problems, ...problems, ...remarks(checkpoint, architecture, roles)] };
}

function chooseArchitecture(checkpoint: Checkpoint): Architecture | null {
  const type = checkpoint.config?.model_type;
  if (typeof type === 'string') return architectures.find((one) => one.modelTypes.includes(type)) ?? null;
  const names = new Set(checkpoint.tensors.map((tensor) => tensor.name));
  return architectures.find((one) => one.matchesNames(names)) ?? null;
}

function remarks(checkpoint: Checkpoint, architecture: Architecture | null, roles: readonly TensorRole[]): Problem[] {
  const found: Problem[] = [];
  const type = checkpoint.config?.model_type;
  if (!architecture && checkpoint.tensors.length > 0) {
    const prunable = roles.filter((role) => role.prunable).length;
    found.push({ code: 'unknown-architecture', where: { file: checkpoint.path }, detail: `${typeof type === 'string' ? `model_type ${type.slice(0, 60)}` : 'no model_type'}; ${prunable} of ${roles.length} tensors are prunable by their names` });
  }
  const buffers = checkpoint.tensors.filter((_, i) => !roles[i].parameter);
  if (buffers.length > 0) {
    const elements = buffers.reduce((sum, tensor) => sum + tensor.elements, 0);
    found.push({ code: 'buffer-stored', where: { file: checkpoint.path, tensor: buffers[0].name }, detail: `${buffers.length} buffers with ${elements} elements are stored and are not parameters` });
  }
  return found;
}
