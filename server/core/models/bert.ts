import type { Architecture, Role, StructureKeys, TensorRole } from './contract';
import { contextFrom } from './config';
import { roleByName } from './fallback';
import { buildBertGraph } from './bertGraph';

/** Linear weights by their name below a block; every one stores (out, in). */
const BLOCK: Readonly<Record<string, Role>> = {
  'attention.self.query.weight': 'attention.query', // (d, d)
  'attention.self.key.weight': 'attention.key',
  'attention.self.value.weight': 'attention.value',
  'attention.self.query_proj.weight': 'attention.query',
  'attention.self.key_proj.weight': 'attention.key',
  'attention.self.value_proj.weight': 'attention.value',
  'attention.self.pos_key_proj.weight': 'attention.key', // of DeBERTa, over the relative positions
  'attention.self.pos_query_proj.weight': 'attention.query',
  'attention.output.dense.weight': 'attention.out',
  'intermediate.dense.weight': 'mlp.up', // (ff, d)
  'output.dense.weight': 'mlp.down', // (d, ff)
  // ALBERT
  'attention.query.weight': 'attention.query',
  'attention.key.weight': 'attention.key',
  'attention.value.weight': 'attention.value',
  'attention.dense.weight': 'attention.out',
  'ffn.weight': 'mlp.up',
  'ffn_output.weight': 'mlp.down',
};

const NORM_PART = /(layer_?norm)\.(weight|gamma)$/i;
const SHIFT = /(^|\.)(bias|beta)$/;

/** The role of a tensor of BERT and of the families that share its names (RoBERTa, ALBERT, DeBERTa). */
export function bertRole(name: string, shape: readonly number[]): TensorRole {
  const matrix = shape.length >= 2;
  const short = name.replace(/^(bert|roberta|albert|deberta)\./, '');
  const outside = (what: Role, group: string): TensorRole =>
    ({ role: what, layer: null, group, prunable: false, parameter: what !== 'buffer', orientation: matrix && what !== 'buffer' ? 'out-in' : null });
  if (/^embeddings\.(position_ids|token_type_ids)$/.test(short)) return outside('buffer', 'embeddings');
  const embeddings = /^embeddings\.(word|token_type|position)_embeddings\.weight$/.exec(short);
  if (embeddings) return outside(embeddings[1] === 'position' ? 'position' : 'embedding', 'embeddings');
  if (short === 'encoder.rel_embeddings.weight') return outside('position', 'encoder.rel_embeddings');
  if (/^(cls|predictions|lm_head|lm_predictions|mask_predictions|sop_classifier|pooler|classifier|qa_outputs)\./.test(short)) {
    const group = short.split('.')[0];
    return SHIFT.test(short) ? outside('bias', group) : outside(NORM_PART.test(short) ? 'norm' : 'head', group);
  }

  const block = /^encoder\.(?:layer|albert_layer_groups)\.(\d{1,6})\.(?:albert_layers\.\d{1,6}\.)?(.+)$/.exec(short);
  const layer = block ? Number(block[1]) : null, rest = block?.[2] ?? short;
  const group = block ? short.slice(0, short.indexOf(block[1], 'encoder.layer'.length) + block[1].length) : short.split('.').slice(0, short.startsWith('encoder.') ? 2 : 1).join('.');
  const place = (what: Role, prunable: boolean, orientation: TensorRole['orientation'] = null): TensorRole => ({ role: what, layer, group, prunable, parameter: true, orientation });
  if (NORM_PART.test(rest)) return place('norm', false);
  if (SHIFT.test(rest)) return place('bias', false);
  if (block && Object.hasOwn(BLOCK, rest) && shape.length === 2) return place(BLOCK[rest], true, 'out-in');
  // Maps a narrow embedding to the width of the blocks.
  if (/^(encoder\.embedding_hidden_mapping_in|embeddings\.embed_proj)\.weight$/.test(rest)) return place('embedding', false, 'out-in');
  return roleByName(name, shape);
}

const named = (prefix: string, rest: string) => (names: ReadonlySet<string>): boolean => names.has(`${prefix}embeddings.word_embeddings.weight`) && names.has(`${prefix}${rest}`);

/** A head's width follows from the model's: blocks and inner widths alone can change. */
export const bertStructure: StructureKeys = { layers: 'num_hidden_layers', inner: 'intermediate_size', heads: null };

/** BERT. */
export const bert: Architecture = {
  id: 'bert',
  title: 'BERT',
  modelTypes: ['bert'],
  kind: 'encoder',
  matchesNames: named('bert.', 'encoder.layer.0.attention.self.query.weight'),
  role: bertRole,
  tied: () => [['bert.embeddings.word_embeddings.weight', 'cls.predictions.decoder.weight'], ['cls.predictions.bias', 'cls.predictions.decoder.bias']],
  maxContext: (config) => contextFrom(config, ['max_position_embeddings'], 512),
  structure: bertStructure,
  buildGraph: (checkpoint, options) => buildBertGraph('bert', checkpoint, options),
};

/** RoBERTa, and XLM-RoBERTa, which is the same model over another vocabulary. */
export const roberta: Architecture = {
  id: 'roberta',
  title: 'RoBERTa',
  modelTypes: ['roberta', 'xlm-roberta'],
  kind: 'encoder',
  matchesNames: named('roberta.', 'encoder.layer.0.attention.self.query.weight'),
  role: bertRole,
  tied: () => [['roberta.embeddings.word_embeddings.weight', 'lm_head.decoder.weight'], ['lm_head.bias', 'lm_head.decoder.bias']],
  // Positions begin after the padding id.
  maxContext: (config) => contextFrom(config, ['max_position_embeddings'], 514) - (typeof config.pad_token_id === 'number' ? config.pad_token_id : 1) - 1,
  structure: bertStructure,
  buildGraph: (checkpoint, options) => buildBertGraph('roberta', checkpoint, options),
};

/** ALBERT: one block or a few, run many times. */
export const albert: Architecture = {
  id: 'albert',
  title: 'ALBERT',
  modelTypes: ['albert'],
  kind: 'encoder',
  matchesNames: named('albert.', 'encoder.albert_layer_groups.0.albert_layers.0.attention.query.weight'),
  role: bertRole,
  tied: () => [['albert.embeddings.word_embeddings.weight', 'predictions.decoder.weight'], ['predictions.bias', 'predictions.decoder.bias']],
  maxContext: (config) => contextFrom(config, ['max_position_embeddings'], 512),
  buildGraph: (checkpoint, options) => buildBertGraph('albert', checkpoint, options),
};
