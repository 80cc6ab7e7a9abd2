import { tmpdir } from 'node:os';
import type { IoMode } from '../bytes/byteSource';
import { CheckpointError } from '../errors';
import { evaluateModel } from '../evaluation/evaluate';
import type { Evaluation, EvaluationRequest } from '../evaluation/contract';
import { prepareText } from '../evaluation/prepareText';
import type { PublishedValue } from '../evaluation/published';
import type { Job } from '../job';
import { openModel } from '../models/openModel';
import { makePool } from '../workers/pool';
import { planCells } from './plan';
import { runCell } from './runCell';
import { Workshop } from './workshop';

export interface ReproduceOptions { readonly threads: number; readonly io: IoMode; readonly dataFolder: string | null; readonly winnow: string }

/**
 * Evaluates a checkpoint the way a published value was computed; one that was pruned is pruned first, as a cell of a sweep.
 *
 * @throws CheckpointError `unknown-method` for a method that this version does not have; as `evaluateModel` and `runCell`
 */
export async function* reproduceValue({ request, pruned }: Pick<PublishedValue, 'request' | 'pruned'>, checkpoint: string, options: ReproduceOptions, signal: AbortSignal): Job<Evaluation | Omit<Evaluation, 'losses'>> {
  const asked: EvaluationRequest = { ...request, provider: 'cpu', threads: options.threads, dataFolder: options.dataFolder };
  const model = openModel(checkpoint);
  if (!pruned) return yield* evaluateModel(model, asked, signal);
  const { setup } = prepareText(model, asked);
  const [, cell] = planCells({
    checkpoint, methods: [pruned.method], levels: [pruned.level], scope: pruned.scope, pattern: 'unstructured', include: [], exclude: [], seed: 0, benchmarks: [request.benchmark],
    protocol: setup.protocol, context: setup.context, stride: setup.stride, limit: request.limit, provider: 'cpu', threads: options.threads, dataFolder: options.dataFolder, runtime: false,
  });
  const pool = makePool({ threads: options.threads });
  const workshop = new Workshop({ pool, io: options.io, scratch: tmpdir() });
  try {
    const { result } = yield* runCell(cell, workshop, options.winnow, signal);
    if (result.evaluation === null) throw new CheckpointError(result.problem?.code ?? 'not-finite', result.problem?.where ?? {}, result.problem?.detail ?? '');
    return result.evaluation;
  } finally {
    await workshop.close();
    await pool.close();
  }
}
