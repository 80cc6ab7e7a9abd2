import { withText, writeValues } from '../../convert';
import { CheckpointError } from '../../errors';
import type { Job } from '../../job';
import type { Model } from '../../models/contract';
import { sharedCopies } from '../../models/sharedCopies';
import type { PrunePlan, StructurePlan } from '../contract';
import { percentName, resolveTarget } from '../target';
import type { WriteOptions, WrittenCheckpoint } from '../writePruned';

/**
 * Writes the smaller model as safetensors with the configuration that goes with it. Streams by windows; written beside and renamed.
 *
 * @throws CheckpointError `usage` where `out` is a file (a configuration has to go with the weights), and as `resolveTarget` and `publish`
 */
export async function* writeStructured(model: Model, plan: PrunePlan, structure: StructurePlan, options: WriteOptions, signal?: AbortSignal): Job<WrittenCheckpoint> {
  const suffix = `${plan.method}-${percentName(plan.request.sparsity)}`;
  const target = resolveTarget(model.checkpoint, { out: options.out, force: options.force, suffix, as: 'safetensors' });
  if (target.kind === 'file') throw new CheckpointError('usage', { file: target.path }, `--out must be a folder: ${plan.method} changes config.json too`);
  const changed = new Map(plan.tensors.map(({ name, zerosAfter }) => [name, zerosAfter])), { account } = options;
  const { files, bytes } = yield* writeValues(structure.shrunk, target, { io: options.io, dtype: null, anew: true, leftOut: sharedCopies({ ...model, checkpoint: structure.shrunk }), ...(account && { account: (written) => account(changed, written) }) },
    (sidecar) => (sidecar.name === 'config.json' ? withText(sidecar, structure.shrunk.config) : sidecar), signal);
  return { out: target.path, kind: target.kind, files, bytes, changed };
}
