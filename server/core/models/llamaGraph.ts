import type { Checkpoint } from '../formats/contract';
import { activationBytesPerToken } from '../graph/activationBytes';
import { activations } from '../graph/activations';
import { attention, attentionContext, softcapped } from '../graph/attention';
import { GraphBuilder } from '../graph/builder';
import type { Value } from '../graph/builder';
import type { GraphOptions, ModelGraph } from '../graph/contract';
import { decoderInputs, lossOutputs } from '../graph/lossHead';
import { Weights, modelGraph } from '../graph/weights';
import { readLlamaConfig } from './llamaConfig';
import type { LlamaConfig } from './llamaConfig';
import { experts } from './moe';
import { ropeTables } from './rope';
import { textPart } from './textPart';
import { tiedTables } from './tiedTables';

/**
 * Llama and its kin (Mistral, Qwen2, Qwen3, SmolLM, Gemma): RMSNorm, rotary positions, grouped queries, gated MLP, Linear
 * matrices stored (out, in).
 *
 * @throws CheckpointError `no-config`, `unsupported-config`, `tensor-missing`, `tensor-shape-differs`, `unsupported-dtype`
 */
export function buildLlamaGraph(checkpoint: Checkpoint, options: GraphOptions): ModelGraph {
  const { config, prefix, head: headName } = textPart(checkpoint), c = readLlamaConfig(config);
  const g = new GraphBuilder('llama');
  const weights = new Weights(g, checkpoint, options);
  const tables = tiedTables(checkpoint, `${prefix}embed_tokens.weight`, headName, c.tied);
  const inputs = decoderInputs(g);
  const context = attentionContext(g, inputs.inputIds, inputs.length, options.plainAttention ?? false);
  const rope = ropeTables(g, c.rope, options.context, inputs.length), localRope = c.localRope ? ropeTables(g, c.localRope, options.context, inputs.length) : rope;
  // Gemma stores how far a norm's weight is from one.
  const scaleOf = (name: string, width: number): Value => (c.gemma ? g.op('Add', [weights.f32(name, [width]), g.float(1)]) : weights.f32(name, [width]));
  const norm = (x: Value, name: string, width = c.width): Value =>
    g.op('SimplifiedLayerNormalization', [x, scaleOf(`${name}.weight`, width)], { axis: { i: -1 }, epsilon: { f: c.epsilon } });
  const linear = (x: Value, name: string, bias: boolean, from: number, to: number): Value =>
    weights.linear(x, `${name}.weight`, bias ? `${name}.bias` : null, { in: from, out: to }, 'out-in');
  /** RMSNorm over each head: (rows, heads * headDim) -> the same shape. */
  const headNorm = (x: Value, name: string, heads: number): Value => (c.headNorms ? g.reshape(norm(g.reshape(x, [-1, c.headDim]), name, c.headDim), [-1, heads * c.headDim]) : x);

  let hidden = g.reshape(weights.rows(tables.embedding, [c.vocab, c.width], inputs.inputIds), [-1, c.width]);
  if (c.gemma) hidden = g.op('Mul', [hidden, g.float(c.gemma.embedScale)]);
  const after = (x: Value, name: string): Value => (c.gemma?.fourNorms ? norm(x, name) : x);
  const beforeMlp = c.gemma?.fourNorms ? 'pre_feedforward_layernorm' : 'post_attention_layernorm';
  for (let layer = 0; layer < c.layers; layer++) {
    g.boundary(hidden);
    const block = `${prefix}layers.${layer}`;
    const [qWidth, kvWidth] = [c.heads * c.headDim, c.kvHeads * c.headDim];
    const normed = norm(hidden, `${block}.input_layernorm`);
    const q = headNorm(linear(normed, `${block}.self_attn.q_proj`, c.bias.qkv, c.width, qWidth), `${block}.self_attn.q_norm`, c.heads);
    const k = headNorm(linear(normed, `${block}.self_attn.k_proj`, c.bias.qkv, c.width, kvWidth), `${block}.self_attn.k_norm`, c.kvHeads);
    const v = linear(normed, `${block}.self_attn.v_proj`, c.bias.qkv, c.width, kvWidth);
    const mixed = attention(g, context, q, k, v, {
      heads: c.heads, kvHeads: c.kvHeads, headDim: c.headDim, scale: c.scale, slidingWindow: slidingWindow(c, layer, options),
      softcap: c.gemma?.attentionCap ?? null, rope: c.windows[layer] === null ? rope : localRope,
    });
    hidden = g.op('Add', [hidden, after(linear(mixed, `${block}.self_attn.o_proj`, c.bias.out, qWidth, c.width), `${block}.post_attention_layernorm`)]);
    const normedMlp = norm(hidden, `${block}.${beforeMlp}`);
    if (c.moe?.sparse[layer]) {
      hidden = g.op('Add', [hidden, experts(g, weights, c.moe, block, normedMlp, c)]);
      continue;
    }
    const gate = activations[c.activation](g, linear(normedMlp, `${block}.mlp.gate_proj`, c.bias.mlp, c.width, c.inner));
    const up = linear(normedMlp, `${block}.mlp.up_proj`, c.bias.mlp, c.width, c.inner);
    hidden = g.op('Add', [hidden, after(linear(g.op('Mul', [gate, up]), `${block}.mlp.down_proj`, c.bias.mlp, c.inner, c.width), `${block}.post_feedforward_layernorm`)]);
  }
  g.boundary(hidden);

  const head = (rows: Value): Value => {
    const logits = weights.linear(norm(rows, `${prefix}norm`), tables.head, null, { in: c.width, out: c.vocab }, 'out-in');
    return c.gemma?.logitCap ? softcapped(g, logits, c.gemma.logitCap) : logits;
  };
  lossOutputs(g, inputs, hidden, head, c, options);
  return modelGraph(g, weights, {
    ...(!options.plainAttention && { portableBytes: () => buildLlamaGraph(checkpoint, { ...options, plainAttention: true }).bytes }),
    activationBytesPerToken: activationBytesPerToken({ ...c, inner: 2 * Math.max(c.inner, c.moe ? c.moe.perToken * c.moe.inner + (c.moe.shared ?? 0) : 0), width: Math.max(c.width, c.heads * c.headDim), context: options.context, plainAttention: options.plainAttention ?? false }),
    vocabSize: c.vocab,
  });
}

/** A window as long as the context or longer hides nothing. */
function slidingWindow(c: LlamaConfig, layer: number, options: GraphOptions): number | null {
  const window = c.windows[layer];
  return window !== null && window < options.context ? window : null;
}
