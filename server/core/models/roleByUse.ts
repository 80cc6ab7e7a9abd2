import { dtypes } from '../tensor/dtype';
import type { TensorInfo, TensorUse } from '../tensor/tensorInfo';
import type { Role, TensorRole } from './contract';

/** Roles that are never pruned, whatever multiplies them. */
const KEPT: ReadonlySet<Role> = new Set(['embedding', 'position', 'norm', 'bias', 'head', 'buffer']);

/** What quantising tools append to the name of a weight. */
const QUANTISED = /_(q|quantized|scale|zero_point|zp)$/;

/** Values as they are, if written out number by number; what is packed or quantised is no weight to prune. */
const isPlainNumbers = ({ encoding, special }: TensorInfo): boolean => special === undefined && (encoding === undefined || encoding.every((step) => step.kind === 'protobuf'));

/**
 * The role of a tensor that a graph is stored with: what its name says, then the module that uses it (exporters rename
 * weights to `onnx::MatMul_123` but keep modules), then the operator. Prunable is what multiplies activations as a matrix.
 */
export function roleByUse(tensor: TensorInfo, use: TensorUse, roleOf: (name: string, shape: readonly number[]) => TensorRole): TensorRole {
  const named = roleOf(tensor.name.replace(QUANTISED, ''), tensor.shape);
  const found = named.role === 'other' && named.layer === null && use.scope !== null && tensor.shape.length > 0 ? roleOf(`${use.scope}.${tensor.shape.length > 1 ? 'weight' : 'bias'}`, tensor.shape) : named;
  const { kind, bits } = dtypes[tensor.dtype];
  // Shapes, axes, indices and lone numbers are no weights.
  if (kind === 'bool' || (kind === 'int' && bits === 64) || tensor.shape.length === 0) return { ...found, role: 'buffer', prunable: false, parameter: false, orientation: null };
  const role: Role = use.op === 'Gather' && tensor.shape.length === 2 && found.role !== 'position' ? 'embedding' : use.head && use.prunable && tensor.shape.length >= 2 ? 'head' : found.role;
  const prunable = use.prunable && tensor.shape.length >= 2 && tensor.section !== 'constant' && isPlainNumbers(tensor) && !KEPT.has(role);
  return { ...found, role, prunable, orientation: tensor.shape.length < 2 ? null : use.orientation };
}
