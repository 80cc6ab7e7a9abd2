import { CheckpointError } from '../errors';
import type { Checkpoint } from '../formats/contract';
import type { GraphBuilder, Value } from '../graph/builder';
import type { Weights } from '../graph/weights';
import { activations } from '../graph/activations';
import { tiedTables } from './tiedTables';

/** Where a masked-LM head keeps its parts: a dense layer, a norm, a table (the embedding, unless its own is stored) and a bias. */
export interface HeadNames {
  readonly dense: string;
  readonly norm: string;
  /** Full name of the scoring table, null when it is always the embedding. */
  readonly table: string | null;
  /** Full names, the first that is stored is used. */
  readonly bias: readonly string[];
}

export interface HeadShape {
  readonly width: number;
  /** Width of the embedding, which the dense layer comes down to. */
  readonly embedding: number;
  readonly vocab: number;
  readonly epsilon: number;
  readonly activation: string;
}

/** `gamma` and `beta` are what TensorFlow's conversions call a norm's two vectors. */
export function layerNorm(g: GraphBuilder, weights: Weights, x: Value, name: string, width: number, epsilon: number): Value {
  const old = !weights.has(`${name}.weight`) && weights.has(`${name}.gamma`);
  const [scale, shift] = old ? ['gamma', 'beta'] : ['weight', 'bias'];
  return g.op('LayerNormalization', [x, weights.f32(`${name}.${scale}`, [width]), weights.f32(`${name}.${shift}`, [width])], { axis: { i: -1 }, epsilon: { f: epsilon } });
}

/**
 * The head that is in the file: of the candidates the first of which dense layer and norm are stored.
 *
 * @throws CheckpointError `head-missing` with the names that were looked for: a head made up would be a random number
 */
export function findMaskedHead(checkpoint: Checkpoint, weights: Weights, candidates: readonly HeadNames[]): HeadNames {
  const found = candidates.find((head) => weights.has(`${head.dense}.weight`));
  if (found) return found;
  const names = candidates.map((head) => `${head.dense}.weight`);
  throw new CheckpointError('head-missing', { file: checkpoint.path }, `looked for ${names.join(' and ')}`);
}

/** (rows, width) -> logits (rows, vocab) */
export function maskedHead(g: GraphBuilder, checkpoint: Checkpoint, weights: Weights, names: HeadNames, embedding: string, c: HeadShape): (rows: Value) => Value {
  const table = names.table === null ? embedding : tiedTables(checkpoint, embedding, names.table, true).head;
  const bias = names.bias.find((name) => weights.has(name)) ?? names.bias[0];
  return (rows) => {
    const dense = weights.linear(rows, `${names.dense}.weight`, `${names.dense}.bias`, { in: c.width, out: c.embedding }, 'out-in');
    const normed = layerNorm(g, weights, activations[c.activation](g, dense), names.norm, c.embedding, c.epsilon);
    return weights.linear(normed, table, bias, { in: c.embedding, out: c.vocab }, 'out-in');
  };
}
