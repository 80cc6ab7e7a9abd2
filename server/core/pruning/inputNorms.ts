import type { BlockStatistics, CalibrationSummary, InputStatistics, StatisticsKind } from '../calibration/contract';
import { CheckpointError } from '../errors';
import type { Job } from '../job';
import type { Model } from '../models/contract';
import type { PlanTools, PruneRequest, PruningMethod, TensorRule } from './contract';
import { scanOf } from './planned';
import type { PlannedTensors } from './planned';
import type { ScopeTensor } from './pruneScope';
import { extentOf } from './scoreTensors';

/** What a pruning must know of the inputs of each matrix: the method's own needs, or the norms that an allocation by outliers looks at. */
export const statisticsNeeded = (method: PruningMethod, request: Pick<PruneRequest, 'allocation'>): StatisticsKind | null =>
  method.needs ?? (request.allocation?.kind === 'owl' ? 'norms' : null);

/**
 * L2 norms of a matrix's input channels over the calibration tokens, (inputs) or (matrices x inputs). A channel that was never fed is 0.
 *
 * @throws CheckpointError `not-finite` for inputs that are NaN or infinite, `internal` where the shape differs
 */
export function inputNorms(tensor: ScopeTensor, { sumOfSquares }: Pick<InputStatistics, 'sumOfSquares'>): Float32Array {
  const { matrices, inputs } = extentOf(tensor), { name } = tensor.info;
  if (sumOfSquares.length !== inputs && sumOfSquares.length !== matrices * inputs) throw new CheckpointError('internal', { tensor: name }, `${sumOfSquares.length} norms for ${matrices} x ${inputs} inputs`);
  return Float32Array.from(sumOfSquares, (sum, channel) => {
    const norm = Math.fround(Math.sqrt(sum));
    if (!Number.isFinite(norm)) throw new CheckpointError('not-finite', { tensor: name }, `the inputs of channel ${channel} are not finite in calibration`);
    return norm;
  });
}

/** Statistics of the model as it is, of every tensor in scope, and the block that each is in. */
export interface DenseStatistics {
  readonly inputs: ReadonlyMap<string, InputStatistics>;
  /** Position of a tensor's block in the order of computation. */
  readonly blockOf: ReadonlyMap<string, number>;
  readonly summary: CalibrationSummary;
}

/**
 * One run of the model as it is, nothing pruned on the way: what the global scope and an allocation by outliers compare with one
 * another must be known of all blocks before the first is pruned.
 *
 * @throws CheckpointError `calibration-needed`, and what calibrating throws
 */
export async function* denseStatistics(tensors: readonly ScopeTensor[], needs: StatisticsKind, tools: PlanTools, signal?: AbortSignal): Job<DenseStatistics> {
  const inputs = new Map<string, InputStatistics>(), blockOf = new Map<string, number>();
  const look = async function* (statistics: BlockStatistics): Job<ReadonlyMap<string, TensorRule>> {
    for (const [name, one] of statistics.inputs) { inputs.set(name, one); blockOf.set(name, statistics.block); }
    return new Map<string, TensorRule>();
  };
  const summary = yield* calibrateWith(tools)(needs, new Set(tensors.map(({ info }) => info.name)), look, signal, 'dense');
  return { inputs, blockOf, summary };
}

/** @throws CheckpointError `calibration-needed` */
export function calibrateWith(tools: PlanTools): NonNullable<PlanTools['calibrate']> {
  if (!tools.calibrate) throw new CheckpointError('calibration-needed', {}, 'the method, or how its total is dealt out, looks at inputs');
  return tools.calibrate;
}

/** Tensors in scope that calibration did not come by: they are left as they are, and that is said. */
export function leftAlone(model: Model, tensors: readonly ScopeTensor[], tools: PlanTools): PlannedTensors {
  return {
    selected: 0, threshold: null, rules: new Map(),
    tensors: tensors.map((tensor) => {
      const { zeros } = scanOf(tools, tensor).moments;
      return { name: tensor.info.name, elements: tensor.info.elements, zerosBefore: zeros, zerosAfter: zeros };
    }),
    problems: tensors.map(({ info }) => ({ code: 'inputs-unknown', where: { file: model.checkpoint.files[info.file].path, tensor: info.name }, detail: info.shape.join(' x ') })),
  };
}
