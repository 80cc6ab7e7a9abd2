import type { Checkpoint } from '../formats/contract';
import { ConfigReader } from './graphConfig';

/** Where the language model of a checkpoint lies: alone, or as one part of a model that also sees. */
export interface TextPart {
  /** `text_config` where there is one, else the whole configuration. */
  readonly config: ConfigReader;
  /** Before the names of its blocks, table and last norm. */
  readonly prefix: string;
  /** Full name of the head. */
  readonly head: string;
}

/** Prefixes with the head that goes with them; as transformers 4 and 5 write a model of several parts, then a model alone. */
const places: readonly (readonly [prefix: string, head: string])[] = [
  ['language_model.model.', 'language_model.lm_head.weight'], ['model.language_model.', 'lm_head.weight'], ['model.', 'lm_head.weight'], ['', 'lm_head.weight'],
];

/** What stands before the language model's names; null where none of the known places has a token table. */
export const textPrefix = (has: (name: string) => boolean): string | null => places.find(([prefix]) => has(`${prefix}embed_tokens.weight`))?.[0] ?? null;

/** @throws CheckpointError `no-config`, `unsupported-config` */
export function textPart(checkpoint: Checkpoint): TextPart {
  const whole = ConfigReader.of(checkpoint), names = new Set(checkpoint.tensors.map((tensor) => tensor.name));
  const [prefix, head] = places.find(([each]) => names.has(`${each}norm.weight`)) ?? ['', 'lm_head.weight'];
  const text = whole.object('text_config');
  // A part that does not name its type is the text of the whole's.
  const config = text === null ? whole : new ConfigReader({ model_type: `${String(whole.json.model_type)}_text`, ...text.json }, whole.file, 'text_config.');
  return { config, prefix, head };
}
