import type { Job } from '../job';
import type { Model } from '../models/contract';
import type { TensorScan } from '../stats/contract';
import { scanModel } from '../stats/scan';
import type { ScoreStep } from '../tensor/encoding';
import type { TensorInfo } from '../tensor/tensorInfo';
import type { PlanTools } from './contract';
import type { ScopeTensor } from './pruneScope';

/** The last two axes of a tensor as a score step wants them. A vector is one row of inputs. */
export function scoreBase({ info, role }: ScopeTensor): Pick<ScoreStep, 'kind' | 'dtype' | 'height' | 'width' | 'orientation'> {
  const vector = info.shape.length < 2;
  return { kind: 'score', dtype: info.dtype, height: info.shape.at(-2) ?? 1, width: info.shape.at(-1) ?? 1, orientation: vector ? 'out-in' : role.orientation ?? 'out-in' };
}

/** Inputs and outputs of each of its matrices, and how many there are. */
export function extentOf(tensor: ScopeTensor): { readonly matrices: number; readonly inputs: number; readonly outputs: number } {
  const { height, width, orientation } = scoreBase(tensor), size = height * width;
  const [outputs, inputs] = orientation === 'out-in' ? [height, width] : [width, height];
  return { matrices: size === 0 ? 0 : tensor.info.elements / size, inputs, outputs };
}

/** The scores of a tensor as a tensor of their own, F32, of the same shape: what scans, histograms and exact selection take. */
export const scoreTensor = (info: TensorInfo, score: ScoreStep): TensorInfo => ({ ...info, dtype: 'F32', encoding: [...info.encoding ?? [], score] });

/** The model as `scanModel` sees it, with other values under the names of some tensors. */
function withValues(model: Model, values: readonly TensorInfo[]): Model {
  const byName = new Map(values.map((info) => [info.name, info]));
  return { ...model, checkpoint: { ...model.checkpoint, tensors: model.checkpoint.tensors.map((info) => byName.get(info.name) ?? info) } };
}

/** One pass over values that are made of the weights. */
export function scanValues(model: Model, values: readonly TensorInfo[], tools: PlanTools, signal?: AbortSignal): Job<Map<string, TensorScan>> {
  return scanModel(withValues(model, values), { threshold: null, names: values.map(({ name }) => name), io: tools.io }, tools.pool, signal);
}
