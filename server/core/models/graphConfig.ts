import { CheckpointError } from '../errors';
import type { Checkpoint } from '../formats/contract';

type Json = Readonly<Record<string, unknown>>;

/** No dimension of a published model comes near this; anything above it is a broken or hostile file. */
const MAX_DIMENSION = 2 ** 24;

/**
 * config.json of a checkpoint, read key by key. Every number is bounded; a value that cannot be used is
 * `unsupported-config` with the key and the value. Keys inside an object are addressed by a reader of that object.
 */
export class ConfigReader {
  constructor(readonly json: Json, readonly file: string, private readonly prefix = '') {}

  /** @throws CheckpointError `no-config` */
  static of(checkpoint: Checkpoint): ConfigReader {
    if (!checkpoint.config) throw new CheckpointError('no-config', { file: checkpoint.folder }, 'config.json says how the tensors are put together');
    return new ConfigReader(checkpoint.config, checkpoint.path);
  }

  /** @throws CheckpointError `unsupported-config`, always */
  refuse(key: string, why: string): never {
    const shown = JSON.stringify(this.json[key]) ?? 'missing';
    throw new CheckpointError('unsupported-config', { file: this.file, key: this.prefix + key }, `${this.prefix}${key} is ${shown.slice(0, 80)}: ${why}`);
  }

  /** Present and not null. */
  has(key: string): boolean {
    return this.json[key] !== undefined && this.json[key] !== null;
  }

  /** A whole number in 1..max; without `fallback` it must be there. */
  count(key: string, fallback?: number, max = MAX_DIMENSION): number {
    const value = this.has(key) ? this.json[key] : fallback;
    if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > max) return this.refuse(key, `expected a whole number from 1 to ${max}`);
    return value;
  }

  /** A finite number in [min, max]. */
  number(key: string, fallback: number | undefined, min: number, max: number): number {
    const value = this.has(key) ? this.json[key] : fallback;
    if (typeof value !== 'number' || !(value >= min && value <= max)) return this.refuse(key, `expected a number from ${min} to ${max}`);
    return value;
  }

  flag(key: string, fallback: boolean): boolean {
    const value = this.has(key) ? this.json[key] : fallback;
    return typeof value === 'boolean' ? value : this.refuse(key, 'expected true or false');
  }

  /** One of `choices`. */
  choice(key: string, fallback: string, choices: readonly string[]): string {
    const value = this.has(key) ? this.json[key] : fallback;
    return typeof value === 'string' && choices.includes(value) ? value : this.refuse(key, `expected one of ${choices.join(', ')}`);
  }

  /** A list of `length` names out of `choices`, or null when there is none. */
  names(key: string, length: number, choices: readonly string[]): readonly string[] | null {
    if (!this.has(key)) return null;
    const value = this.json[key];
    if (!Array.isArray(value) || value.length !== length) return this.refuse(key, `expected a list of ${length}`);
    return value.map((item: unknown) => (typeof item === 'string' && choices.includes(item) ? item : this.refuse(key, `expected ${choices.join(' or ')}`)));
  }

  /** The object at `key`, or null. */
  object(key: string): ConfigReader | null {
    if (!this.has(key)) return null;
    const value = this.json[key];
    if (typeof value !== 'object' || Array.isArray(value)) return this.refuse(key, 'expected an object');
    return new ConfigReader(value as Json, this.file, `${this.prefix}${key}.`);
  }
}
