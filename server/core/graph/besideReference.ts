import { CheckpointError } from '../errors';
import { GraphBuilder } from './builder';
import type { Value } from './builder';
import type { ModelGraph } from './contract';
import { LOG_PROBABILITIES } from './lossHead';
import { concatBytes, ProtoWriter } from './protobuf';
import { memoryFields } from './protoFields';
import { externalTensor, GRAPH, renamedNode, renamedTensor, renamedValue, valueName, valuesOfNode } from './renameGraph';

/** In front of every name of the reference. */
const PREFIX = 'reference:';
/** What both models read. */
const SHARED: ReadonlySet<string> = new Set(['input_ids', 'encoder_ids', 'positions', 'targets']);
/** Fields of a ModelProto: what both must agree on, operator sets (8) and functions (25), and the graph itself. */
const MODEL = { graph: 7, opset: 8, functions: 25 } as const;
/** Rows of logits that are alive at once while two distributions are compared, beside those of one model. */
const COMPARED_ROWS = 4;

/**
 * One graph that holds a model and a reference, reads each window once for both, and compares their predictions where they are made:
 * neither logits nor probabilities leave the runtime. Weights that both take from the same bytes are one initializer.
 *
 * Outputs besides `losses`: `reference_losses`, `divergence` and `same_top`, float32 (batch, scored): the losses of the reference, the
 * Kullback-Leibler divergence of the model from it in nats, sum p (log p - log q) with p the reference's, and 1 where both give the
 * highest probability to the same token (the first of equals).
 *
 * @param model and reference: made with `withLogProbabilities`
 * @throws CheckpointError `models-not-comparable` for different vocabularies or kinds
 */
export function besideReference(model: ModelGraph, reference: ModelGraph): ModelGraph {
  const differs = (what: string): CheckpointError => new CheckpointError('models-not-comparable', {}, what);
  if (model.vocabSize !== reference.vocabSize) throw differs(`vocabularies of ${model.vocabSize} and ${reference.vocabSize} entries`);
  if ((model.takesEncoder ?? false) !== (reference.takesEncoder ?? false)) throw differs('only one of them is an encoder-decoder');
  if (model.root !== reference.root) throw new CheckpointError('runtime-failed', {}, `weights lie on two drives, ${model.root} and ${reference.root}`);
  const joined = join(model.bytes, reference.bytes);
  const portable = model.portableBytes ?? reference.portableBytes;
  return {
    ...model, bytes: joined.bytes, weightBytes: model.weightBytes + reference.weightBytes - joined.sharedBytes, foldedBytes: model.foldedBytes + reference.foldedBytes,
    ...(portable && { portableBytes: () => join(model.portableBytes?.() ?? model.bytes, reference.portableBytes?.() ?? reference.bytes).bytes }),
    // One runs after the other and takes over the memory of what it does not need any more.
    activationBytesPerToken: Math.max(model.activationBytesPerToken, reference.activationBytesPerToken) + Math.ceil(COMPARED_ROWS * 4 * model.vocabSize * 7 / 6),
  };
}

interface Parts { readonly others: readonly Uint8Array[]; readonly agreed: readonly string[]; readonly graph: Uint8Array }

function partsOf(bytes: Uint8Array): Parts {
  const others: Uint8Array[] = [], agreed: string[] = [];
  let graph: Uint8Array = new Uint8Array();
  for (const field of memoryFields(bytes)) {
    if (field.number === MODEL.graph) { graph = field.content; continue; }
    others.push(field.raw);
    if (field.number === MODEL.opset || field.number === MODEL.functions) agreed.push(Buffer.from(field.raw).toString('latin1'));
  }
  return { others, agreed: agreed.sort(), graph };
}

function join(modelBytes: Uint8Array, referenceBytes: Uint8Array): { readonly bytes: Uint8Array; readonly sharedBytes: number } {
  const model = partsOf(modelBytes), reference = partsOf(referenceBytes);
  if (model.agreed.join('\n') !== reference.agreed.join('\n')) throw new CheckpointError('models-not-comparable', {}, 'their graphs are of different operator sets');
  const { early, late, sharedBytes } = underPrefix(reference.graph, placesOf(model.graph));
  const compared = comparison();
  // What is made of weights alone goes before everything: see `GraphBuilder.first`.
  const graph = concatBytes([early, model.graph, late, compared.early, compared.late]);
  return { bytes: concatBytes([...model.others, new ProtoWriter().bytes(MODEL.graph, graph).finish()]), sharedBytes };
}

