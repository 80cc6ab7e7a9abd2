import { openTensor } from '../bytes/decodedSource';
import { blockGrid } from '../bytes/decoders/blockMeans';
import { CheckpointError, throwIfCancelled } from '../errors';
import type { Problem } from '../errors';
import type { Job } from '../job';
import type { Model } from '../models/contract';
import type { ScoreStep } from '../tensor/encoding';
import type { TensorInfo } from '../tensor/tensorInfo';
import { maskTensor } from '../workers/maskTensor';
import { tensorSource } from '../workers/slices';
import { blocksOn, blockTensor, type Blocked } from './blockScores';
import type { BlockPattern, PlanTools, PrunePlan, PruneRequest, TensorRule } from './contract';
import { checkPatternScope, patternText } from './pattern';
import { cutSets, planCuts } from './planCuts';
import { scanOf } from './planned';
import type { PlannedTensors } from './planned';
import type { ScopeTensor } from './pruneScope';
import { scanValues } from './scoreTensors';

/**
 * Whole blocks of outputs and inputs: exactly k = round-half-even(sparsity x blocks) blocks go, those with the smallest mean
 * magnitude (or score), ties by name and position. Where sides do not divide, the blocks at the ends are smaller, compete by their
 * own mean, and count as one. A block with a NaN stays.
 *
 * @throws CheckpointError `unsupported-scope` for the row scope, `unsupported-pattern` for a tensor without an input axis
 */
export async function* planBlocks(
  model: Model, tensors: readonly ScopeTensor[], request: PruneRequest, block: BlockPattern, sparsityOf: (tensor: ScopeTensor) => number,
  scores: ReadonlyMap<string, ScoreStep> | null, tools: PlanTools, signal?: AbortSignal,
): Job<PlannedTensors> {
  checkPatternScope(block, request.scope);
  const problems: Problem[] = [];
  const parts = tensors.map((tensor) => {
    const { info, role } = tensor, orientation = role.orientation ?? 'out-in', place = { file: model.checkpoint.files[info.file].path, tensor: info.name };
    if (info.shape.length < 2) throw new CheckpointError('unsupported-pattern', place, `shape [${info.shape.join(', ')}] has no input axis`);
    const blocked = blocksOn(info.shape, block, orientation), score = scores?.get(info.name) ?? null;
    const ragged = blocked.height % blocked.blockHeight !== 0 || blocked.width % blocked.blockWidth !== 0;
    if (ragged) {
      const [outputs, inputs] = orientation === 'out-in' ? [blocked.height, blocked.width] : [blocked.width, blocked.height];
      problems.push({ code: 'ragged-blocks', where: place, detail: `${patternText(block)} on ${outputs} outputs x ${inputs} inputs: the blocks at the ends are smaller` });
    }
    return { tensor, info, orientation, blocked, score, ragged, values: blockTensor(info, blocked, score) };
  });
  const scans = yield* scanValues(model, parts.map(({ values }) => values), tools, signal);
  const sets = cutSets(request, tensors, parts.map(({ values }) => values), (i) => scans.get(tensors[i].info.name)!, sparsityOf);
  const cuts = yield* planCuts(model, sets, tools, signal);

  const blocksAfter = new Map(cuts.tensors.map((one) => [one.name, one.zerosAfter]));
  const rules = new Map<string, TensorRule>(), counts: PrunePlan['tensors'][number][] = [];
  let selected = 0;
  for (const [i, { tensor, info, orientation, blocked, score, ragged, values }] of parts.entries()) {
    throwIfCancelled(signal);
    yield { stage: 'select', done: i, total: parts.length, unit: 'tensors' };
    const { moments } = scanOf(tools, tensor), by = cuts.rules.get(info.name), before = { name: info.name, elements: info.elements, zerosBefore: moments.zeros };
    if (!by) { counts.push({ ...before, zerosAfter: moments.zeros }); continue; }
    const rule: TensorRule = { kind: 'blocks', block, score, by, orientation };
    rules.set(info.name, rule);
    const inside = ragged ? await weightsInside(model, values, blocked, by, tools, signal) : blocksAfter.get(info.name)! * blocked.blockHeight * blocked.blockWidth;
    selected += inside;
    const zerosAfter = moments.zeros === 0 ? inside : (await maskTensor(tools.pool, tensorSource(model.checkpoint, info, tools.io), rule, null, signal)).zerosAfter;
    counts.push({ ...before, zerosAfter });
  }
  return { selected, threshold: null, rules, tensors: counts, problems: [...problems, ...cuts.problems] };
}

/** Weights in the blocks that a cut selects, those at the ends with what they have. */
async function weightsInside(model: Model, values: TensorInfo, blocked: Blocked, by: { readonly threshold: number; readonly ties: number }, tools: PlanTools, signal?: AbortSignal): Promise<number> {
  const { height, width, blockHeight, blockWidth } = blocked, { down, across } = blockGrid(blocked);
  const source = openTensor(model.checkpoint.files[values.file], values, tools.io);
  let inside = 0, { ties } = by;
  try {
    const means = new Float32Array(across), bytes = new Uint8Array(means.buffer);
    for (let row = 0; row * across < values.elements; row++) {
      if (row % 16 === 0) {
        await new Promise((resolve) => { setImmediate(resolve); });
        throwIfCancelled(signal);
      }
      source.read(row * across * 4, (row + 1) * across * 4, bytes);
      const rows = Math.min(blockHeight, height - (row % down) * blockHeight);
      for (let block = 0; block < across; block++) {
        if (means[block] < by.threshold || (means[block] === by.threshold && ties-- > 0)) inside += rows * Math.min(blockWidth, width - block * blockWidth);
      }
    }
  } finally {
    source.close();
  }
  return inside;
}
