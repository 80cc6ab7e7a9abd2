import { CheckpointError } from '../errors';

type Config = Readonly<Record<string, unknown>>;

/** No model reads more at once; a larger number in a config is damage. */
const MAX_CONTEXT = 2 ** 24;

/** The first of `keys` that the config has, as a context length. @throws CheckpointError `unsupported-config` */
export function contextFrom(config: Config, keys: readonly string[], otherwise: number): number {
  const key = keys.find((name) => config[name] !== undefined && config[name] !== null);
  if (key === undefined) return otherwise;
  const value = config[key];
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > MAX_CONTEXT) {
    throw new CheckpointError('unsupported-config', { key }, `${key} is ${JSON.stringify(value)?.slice(0, 40)}`);
  }
  return value;
}

/** `tie_word_embeddings`, with the family's own default where the config is silent. */
export const isTied = (config: Config, otherwise: boolean): boolean => (typeof config.tie_word_embeddings === 'boolean' ? config.tie_word_embeddings : otherwise);
