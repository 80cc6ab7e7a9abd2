import { CheckpointError, throwIfCancelled } from '../errors';
import type { Job } from '../job';
import type { Model } from '../models/contract';
import { checkMemory } from '../runtime/memory';
import { chooseProvider } from '../runtime/providers';
import { openSession } from '../runtime/session';
import { firstBadTensor } from './badTensor';
import type { Evaluation, EvaluationRequest, PreparedText } from './contract';
import { evaluateWith, tokensAtOnce } from './evaluateWith';
import { withPlainWeights } from './materialise';
import { evaluable, prepareText } from './prepareText';

export { evaluateWith, tokensAtOnce } from './evaluateWith';
export { prepareText, textBenchmark } from './prepareText';

/**
 * One evaluation of one model from start to end: text, graph, memory, session, windows.
 *
 * @throws CheckpointError as `prepareText`, the graph and the session do; `out-of-memory` with numbers before anything starts;
 *   `not-finite` with the first bad tensor
 */
export async function* evaluateModel(model: Model, request: EvaluationRequest, signal?: AbortSignal): Job<Evaluation> {
  const architecture = evaluable(model);
  const prepared = prepareText(model, request);
  yield { stage: 'text read', done: prepared.scoredTokens, total: null, unit: 'tokens', note: `${prepared.windows.length} windows` };
  throwIfCancelled(signal);
  const plain = yield* withPlainWeights(model, null, signal);
  try {
    return yield* evaluatePlain(architecture, plain.model, prepared, request, signal);
  } finally {
    plain.close();
  }
}

async function* evaluatePlain(architecture: ReturnType<typeof evaluable>, model: Model, prepared: PreparedText, request: EvaluationRequest, signal?: AbortSignal): Job<Evaluation> {
  const graph = architecture.buildGraph(model.checkpoint, { masking: 'none', maskable: [], context: prepared.setup.context });
  checkMemory(graph, tokensAtOnce(prepared));
  const provider = await chooseProvider(request.provider);
  const session = await openSession(graph, { provider, threads: request.threads, prepacking: false }, signal);
  try {
    return yield* evaluateWith(session, prepared, null, signal);
  } catch (error) {
    throw withBadTensor(error, model, signal);
  } finally {
    await session.close();
  }
}

/** A `not-finite` error with the tensor it comes from, where one holds NaN or infinity; other errors as they are. */
export function withBadTensor(error: unknown, model: Model, signal?: AbortSignal): unknown {
  if (!(error instanceof CheckpointError) || error.code !== 'not-finite') return error;
  const bad = firstBadTensor(model, signal);
  const where = { file: model.checkpoint.path, ...(bad !== null && { tensor: bad.name }) };
  const detail = bad === null ? `${error.detail}; all weights are finite` : `${error.detail}; first bad tensor ${bad.name}, ${bad.count} ${bad.what}`;
  return new CheckpointError('not-finite', where, detail, { cause: error });
}
