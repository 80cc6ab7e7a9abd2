import { CheckpointError, throwIfCancelled } from '../errors';
import { besideReference } from '../graph/besideReference';
import type { GraphOptions, ModelGraph } from '../graph/contract';
import type { Job } from '../job';
import type { Model } from '../models/contract';
import { checkMemory, memoryNeed } from '../runtime/memory';
import { againstReference, checkSameWindows } from './against';
import type { Against } from './against';
import { firstBadTensor } from './badTensor';
import type { Evaluation, EvaluationRequest, PreparedText } from './contract';
import { recordComparison } from './divergence';
import { evaluateWith, tokensAtOnce } from './evaluateWith';
import { readingOf } from './explain';
import type { Reading } from './explain';
import { isPrepacked, keepSession } from './keptSession';
import { withPlainWeights } from './materialise';
import type { PlainModel } from './materialise';
import { evaluable, prepareText } from './prepareText';

export { evaluateWith, tokensAtOnce } from './evaluateWith';
export { prepareText, textBenchmark } from './prepareText';

/** One evaluation, with the reference that it was compared with if there was one. */
export interface Evaluated {
  readonly evaluation: Evaluation;
  readonly against: Against | null;
  readonly reading: Reading;
}

/**
 * One evaluation of one model from start to end: text, graph, memory, session, windows.
 *
 * @throws CheckpointError as `prepareText`, the graph and the session do; `out-of-memory` with numbers before anything starts;
 *   `not-finite` with the first bad tensor
 */
export async function* evaluateModel(model: Model, request: EvaluationRequest, signal?: AbortSignal): Job<Evaluation> {
  const [{ evaluation }] = yield* evaluateAll(model, [request], null, signal);
  return evaluation;
}

/**
 * Evaluates a model on several texts or by several protocols, one after the other. All texts are read before anything runs, and a
 * session serves as long as the graph stays the same.
 *
 * @param reference compared with over the same windows, in the same session; null for none
 * @throws CheckpointError as `evaluateModel`; `models-not-comparable` for a reference with other tokens
 */
export async function* evaluateAll(model: Model, requests: readonly EvaluationRequest[], reference: Model | null, signal?: AbortSignal): Job<readonly Evaluated[]> {
  const prepared: PreparedText[] = [];
  for (const request of requests) {
    const text = prepareText(model, request);
    if (reference !== null) checkSameWindows(text, prepareText(reference, request), reference.checkpoint.path);
    prepared.push(text);
    yield { stage: 'text read', done: text.scoredTokens, total: null, unit: 'tokens', note: `${text.windows.length} ${text.windows.length === 1 ? 'window' : 'windows'}` };
    throwIfCancelled(signal);
  }
  const plain: PlainModel[] = [];
  const kept = keepSession();
  try {
    for (const one of reference === null ? [model] : [model, reference]) plain.push(yield* withPlainWeights(one, null, signal));
    const evaluated: Evaluated[] = [];
    for (const [i, text] of prepared.entries()) {
      const graph = graphOf(plain.map((one) => one.model), text), tokens = tokensAtOnce(text);
      const prepacked = isPrepacked(graph);
      checkMemory(graph, tokens, prepacked);
      const { result, remark } = yield* kept.use(graph, requests[i].provider, requests[i].threads, async function* (session): Job<Omit<Evaluated, 'reading'>> {
        const compared = reference === null ? null : recordComparison(session, text.scoredTokens);
        const evaluation = yield* evaluateWith(compared?.session ?? session, text, null, signal, memoryNeed(graph, tokens, prepacked).total);
        return { evaluation, against: compared && againstReference(compared, evaluation, text, reference!.checkpoint.path) };
      }, signal);
      const evaluation = remark ? { ...result.evaluation, problems: [...result.evaluation.problems, remark] } : result.evaluation;
      evaluated.push({ ...result, evaluation, reading: readingOf(text) });
    }
    return evaluated;
  } catch (error) {
    throw withBadTensor(error, plain[0]?.model ?? model, signal);
  } finally {
    await kept.close();
    for (const one of plain) one.close();
  }
}

/** The graph of a model, or of a model and its reference, for one prepared text. */
function graphOf([model, reference]: readonly Model[], { setup, protocol }: PreparedText): ModelGraph {
  const build = (one: Model, options: Partial<GraphOptions>): ModelGraph =>
    evaluable(one).buildGraph(one.checkpoint, { masking: 'none', maskable: [], context: setup.context, ...(reference && { withLogProbabilities: true }), ...options });
  const graph = build(model, protocol.wantsHits ? { withHits: true } : {});
  return reference ? besideReference(graph, build(reference, {})) : graph;
}

/** A `not-finite` error with the tensor it comes from, where one holds NaN or infinity; other errors as they are. */
export function withBadTensor(error: unknown, model: Model, signal?: AbortSignal): unknown {
  if (!(error instanceof CheckpointError) || error.code !== 'not-finite') return error;
  const bad = firstBadTensor(model, signal);
  const where = { file: model.checkpoint.path, ...(bad !== null && { tensor: bad.name }) };
  const detail = bad === null ? `${error.detail}; all weights are finite` : `${error.detail}; first bad tensor ${bad.name}, ${bad.count} ${bad.what}`;
  return new CheckpointError('not-finite', where, detail, { cause: error });
}
