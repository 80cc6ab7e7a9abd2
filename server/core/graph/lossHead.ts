import type { GraphBuilder, Value } from './builder';
import type { GraphOptions } from './contract';

/** The value inside the graph that `withLogProbabilities` names. */
export const LOG_PROBABILITIES = 'log_probabilities';

/** The graph inputs that every decoder shares. */
export interface DecoderInputs {
  readonly inputIds: Value;
  readonly positions: Value;
  readonly targets: Value;
  /** int64 scalar-like vectors [length] and [batch * 1]. */
  readonly length: Value;
}

/** Declares `input_ids`, `positions` and `targets`, int64, (batch, length) and (batch, scored) twice. */
export function decoderInputs(g: GraphBuilder): DecoderInputs {
  const inputIds = g.input('input_ids', 'I64', ['batch', 'length']);
  const positions = g.input('positions', 'I64', ['batch', 'scored']);
  const targets = g.input('targets', 'I64', ['batch', 'scored']);
  return { inputIds, positions, targets, length: g.op('Shape', [inputIds], { start: { i: 1 }, end: { i: 2 } }) };
}

/**
 * Adds the outputs. `hidden` is (batch * length, width) before the last norm; norm and head run on the scored rows
 * only. loss = -log_softmax(z)[target], in F32, safe for any finite logits. (LogSoftmax
 * works in place; ReduceLogSumExp takes twice its time and loses a digit.)
 *
 * @param head (rows, width) -> logits (rows, vocab), the last norm included
 */
export function lossOutputs(g: GraphBuilder, inputs: DecoderInputs, hidden: Value, head: (rows: Value) => Value, size: { readonly width: number; readonly vocab: number }, options: GraphOptions): void {
  const rows = g.op('Add', [inputs.positions, rowOffsets(g, inputs)]);
  const scored = g.op('Gather', [hidden, g.reshape(rows, [-1])], { axis: { i: 0 } });
  const logits = head(scored);
  const target = g.reshape(inputs.targets, [-1, 1]);
  const logProbabilities = g.op('LogSoftmax', [logits], { axis: { i: 1 } });
  const picked = g.op('GatherElements', [logProbabilities, target], { axis: { i: 1 } });
  const losses = g.op('Reshape', [g.op('Neg', [picked]), g.op('Shape', [inputs.targets])]);
  g.output('losses', losses, 'F32', ['batch', 'scored']);
  if (options.withHits) hitsOutput(g, logits, target, inputs.targets);
  if (options.withLogProbabilities) g.alias(LOG_PROBABILITIES, logProbabilities);
  if (!options.withLogits) return;
  const all = g.op('Concat', [g.op('Shape', [inputs.inputIds]), g.ints64([size.vocab])], { axis: { i: 0 } });
  g.output('logits', g.op('Reshape', [head(hidden), all]), 'F32', ['batch', 'length', size.vocab]);
}

/** Adds `hits`, (batch, scored): whether the target is what greedy decoding would write. */
export function hitsOutput(g: GraphBuilder, logits: Value, target: Value, targets: Value): void {
  const best = g.op('ArgMax', [logits], { axis: { i: 1 }, keepdims: { i: 1 } });
  g.output('hits', g.op('Reshape', [g.cast(g.op('Equal', [best, target]), 'F32'), g.op('Shape', [targets])]), 'F32', ['batch', 'scored']);
}

/** (batch, 1): the row of the flat hidden state at which each window begins. */
function rowOffsets(g: GraphBuilder, inputs: DecoderInputs): Value {
  const batch = g.op('Shape', [inputs.inputIds], { start: { i: 0 }, end: { i: 1 } });
  const index = g.op('Range', [g.ints64([0], []), g.op('Squeeze', [batch]), g.ints64([1], [])]);
  return g.op('Mul', [g.reshape(index, [-1, 1]), inputs.length]);
}
