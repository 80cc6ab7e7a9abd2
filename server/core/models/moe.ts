import { activations } from '../graph/activations';
import type { GraphBuilder, Value } from '../graph/builder';
import type { Weights } from '../graph/weights';
import type { ConfigReader } from './graphConfig';

/** A mixture of experts in place of a block's MLP, and how a family names its parts. */
export interface Moe {
  readonly experts: number;
  /** Experts that each token is sent to. */
  readonly perToken: number;
  readonly inner: number;
  /** Whether the weights of the chosen experts are made to sum to one. */
  readonly normalised: boolean;
  /** Width of the expert that every token visits, gated by a sigmoid; null where there is none. */
  readonly shared: number | null;
  /** Blocks that have experts; the others have a plain MLP. */
  readonly sparse: readonly boolean[];
  /** Below the block: where the router and the experts are, and what gate, up and down are called. */
  readonly at: string;
  readonly parts: readonly [gate: string, up: string, down: string];
}

/** @throws CheckpointError `unsupported-config` */
export function readMoe(config: ConfigReader, type: string, layers: number): Moe | null {
  if (type !== 'mixtral' && type !== 'qwen2_moe' && type !== 'qwen3_moe') return null;
  const mixtral = type === 'mixtral', second = type === 'qwen2_moe';
  const experts = mixtral ? config.count('num_local_experts', 8, 4096) : config.count('num_experts', second ? 60 : 128, 4096);
  const perToken = config.count('num_experts_per_tok', mixtral ? 2 : second ? 4 : 8, 4096);
  if (perToken > experts) config.refuse('num_experts_per_tok', `is above the ${experts} experts`);
  if (mixtral) {
    return { experts, perToken, inner: config.count('intermediate_size', 14336), normalised: true, shared: null, sparse: Array<boolean>(layers).fill(true), at: 'block_sparse_moe', parts: ['w1', 'w3', 'w2'] };
  }
  const step = config.count('decoder_sparse_step', 1), plain: unknown = config.json.mlp_only_layers ?? [];
  if (!Array.isArray(plain) || plain.some((layer) => typeof layer !== 'number')) config.refuse('mlp_only_layers', 'expected a list of numbers');
  return {
    experts, perToken, inner: config.count('moe_intermediate_size', second ? 1408 : 768), normalised: config.flag('norm_topk_prob', false),
    shared: second ? config.count('shared_expert_intermediate_size', 5632) : null,
    sparse: Array.from({ length: layers }, (_, layer) => !(plain as unknown[]).includes(layer) && (layer + 1) % step === 0),
    at: 'mlp', parts: ['gate_proj', 'up_proj', 'down_proj'],
  };
}

/**
 * x (rows, width) through the experts its router chooses: softmax over all, the best few, and each expert runs over the
 * rows that were sent to it alone.
 */
export function experts(g: GraphBuilder, weights: Weights, moe: Moe, block: string, x: Value, c: { readonly width: number; readonly activation: string }): Value {
  const at = `${block}.${moe.at}`;
  const linear = (rows: Value, name: string, from: number, to: number): Value => weights.linear(rows, `${name}.weight`, null, { in: from, out: to }, 'out-in');
  const mlp = (rows: Value, name: string, inner: number, parts: Moe['parts']): Value => {
    const gate = activations[c.activation](g, linear(rows, `${name}.${parts[0]}`, c.width, inner));
    return linear(g.op('Mul', [gate, linear(rows, `${name}.${parts[1]}`, c.width, inner)]), `${name}.${parts[2]}`, inner, c.width);
  };

  const odds = g.op('Softmax', [linear(x, `${at}.gate`, c.width, moe.experts)], { axis: { i: 1 } });
  const [best, chosen] = g.ops('TopK', [odds, g.ints64([moe.perToken])], 2, { axis: { i: 1 } });
  const shares = moe.normalised ? g.op('Div', [best, g.op('ReduceSum', [best, g.ints64([1])], { keepdims: { i: 1 } })]) : best;
  let sum = g.op('Expand', [g.float(0), g.op('Shape', [x])]);
  for (let expert = 0; expert < moe.experts; expert++) {
    // (rows, perToken) -> the rows, and which of a row's choices this expert is.
    const sent = g.op('NonZero', [g.op('Equal', [chosen, g.ints64([expert], [])])]);
    const rows = g.op('Gather', [sent, g.ints64([0], [])], { axis: { i: 0 } });
    const share = g.reshape(g.op('GatherND', [shares, g.op('Transpose', [sent], { perm: { is: [1, 0] } })]), [-1, 1]);
    const answer = g.op('Mul', [mlp(g.op('Gather', [x, rows], { axis: { i: 0 } }), `${at}.experts.${expert}`, moe.inner, moe.parts), share]);
    sum = g.op('ScatterND', [sum, g.reshape(rows, [-1, 1]), answer], { reduction: { s: 'add' } });
  }
  if (moe.shared === null) return sum;
  const open = g.op('Sigmoid', [linear(x, `${at}.shared_expert_gate`, c.width, 1)]);
  return g.op('Add', [sum, g.op('Mul', [open, mlp(x, `${at}.shared_expert`, moe.shared, moe.parts)])]);
}
