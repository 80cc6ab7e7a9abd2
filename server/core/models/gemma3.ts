import type { Architecture, TensorRole } from './contract';
import { contextFrom, isTied } from './config';
import { llamaRole } from './llama';
import { buildLlamaGraph } from './llamaGraph';
import { textPrefix } from './textPart';

const TEXT = /^(?:language_model\.(?:model\.)?|model\.language_model\.)/;
const VISION = /^(?:model\.)?(vision_tower|multi_modal_projector)\./;
const VISION_BLOCK = /\.layers\.(\d{1,6})\./;

/** Gemma 3 as it is published from 4 B on: a language model that also sees. Its text part is evaluated; what sees is left as it is. */
export const gemma3: Architecture = {
  id: 'gemma3',
  title: 'Gemma 3 with vision',
  modelTypes: ['gemma3'],
  kind: 'decoder',
  matchesNames: (names) => {
    const prefix = textPrefix((name) => names.has(name));
    return prefix !== null && TEXT.test(prefix) && names.has(`${prefix}layers.0.pre_feedforward_layernorm.weight`);
  },
  role(name: string, shape: readonly number[]): TensorRole {
    const vision = VISION.exec(name);
    if (!vision) return llamaRole(name.replace(TEXT, ''), shape);
    const block = VISION_BLOCK.exec(name), orientation = shape.length >= 2 ? 'out-in' : null;
    return { role: 'vision', layer: null, group: block ? `${vision[1]}.layers.${Number(block[1])}` : vision[1], prunable: false, parameter: !name.endsWith('.position_ids'), orientation };
  },
  tied: (config) => (isTied(config, true) ? [['language_model.model.embed_tokens.weight', 'language_model.lm_head.weight'], ['model.language_model.embed_tokens.weight', 'lm_head.weight']] : []),
  maxContext: (config) => contextFrom(textOf(config), ['max_position_embeddings'], 131_072),
  buildGraph: buildLlamaGraph,
};

const textOf = (config: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> => {
  const text = config.text_config;
  return typeof text === 'object' && text !== null && !Array.isArray(text) ? text as Record<string, unknown> : config;
};
