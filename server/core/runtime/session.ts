import { CheckpointError } from '../errors';
import type { ModelGraph } from '../graph/contract';
import type { GraphSession, GraphTensor, Session, SessionAnswer, SessionOptions, WindowBatch } from './contract';
import { openGraphSession } from './graphSession';

/** A model's graph with its loss, window after window. */
class WindowSession implements Session {
  constructor(private readonly graph: ModelGraph, private readonly session: GraphSession) {}

  get provider() {
    return this.session.provider;
  }

  async run(batch: WindowBatch, thresholds: Float32Array | null, signal?: AbortSignal): Promise<SessionAnswer> {
    const { outputs, ms, peakBytes } = await this.session.run(feedsOf(this.graph, batch, thresholds), {}, signal);
    const floats = (name: string): Float32Array => outputs[name].data as Float32Array, has = (name: string): boolean => outputs[name] !== undefined;
    return {
      losses: floats('losses'), ms, peakBytes, ...(has('hits') && { hits: floats('hits') }), ...(has('logits') && { logits: floats('logits') }),
      ...(has('divergence') && { compared: { referenceLosses: floats('reference_losses'), divergence: floats('divergence'), sameTop: floats('same_top') } }),
    };
  }

  close(): Promise<void> {
    return this.session.close();
  }
}

function feedsOf(graph: ModelGraph, batch: WindowBatch, thresholds: Float32Array | null): Parameters<GraphSession['run']>[0] {
  const wanted = graph.thresholdInputs.length;
  if (thresholds && thresholds.length !== wanted) throw new CheckpointError('internal', {}, `${thresholds.length} thresholds for ${wanted} inputs`);
  const scored = batch.targets.length / batch.batch;
  const dims = [batch.batch, scored];
  if ((graph.takesEncoder ?? false) !== (batch.encoder !== undefined)) throw new CheckpointError('internal', {}, batch.encoder ? 'the graph has no encoder' : 'nothing for the encoder');
  return {
    ...(batch.encoder && { encoder_ids: { type: 'int64', data: batch.encoder.ids, dims: [batch.batch, batch.encoder.length] } }),
    input_ids: { type: 'int64', data: batch.inputIds, dims: [batch.batch, batch.length] },
    positions: { type: 'int64', data: batch.positions, dims },
    targets: { type: 'int64', data: batch.targets, dims },
    // Without thresholds nothing is masked: no magnitude is at most -1.
    ...Object.fromEntries(graph.thresholdInputs.map((name, i) => [name, { type: 'float32', data: Float32Array.of(thresholds ? thresholds[i] : -1), dims: [] } satisfies GraphTensor])),
  };
}

/**
 * Opens the graph in a child process of its own. A cancel while it opens ends the child.
 *
 * @throws CheckpointError `runtime-failed` when ONNX Runtime refuses the graph, `child-died` with the signal or exit code
 */
export async function openSession(graph: ModelGraph, options: SessionOptions, signal?: AbortSignal): Promise<Session> {
  const bytes = options.provider === 'cpu' ? graph.bytes : graph.portableBytes?.() ?? graph.bytes;
  return new WindowSession(graph, await openGraphSession(bytes, graph.root, options, signal));
}
