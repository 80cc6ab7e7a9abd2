import type { Problem } from '../errors';
import type { Model } from '../models/contract';
import type { TensorScan } from '../stats/contract';
import { CheckpointError } from '../errors';
import type { PlanTools, PrunePlan, TensorRule } from './contract';
import type { ScopeTensor } from './pruneScope';

/** The part of a plan that a way of selecting fills in. */
export interface PlannedTensors {
  readonly selected: number;
  readonly threshold: number | null;
  readonly rules: ReadonlyMap<string, TensorRule>;
  readonly tensors: PrunePlan['tensors'];
  readonly problems: readonly Problem[];
}

/** The scan of a tensor in scope. */
export function scanOf(tools: PlanTools, tensor: ScopeTensor): TensorScan {
  const scan = tools.scans.get(tensor.info.name);
  if (!scan) throw new CheckpointError('internal', { tensor: tensor.info.name }, 'no scan');
  return scan;
}

/** One remark for each tensor that holds NaN: it is kept and never selected. */
export function nanProblem(model: Model, tensor: ScopeTensor, scan: TensorScan): Problem[] {
  const { nan, inf } = scan.moments;
  if (nan === 0) return [];
  return [{ code: 'nan-in-scope', where: { file: model.checkpoint.files[tensor.info.file].path, tensor: tensor.info.name }, detail: `${nan} NaN and ${inf} infinite values are kept` }];
}
