import { CheckpointError } from '../errors';
import type { Problem } from '../errors';
import { evaluateWith, toBatch } from '../evaluation/evaluateWith';
import { withBadTensor } from '../evaluation/evaluate';
import { divergenceOf, recordComparison } from '../evaluation/divergence';
import type { Evaluation } from '../evaluation/contract';
import type { Job } from '../job';
import type { Model } from '../models/contract';
import { copiesOf, pruneScope } from '../pruning/pruneScope';
import type { TensorScan } from '../stats/contract';
import type { CellModel, CellSpecification, FinishedCell } from './contract';
import { measureRuntime } from './measureRuntime';
import { comparesPredictions, type PrunedWeights, type Workshop } from './workshop';

/**
 * Runs one cell: plans the pruning, weighs and evaluates exactly what `prune` would write, and times it against the
 * baseline. A loss that is NaN is a finding, kept as the cell's `problem`; everything else that goes wrong is thrown.
 *
 * @param winnow version, written into the result
 */
export async function* runCell(cell: CellSpecification, workshop: Workshop, winnow: string, signal?: AbortSignal): Job<FinishedCell> {
  const started = performance.now();
  const { model, fingerprint } = workshop.open(cell.checkpoint);
  yield { stage: 'reading the text', done: 0, total: null, unit: 'tokens' };
  const text = workshop.text(cell);
  const weights = yield* workshop.weights(cell, signal);
  const scans = yield* workshop.scans(cell, signal);
  const { session, thresholds } = await workshop.evaluator(cell, weights);
  const compared = comparesPredictions(cell) ? recordComparison(session, text.scoredTokens) : null;
  let evaluation: Evaluation | null = null, problem: Problem | null = null;
  try {
    const found = yield* evaluateWith(compared?.session ?? session, text, thresholds, signal);
    evaluation = { ...found, problems: [...found.problems, ...workshop.remarks(cell)] };
  } catch (thrown) {
    // Only the baseline's own weights can be blamed on a tensor of the file; a pruned model that diverges is a finding.
    const error = cell.level === 0 ? withBadTensor(thrown, model, signal) : thrown;
    if (!(error instanceof CheckpointError) || error.code !== 'not-finite') throw error;
    problem = { code: error.code, where: error.where, detail: error.detail };
  }
  const timed = cell.runtime ? weights.timed ??= yield* timeAgainstBaseline(cell, workshop, weights, signal) : null;
  const { losses = null, ...numbers } = evaluation ?? {};
  const counts = countZeros(model, cell, weights, scans);
  return {
    losses,
    result: {
      version: 1, specification: cell, fingerprint, winnow, model: counts.model, achieved: counts.achieved, achievedTotal: counts.achievedTotal,
      threshold: weights.plan?.threshold ?? null, ...(weights.plan?.calibration ? { calibration: weights.plan.calibration } : {}), evaluation: evaluation ? numbers as Omit<Evaluation, 'losses'> : null,
      divergence: compared && evaluation ? divergenceOf(compared, { context: cell.context }) : null,
      bytes: weights.sizes, runtime: timed?.runtime ?? null, runtimeProblem: timed?.problem ?? null, seconds: (performance.now() - started) / 1000, problem,
    },
  };
}

/** Times the pruned weights; where both do not fit into memory at once there is a problem in place of the times, and the rest of the cell stands. */
async function* timeAgainstBaseline(cell: CellSpecification, workshop: Workshop, weights: PrunedWeights, signal?: AbortSignal): Job<NonNullable<PrunedWeights['timed']>> {
  try {
    const baseline = await workshop.baselineSession(cell);
    const pruned = await workshop.prunedSession(cell, weights);
    try {
      const runtime = yield* measureRuntime(baseline, pruned, toBatch([workshop.text(cell).windows[0]]), { seed: cell.seed, threads: cell.threads }, signal);
      return { runtime, problem: null };
    } finally {
      await pruned.close();
    }
  } catch (error) {
    if (error instanceof CheckpointError && error.code === 'out-of-memory') return { runtime: null, problem: { code: error.code, where: error.where, detail: error.detail } };
    throw error;
  }
}

/** Zeros in scope, over the weights in scope and over all parameters, as `prune` counts them: each parameter once, however often it is stored. */
function countZeros(model: Model, cell: CellSpecification, weights: PrunedWeights, scans: ReadonlyMap<string, TensorScan>): { model: CellModel; achieved: number | null; achievedTotal: number | null } {
  const copies = copiesOf(model), stored = new Set(model.checkpoint.tensors.map(({ name }) => name));
  const structured = weights.plan?.structure ? weights.plan.tensors : null;
  const scope = new Set(structured ? structured.map(({ name }) => name) : pruneScope(model, cell).tensors.map(({ info }) => info.name));
  const after = new Map(weights.plan?.tensors.map((tensor) => [tensor.name, tensor.zerosAfter]));
  let parameters = 0, prunableParameters = 0, scopeParameters = 0, scopeZeros = 0;
  model.checkpoint.tensors.forEach((info, i) => {
    if (!model.roles[i].parameter || (copies.get(info.name) ?? [info.name]).find((copy) => stored.has(copy)) !== info.name) return;
    parameters += info.elements;
    if (model.roles[i].prunable) prunableParameters += info.elements;
    if (!scope.has(info.name)) return;
    scopeParameters += info.elements;
    scopeZeros += after.get(info.name) ?? scans.get(info.name)!.moments.zeros;
  });
  return {
    model: { name: model.checkpoint.name, architecture: model.architecture?.id ?? null, parameters, scopeParameters, prunableParameters },
    achieved: scopeParameters === 0 ? null : scopeZeros / scopeParameters, achievedTotal: parameters === 0 ? null : scopeZeros / parameters,
  };
}
