import type { Model } from '../models/contract';
import type { Problem } from '../errors';
import type { CalibrationSummary } from '../calibration/contract';
import type { PrunePlan, PruneRequest } from './contract';
import type { PlannedTensors } from './planned';
import type { PruneScope } from './pruneScope';

/** A plan from its parts, its tensors in the scope's order whatever order they were planned in. */
export function pruningPlan(
  method: string, request: PruneRequest, scope: PruneScope, parts: readonly PlannedTensors[], also: { readonly problems?: readonly Problem[]; readonly calibration?: CalibrationSummary | null } = {},
): PrunePlan {
  const counted = new Map(parts.flatMap(({ tensors }) => tensors.map((tensor) => [tensor.name, tensor] as const)));
  const tensors = scope.tensors.map(({ info }) => counted.get(info.name)!);
  const problems: Model['problems'] = [...scope.problems, ...also.problems ?? [], ...parts.flatMap((part) => part.problems)];
  return {
    method, request, problems, tensors,
    scopeParameters: tensors.reduce((sum, tensor) => sum + tensor.elements, 0),
    selected: parts.reduce((sum, part) => sum + part.selected, 0),
    threshold: parts.length > 0 ? parts[0].threshold : null,
    rules: new Map(parts.flatMap(({ rules }) => [...rules])),
    ...(also.calibration === undefined ? {} : { calibration: also.calibration }),
  };
}
