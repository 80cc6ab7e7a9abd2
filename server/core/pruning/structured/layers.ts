import type { BlockStatistics, CalibrationSummary } from '../../calibration/contract';
import { CheckpointError, throwIfCancelled } from '../../errors';
import type { Job } from '../../job';
import type { Model, Stack, TensorRole } from '../../models/contract';
import { valueBytes, type TensorInfo } from '../../tensor/tensorInfo';
import type { PlanTools, PrunePlan, PruneRequest, PruningMethod, TensorRule as WeightRule } from '../contract';
import { globMatcher } from '../glob';
import { dropBlocks } from './dropBlocks';
import type { KeptBlocks } from './dropBlocks';
import { goneOf, keepBest, structurePlan } from './planStructure';
import { overValues } from './scoreUnits';
import { requireStructure } from './units';

async function* plan(model: Model, request: PruneRequest, tools: PlanTools, signal?: AbortSignal): Job<PrunePlan> {
  throwIfCancelled(signal);
  if (request.include.length > 0) throw new CheckpointError('usage', {}, 'layers takes whole blocks: --include does not apply (--exclude keeps the blocks of the tensors that it names)');
  const { keys } = requireStructure(model), { tensors } = model.checkpoint;
  const excluded = request.exclude.map((glob) => {
    const matches = globMatcher(glob);
    if (!tensors.some(({ name }) => matches(name))) throw new CheckpointError('no-match', { key: glob }, '');
    return matches;
  });
  const stacks: readonly (readonly [Stack | null, string])[] = typeof keys.layers === 'string' ? [[null, keys.layers]] : [['encoder', keys.layers.encoder], ['decoder', keys.layers.decoder]];
  const influences = yield* influenceOfBlocks(model, tools, signal);
  const rows: KeptBlocks[] = [], kept: { block: string; of: number; units: readonly number[] }[] = [];
  for (const [stack, key] of stacks) {
    const within = tensors.map((info, i) => ({ info, role: model.roles[i] })).filter(({ role }) => role.layer !== null && (role.stack ?? null) === stack);
    const blocks = 1 + within.reduce((most, { role }) => Math.max(most, role.layer!), -1);
    if (blocks === 0) throw new CheckpointError('unsupported-structure', { file: model.checkpoint.path }, `no ${stack === null ? '' : `${stack} `}blocks were found`);
    const guarded = new Set(within.filter(({ info }) => excluded.some((matches) => matches(info.name))).map(({ role }) => role.layer!));
    const scores = influences ? Float64Array.from({ length: blocks }, (_, block) => influences.of.get(`${stack ?? ''} ${block}`) ?? Infinity) : yield* meanMagnitudes(model, within, blocks, tools, signal);
    const gone = goneOf(blocks, request.sparsity), stays = keepBest(scores, gone, guarded);
    if (stays.length > blocks - gone) throw new CheckpointError('nothing-in-scope', { file: model.checkpoint.path }, `${gone} of ${blocks} blocks are to go, ${guarded.size} are excluded`);
    rows.push({ stack, key, blocks, kept: stays });
    kept.push({ block: stack ?? 'all', of: blocks, units: stays });
  }
  const structure = { unit: 'layers', kept, shrunk: dropBlocks(model, rows) } as const;
  return structurePlan('layers', model, request, structure, new Set(tensors.filter((_, i) => model.roles[i].layer !== null && model.roles[i].parameter).map(({ name }) => name)), [], influences?.summary);
}

/** The mean |w| over the prunable weights of every block. */
async function* meanMagnitudes(model: Model, within: readonly { readonly info: TensorInfo; readonly role: TensorRole }[], blocks: number, tools: PlanTools, signal?: AbortSignal): Job<Float64Array> {
  const sums = new Float64Array(blocks), counts = new Float64Array(blocks);
  const prunable = within.filter(({ role }) => role.prunable), total = prunable.reduce((sum, { info }) => sum + valueBytes(info), 0);
  let done = 0;
  for (const { info, role } of prunable) {
    yield { stage: 'score', done, total, unit: 'bytes' };
    yield* overValues(model.checkpoint, info, tools.io, (value) => { sums[role.layer!] += Math.abs(value); }, (bytes) => { done += bytes; }, signal);
    counts[role.layer!] += info.elements;
  }
  return sums.map((sum, block) => sum / Math.max(1, counts[block]));
}

/** The influence of every block by `stack layer`, over the calibration text; null where none is asked for. @throws CheckpointError `calibration-impossible` */
async function* influenceOfBlocks(model: Model, tools: PlanTools, signal?: AbortSignal): Job<{ readonly of: ReadonlyMap<string, number>; readonly summary: CalibrationSummary } | null> {
  if (!tools.calibrate) return null;
  const of = new Map<string, number>(), roleOf = new Map(model.checkpoint.tensors.map(({ name }, i) => [name, model.roles[i]]));
  const look = async function* ({ inputs, influence }: BlockStatistics): Job<ReadonlyMap<string, WeightRule>> {
    yield* [];
    const [name] = inputs.keys(), { layer, stack } = roleOf.get(name)!;
    if (influence === null || influence === undefined) throw new CheckpointError('calibration-impossible', { file: model.checkpoint.path, tensor: name }, 'what flows through its block cannot be compared');
    of.set(`${stack ?? ''} ${layer}`, influence);
    return new Map<string, WeightRule>();
  };
  const names = new Set(model.checkpoint.tensors.filter((_, i) => model.roles[i].layer !== null && model.roles[i].prunable).map(({ name }) => name));
  const summary = yield* tools.calibrate('norms', names, look, signal, 'dense');
  return { of, summary };
}

/** Whole blocks: the network gets shallower. */
export const layers: PruningMethod = {
  id: 'layers',
  title: 'Layers',
  summary: 'Takes out the blocks that change least what flows through them (with a calibration text), or whose weights are smallest.',
  defaultScope: 'global',
  scopes: ['global'],
  patterns: ['unstructured'],
  allocations: ['uniform'],
  needs: null,
  takes: 'norms',
  structured: true,
  parameters: [],
  source: null,
  plan,
};
