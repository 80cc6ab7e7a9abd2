import { sharedCopies } from '../core/models/sharedCopies';
import type { Problem } from '../core/errors';
import { formatOf } from '../core/formats/registry';
import { isRewritten } from '../core/formats/written';
import type { Model } from '../core/models/contract';
import { countedAsParameters } from '../core/models/counting';
import type { PrunePlan } from '../core/pruning/contract';
import { optionWords } from '../core/pruning/options';
import { patternText } from '../core/pruning/pattern';
import type { PruneJson, PruneNeedsJson } from '../protocol/verbs';
import { numOrNull, problemJson } from './encode';

/** What was written, or what would be (`needs`). */
export interface PruneOutcome {
  readonly out: string;
  readonly format: string;
  readonly bytes: number;
  readonly seconds: number;
  /** Newly zeroed weights of each tensor in scope; missing in a dry run, which counts them from the plan. */
  readonly changed?: ReadonlyMap<string, number>;
  readonly manifest: string | null;
  readonly masks: string | null;
  /** Of a dry run. */
  readonly needs?: PruneNeedsJson;
  readonly problems: readonly Problem[];
}

/** What `prune --json` prints. */
export function pruneJson(model: Model, plan: PrunePlan, outcome: PruneOutcome): PruneJson {
  const counted = countedAsParameters(model), { request } = plan;
  const roles = new Map(model.checkpoint.tensors.map((tensor, i) => [tensor.name, model.roles[i]]));
  const parameters = model.checkpoint.tensors.reduce((sum, tensor, i) => sum + (counted[i] ? tensor.elements : 0), 0);
  const pruned = plan.tensors.reduce((sum, tensor) => sum + tensor.zerosAfter, 0);
  const changedOf = (tensor: PrunePlan['tensors'][number]): number => (outcome.changed ? outcome.changed.get(tensor.name) ?? 0 : tensor.zerosAfter - tensor.zerosBefore);
  return {
    out: outcome.out,
    method: plan.method,
    scope: request.scope,
    pattern: patternText(request.pattern),
    options: optionWords({ ...request, method: plan.method }),
    target: request.sparsity,
    achieved: fraction(pruned, plan.scopeParameters),
    achievedTotal: fraction(pruned, parameters),
    threshold: numOrNull(plan.threshold),
    scopeParameters: plan.scopeParameters,
    selected: plan.selected,
    changed: plan.tensors.reduce((sum, tensor) => sum + changedOf(tensor), 0),
    prunedParameters: pruned,
    tensors: plan.tensors.map((tensor) => {
      const role = roles.get(tensor.name);
      return {
        name: tensor.name, parameters: tensor.elements, layer: role?.layer ?? null, ...(role?.stack && { stack: role.stack }),
        sparsityBefore: plan.structure ? null : fraction(tensor.zerosBefore, tensor.elements), sparsityAfter: fraction(tensor.zerosAfter, tensor.elements), changed: changedOf(tensor),
      };
    }),
    format: outcome.format,
    bytes: outcome.bytes,
    seconds: outcome.seconds,
    manifest: outcome.manifest,
    calibration: plan.calibration ?? null,
    masks: outcome.masks,
    dryRun: outcome.needs !== undefined,
    ...(outcome.needs && { needs: outcome.needs }),
    ...(plan.structure && { structure: { unit: plan.structure.unit, parameters: parameters - pruned, blocks: plan.structure.kept.map(({ block, of, units }) => ({ block, of, kept: [...units] })) } }),
    problems: [...model.problems, ...plan.problems, ...outcome.problems].map(problemJson),
  };
}

const fraction = (part: number, whole: number): number | null => (whole > 0 ? part / whole : null);

/** Formats that are only read are written as safetensors, and that is said. */
export const writtenOtherwise = (model: Model, { checkpoint } = model): Problem[] => (checkpoint.packing !== undefined
  ? [{ code: 'other-format-written', where: { file: checkpoint.path }, detail: checkpoint.packing === 'torch-masks' ? 'its masks are applied, and its weights have the names that the model uses' : `its ${checkpoint.packing} layout is written dense; --format keeps it packed` }]
  : isRewritten(checkpoint) ? [{ code: 'other-format-written', where: { file: checkpoint.path }, detail: `${formatOf(checkpoint.format).title} is read, not written; ${writtenChanges(model)}` }] : []);

/** What a person finds changed in the copy. */
function writtenChanges(model: Model): string {
  const { tensors, problems } = model.checkpoint, shared = [...sharedCopies(model)];
  const renamed = tensors.some(({ storedName }) => storedName !== undefined);
  const changes = [renamed ? `tensors have the names that ${problems.some(({ code }) => code === 'prefix-removed') ? 'the model itself gives them' : 'transformers uses'}` : '', tensors.some(({ storedDtype }) => storedDtype !== undefined) ? 'quantised weights are written as they decode' : '',
    shared.length > 0 ? `${shared.map(([copy, kept]) => `${copy} is ${kept}`).join(', ')} and not stored a second time` : ''].filter(Boolean);
  return changes.length === 0 ? 'names, shapes and dtypes stay' : changes.join(', ');
}
