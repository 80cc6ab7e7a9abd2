import path from 'node:path';
import type { Problem } from '../../core/errors';
import { openModel } from '../../core/models/openModel';
import { planMasks } from '../../core/pruning/masks';
import { writePruned } from '../../core/pruning/writePruned';
import { resolveTarget } from '../../core/pruning/target';
import { makePool } from '../../core/workers/pool';
import type { ApplyJson } from '../../protocol/verbs';
import { problemJson } from '../encode';
import { formatBytes, printable } from '../progressBar';
import { writtenOtherwise } from '../pruneOutput';
import { sentenceOf } from '../sentences';
import { percent } from '../table';
import type { Verb } from './contract';

/** `winnow apply`: puts the masks of one pruning on another checkpoint of the same shapes. */
export const apply: Verb<'apply'> = {
  name: 'apply',
  usage: 'MASKS CHECKPOINT [--out PATH]',
  summary: 'Zero the weights that masks (of `prune --masks`) zero, in another checkpoint of the same shapes.',
  flags: [{ name: 'out', value: 'PATH', help: 'a folder, or a file ending in .safetensors (default: NAME-masked beside the checkpoint)' }],
  positional: [2, 2],

  async *run(args, context) {
    const started = performance.now();
    const [masks, checkpoint] = args.positional.map((word) => path.resolve(context.cwd, word));
    const model = openModel(checkpoint), given = args.text('out');
    const target = resolveTarget(model.checkpoint, { out: given === undefined ? null : path.resolve(context.cwd, given), force: context.force, suffix: 'masked' });
    const pool = makePool({ threads: context.threads });
    try {
      const plan = yield* planMasks(model, masks, pool, context.io, context.signal);
      const written = yield* writePruned(model, plan, { out: target.path, force: context.force, io: context.io }, pool, context.signal);
      const fraction = (part: number, whole: number): number | null => (whole > 0 ? part / whole : null);
      return {
        out: written.out, masks, maskedParameters: plan.scopeParameters, prunedParameters: plan.selected, changed: [...written.changed.values()].reduce((sum, changed) => sum + changed, 0),
        tensors: plan.tensors.map(({ name, elements, zerosBefore, zerosAfter }) => ({ name, parameters: elements, sparsityBefore: fraction(zerosBefore, elements), sparsityAfter: fraction(zerosAfter, elements), changed: written.changed.get(name) ?? 0 })),
        bytes: written.bytes, seconds: (performance.now() - started) / 1000, problems: [...model.problems, ...writtenOtherwise(model)].map(problemJson),
      };
    } finally {
      await pool.close();
    }
  },

  text(output: ApplyJson): string {
    const count = (value: number): string => value.toLocaleString('en');
    return [
      `masks of ${output.tensors.length} tensors: ${count(output.prunedParameters)} of ${count(output.maskedParameters)} weights are zero now (${percent(output.maskedParameters > 0 ? output.prunedParameters / output.maskedParameters : null)}); ${count(output.changed)} newly zeroed`,
      `written in ${output.seconds.toFixed(1)} s: ${printable(output.out)} (${formatBytes(output.bytes)})`,
      ...output.problems.map((problem) => `! ${sentenceOf(problem as Problem)}`),
    ].join('\n');
  },
};
