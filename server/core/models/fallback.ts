import type { Role, Stack, TensorRole } from './contract';
import { isTied } from './config';

/** A longer name is a joke or an attack: the patterns below may take time quadratic in it. */
const MAX_NAME = 512;

/** Values that are computed, not learned. */
const BUFFER = /(^|\.)(position_ids|token_type_ids|inv_freq|rope_freqs\.weight|rope_factors_(long|short)\.weight|masked_bias|causal_mask|num_batches_tracked|running_mean|running_var)$|(^|\.)(attn|attention)\.bias$/;
const NORM = /norm|(^|[._])ln(_\w+|\d+)?(\.|$)|(^|\.)bn\d*(\.|$)/i;
const POSITION = /pos(ition)?s?[_.]?(emb|enc|table)|position|wpe|relative_attention_bias|rel_emb|rotary/i;
const EMBEDDING = /emb(ed|edding|eddings)?([._\d]|$)|embed|_embd\.|(^|\.)wte\.|(^|\.)shared\.weight$|token_type/i;
const HEAD = /(^|[._])heads?([._]|$)|classif|(^|\.)cls\.|predictions?\.|(^|\.)score\.|pooler|(^|\.)output\.weight$|generator/i;
const OTHER = /conv\d*(d)?(\.|_|$)|rout(er|ing)|block_sparse_moe\.gate\.|(^|\.)mlp\.gate\.weight$|shared_expert_gate|ffn_gate_inp/i;

/** Matrices by the names that families give them; the first that fits. */
const MATRICES: readonly (readonly [RegExp, Role])[] = [
  [/qkv|query_key_value|c_attn|in_proj|kv_proj|k_v_proj/i, 'attention.qkv'],
  [/(^|[._])(q_proj|q_lin|query(_proj)?|wq|q_attn|q)(\.|$)/i, 'attention.query'],
  [/(^|[._])(k_proj|k_lin|key(_proj)?|wk|k)(\.|$)/i, 'attention.key'],
  [/(^|[._])(v_proj|v_lin|value(_proj)?|wv|v)(\.|$)/i, 'attention.value'],
  [/(attn|attention)[\w.]*\.(o_proj|out_proj|out_lin|c_proj|wo|o|dense|output\.dense|proj|to_out)(\.|$)|(^|\.)o_proj\.|(^|\.)(cross_)?attn_(output|o)\./i, 'attention.out'],
  [/(^|[._])(gate_proj|gate|gate_exps|w1|wi_0)(\.|$)/i, 'mlp.gate'],
  [/(^|[._])(down_proj|w2|fc2|lin2|fc_out|c_proj|wo|output\.dense|dense_4h_to_h|ffn_output|ffn_down|ffn_down_exps|linear2)(\.|$)/i, 'mlp.down'],
  [/(^|[._])(up_proj|w3|wi_1|wi|fc1|lin1|fc_in|c_fc|intermediate\.dense|dense_h_to_4h|ffn|ffn_up|ffn_up_exps|linear1)(\.|$)/i, 'mlp.up'],
];

/** The first number that follows a word for "block", with everything before it: where a tensor sits. */
const BLOCK = /^(.*?(?:^|\.)(?:layers?|h|blocks?|blk|resblocks|albert_layer_groups))\.(\d{1,6})(?:\.|$)/;

/** Names of families that have blocks of two kinds (BART, Whisper, Marian). */
const STACK = /^(?:model\.)?(encoder|decoder)\.(?:block|layers)\./;

/**
 * The role of a tensor of an unknown family, by its name alone. Prunable: matrices whose names do not speak of
 * embeddings, norms, heads, biases or positions (nor of convolutions and routers).
 * Orientation is (out, in), as every Linear stores it.
 */
export function roleByName(given: string, shape: readonly number[]): TensorRole {
  const name = given.slice(0, MAX_NAME);
  const block = BLOCK.exec(name);
  const layer = block ? Number(block[2]) : null;
  const group = block ? `${shortGroup(block[1])}.${layer}` : outsideGroup(name);
  const role = kindOf(name, shape);
  const matrix = shape.length >= 2;
  const plain = role.startsWith('attention.') || role.startsWith('mlp.') || (role === 'other' && !OTHER.test(name));
  const stack = STACK.exec(name)?.[1] as Stack | undefined;
  return { role, layer, ...(stack && layer !== null && { stack }), group, prunable: matrix && plain, parameter: role !== 'buffer', orientation: matrix && role !== 'buffer' ? 'out-in' : null };
}

function kindOf(name: string, shape: readonly number[]): Role {
  if (BUFFER.test(name) && !(name.endsWith('.bias') && shape.length === 1)) return 'buffer';
  if (POSITION.test(name)) return 'position';
  if (/(^|[._])bias$/i.test(name)) return 'bias';
  if (NORM.test(name)) return 'norm';
  if (HEAD.test(name)) return 'head';
  if (EMBEDDING.test(name)) return 'embedding';
  if (OTHER.test(name) || shape.length < 2) return 'other';
  return MATRICES.find(([pattern]) => pattern.test(name))?.[1] ?? 'other';
}

/** `model.layers` -> `layers`, `deberta.encoder.layer` -> `encoder.layer`: what is the same everywhere is left out. */
const shortGroup = (before: string): string => before.replace(/^(model|transformer|base_model|deberta|bert|roberta|albert|distilbert|gpt_neox)\.(?=.)/, '');

/** The module of a tensor outside the blocks: its name without the parameter's own, at most two words deep. */
function outsideGroup(name: string): string {
  const words = shortGroup(name).split('.');
  return words.slice(0, Math.max(1, Math.min(2, words.length - 1))).join('.');
}

/** Pairs that a config of an unknown family ties: T5 shares its table, most tie the head to the embedding. */
export function tiedByName(config: Readonly<Record<string, unknown>>): readonly (readonly [string, string])[] {
  const shared = ['encoder.embed_tokens.weight', 'decoder.embed_tokens.weight'].map((copy) => ['shared.weight', copy] as const);
  if (!isTied(config, false)) return shared;
  const tables = ['shared.weight', 'model.embed_tokens.weight', 'transformer.wte.weight', 'model.decoder.embed_tokens.weight'];
  const masked: readonly (readonly [string, string])[] = [
    ['bert.embeddings.word_embeddings.weight', 'cls.predictions.decoder.weight'],
    ['deberta.embeddings.word_embeddings.weight', 'cls.predictions.decoder.weight'],
    ['albert.embeddings.word_embeddings.weight', 'predictions.decoder.weight'],
    ['roberta.embeddings.word_embeddings.weight', 'lm_head.decoder.weight'],
  ];
  return [...shared, ...tables.map((table) => [table, 'lm_head.weight'] as const), ...masked];
}