/** Initializers whose bytes lie outside, by where they lie. */
function placesOf(graph: Uint8Array): ReadonlyMap<string, string> {
  const places = new Map<string, string>();
  for (const field of memoryFields(graph)) {
    if (field.number !== GRAPH.initializer) continue;
    const { name, place } = externalTensor(field.content);
    if (place !== null) places.set(place, name);
  }
  return places;
}

/** The reference's nodes and initializers under names of their own, without its outputs and without inputs that the model has too. */
function underPrefix(graph: Uint8Array, places: ReadonlyMap<string, string>): { early: Uint8Array; late: Uint8Array; sharedBytes: number } {
  const known = new Map<string, string>(), ofWeights = new Set<string>(), early: Uint8Array[] = [], late: Uint8Array[] = [], fields = [...memoryFields(graph)];
  let sharedBytes = 0;
  for (const { number, content } of fields) {
    if (number === GRAPH.sparse) throw new CheckpointError('models-not-comparable', {}, 'the graph has sparse initializers');
    if (number !== GRAPH.initializer) continue;
    const { name, place, byteLength } = externalTensor(content), same = place === null ? undefined : places.get(place);
    ofWeights.add(name);
    if (same === undefined) continue;
    known.set(name, same);
    sharedBytes += byteLength;
  }
  const rename = (name: string): string => known.get(name) ?? (SHARED.has(name) ? name : `${PREFIX}${name}`);
  for (const { number, content } of fields) {
    const put = (bytes: Uint8Array): Uint8Array => new ProtoWriter().bytes(number, bytes).finish();
    if (number === GRAPH.node) {
      const { inputs, outputs, hasGraphs } = valuesOfNode(content);
      const isOfWeights = !hasGraphs && inputs.every((input) => ofWeights.has(input));
      if (isOfWeights) outputs.forEach((output) => ofWeights.add(output));
      (isOfWeights ? early : late).push(put(renamedNode(content, rename)));
    } else if (number === GRAPH.initializer) {
      if (!known.has(externalTensor(content).name)) late.push(put(renamedTensor(content, rename)));
    } else if (number === GRAPH.input) {
      const name = valueName(content);
      if (!SHARED.has(name) && !known.has(name)) late.push(put(renamedValue(content, rename)));
    }
  }
  return { early: concatBytes(early), late: concatBytes(late), sharedBytes };
}

/**
 * The nodes that compare. The divergence is summed as p (log p - log q) + (q - p): both sum to one, so the second part is zero but for
 * rounding, and with it an error of a logarithm counts only as far as p and q differ.
 */
function comparison(): { readonly early: Uint8Array; readonly late: Uint8Array } {
  const g = new GraphBuilder('compared', 'compare:');
  const logQ = LOG_PROBABILITIES, logP = `${PREFIX}${LOG_PROBABILITIES}`, shape = g.op('Shape', ['targets']);
  const output = (name: string, rows: Value): void => g.output(name, g.op('Reshape', [rows, shape]), 'F32', ['batch', 'scored']);
  const p = g.op('Exp', [logP]);
  const terms = g.op('Add', [g.op('Mul', [p, g.op('Sub', [logP, logQ])]), g.op('Sub', [g.op('Exp', [logQ]), p])]);
  output('divergence', g.op('ReduceSum', [terms, g.ints64([1])], { keepdims: { i: 0 } }));
  const top = (rows: Value): Value => g.op('ArgMax', [rows], { axis: { i: 1 }, keepdims: { i: 0 } });
  output('same_top', g.cast(g.op('Equal', [top(logP), top(logQ)]), 'F32'));
  g.output('reference_losses', `${PREFIX}losses`, 'F32', ['batch', 'scored']);
  return g.fragment();
}
