import { CheckpointError } from '../errors';
import { buildOnnxFileGraph } from '../graph/onnxFileGraph';
import { roleByName } from './fallback';
import type { Architecture, Model } from './contract';

/** Context of a model whose config names none. */
const DEFAULT_CONTEXT = 1024;

/**
 * The architecture of a checkpoint that brings its graph along: that graph, evaluated as a decoder where the config says
 * that it is one (a masked model scored left to right would give a number without meaning).
 *
 * @throws CheckpointError `no-config`, `metric-makes-no-sense`
 */
export function onnxFileArchitecture(model: Model): Architecture & { readonly buildGraph: NonNullable<Architecture['buildGraph']> } {
  const { checkpoint, architecture } = model, { config } = checkpoint, where = { file: checkpoint.path };
  if (config === null) throw new CheckpointError('no-config', where, 'it says whether the graph predicts the next token');
  const classes = Array.isArray(config.architectures) ? config.architectures.filter((name) => typeof name === 'string') : [];
  const isDecoder = classes.some((name) => /(CausalLM|LMHeadModel)$/.test(name)) || (classes.length === 0 && (architecture?.kind === 'decoder' || config.is_decoder === true));
  if (!isDecoder) throw new CheckpointError('metric-makes-no-sense', where, `config.json does not say that it predicts the next token${classes.length > 0 ? ` (${classes[0].slice(0, 60)})` : ''}`);
  return {
    id: architecture?.id ?? 'onnx', title: architecture?.title ?? 'ONNX graph', modelTypes: [], kind: 'decoder',
    matchesNames: () => false, role: architecture?.role ?? roleByName, tied: () => [],
    maxContext: (json) => architecture?.maxContext(json) ?? [json.n_positions, json.max_position_embeddings].find((value) => typeof value === 'number' && Number.isSafeInteger(value) && value > 1) as number | undefined ?? DEFAULT_CONTEXT,
    buildGraph: buildOnnxFileGraph,
  };
}
