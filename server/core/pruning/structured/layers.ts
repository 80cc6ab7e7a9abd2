import { CheckpointError, throwIfCancelled } from '../../errors';
import type { Job } from '../../job';
import type { Model, Stack } from '../../models/contract';
import { valueBytes } from '../../tensor/tensorInfo';
import type { PlanTools, PrunePlan, PruneRequest, PruningMethod } from '../contract';
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
  const rows: KeptBlocks[] = [], kept: { block: string; of: number; units: readonly number[] }[] = [];
  for (const [stack, key] of stacks) {
    const within = tensors.map((info, i) => ({ info, role: model.roles[i] })).filter(({ role }) => role.layer !== null && (role.stack ?? null) === stack);
    const blocks = 1 + within.reduce((most, { role }) => Math.max(most, role.layer!), -1);
    if (blocks === 0) throw new CheckpointError('unsupported-structure', { file: model.checkpoint.path }, `no ${stack ?? ''} blocks were found`.replace('  ', ' '));
    const guarded = new Set(within.filter(({ info }) => excluded.some((matches) => matches(info.name))).map(({ role }) => role.layer!));
    const sums = new Float64Array(blocks), counts = new Float64Array(blocks);
    const prunable = within.filter(({ role }) => role.prunable), total = prunable.reduce((sum, { info }) => sum + valueBytes(info), 0);
    let done = 0;
    for (const { info, role } of prunable) {
      yield { stage: 'score', done, total, unit: 'bytes' };
      yield* overValues(model.checkpoint, info, tools.io, (value) => { sums[role.layer!] += Math.abs(value); }, (bytes) => { done += bytes; }, signal);
      counts[role.layer!] += info.elements;
    }
    const gone = goneOf(blocks, request.sparsity), stays = keepBest(sums.map((sum, block) => sum / Math.max(1, counts[block])), gone, guarded);
    if (stays.length > blocks - gone) throw new CheckpointError('nothing-in-scope', { file: model.checkpoint.path }, `${gone} of ${blocks} blocks are to go, ${guarded.size} are excluded`);
    rows.push({ stack, key, blocks, kept: stays });
    kept.push({ block: stack ?? 'all', of: blocks, units: stays });
  }
  const structure = { unit: 'layers', kept, shrunk: dropBlocks(model, rows) } as const;
  return structurePlan('layers', model, request, structure, new Set(tensors.filter((_, i) => model.roles[i].layer !== null && model.roles[i].parameter).map(({ name }) => name)), []);
}

/** Whole blocks: the network gets shallower. */
export const layers: PruningMethod = {
  id: 'layers',
  title: 'Layers',
  summary: 'Takes out the blocks whose weights are smallest on average: a shallower, faster model.',
  defaultScope: 'global',
  scopes: ['global'],
  patterns: ['unstructured'],
  allocations: ['uniform'],
  needs: null,
  structured: true,
  parameters: [],
  source: null,
  plan,
};
