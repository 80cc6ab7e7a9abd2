import { bertRole, bertStructure } from './bert';
import { contextFrom } from './config';
import type { Architecture } from './contract';
import { buildDebertaGraph, debertaDecoder } from './debertaGraph';

/** DeBERTa-v2 and v3. */
export const debertaV2: Architecture = {
  id: 'deberta-v2',
  title: 'DeBERTa-v2',
  modelTypes: ['deberta-v2'],
  kind: 'encoder',
  matchesNames: (names) => names.has('deberta.embeddings.word_embeddings.weight') && names.has('deberta.encoder.layer.0.attention.self.query_proj.weight'),
  role: bertRole,
  tied: () => [['deberta.embeddings.word_embeddings.weight', 'cls.predictions.decoder.weight'], ['cls.predictions.bias', 'cls.predictions.decoder.bias']],
  maxContext: (config) => contextFrom(config, ['max_position_embeddings'], 512),
  structure: bertStructure,
  maskedDecoder: debertaDecoder,
  buildGraph: buildDebertaGraph,
};
