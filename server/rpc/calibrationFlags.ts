import path from 'node:path';
import { defaultCalibrationText } from '../core/calibration/text';
import type { CalibrationRequest } from '../core/calibration/contract';
import { CheckpointError } from '../core/errors';
import { MAX_LENGTH, MAX_SAMPLES } from '../core/pruning/requestShape';
import type { Provider } from '../core/runtime/contract';
import type { Arguments, Flag, VerbContext } from './verbs/contract';

/** As many windows as the papers take. */
const DEFAULT_SAMPLES = 128;

/** What a method that looks at the inputs of the matrices is fed: of `prune` and of `sweep`. */
export const calibrationFlags: readonly Flag[] = [
  { name: 'calibration', value: 'FILE|train|valid', help: "text for methods that need calibration (default: the benchmark's train split, else valid, else chapters 1 to 115 of the sample)" },
  { name: 'calibration-samples', value: 'N', help: 'windows of calibration text (default: 128)' },
  { name: 'calibration-length', value: 'N', help: "tokens of each window (default: the model's context, at most 2048)" },
  { name: 'one-shot', value: null, help: 'calibrate the whole model as it is; by default each block sees inputs that came through the pruned blocks before it' },
];

/** A calibration as it is asked for; what is undefined takes its default. */
export interface CalibrationWish {
  /** `train`, `valid`, or an absolute path. */
  readonly text?: string;
  readonly samples?: number;
  readonly length?: number;
  readonly oneShot?: boolean;
}

/** The first flag of a calibration that is given, without its dashes. */
export const calibrationFlag = (args: Arguments): string | undefined => calibrationFlags.find(({ name }) => args.has(name))?.name;

/** What the flags say; a flag goes before the recipe's key. */
export function calibrationWish(args: Arguments, cwd: string, recipe: CalibrationWish = {}): CalibrationWish {
  const text = args.text('calibration');
  return {
    text: text === undefined ? recipe.text : text === 'train' || text === 'valid' ? text : path.resolve(cwd, text),
    samples: args.integer('calibration-samples', 1, MAX_SAMPLES) ?? recipe.samples, length: args.integer('calibration-length', 2, MAX_LENGTH) ?? recipe.length,
    oneShot: args.has('one-shot') || recipe.oneShot,
  };
}

/**
 * The whole request. `train` and `valid` are splits of the first benchmark.
 *
 * @param benchmarks ids, texts by path are passed over; none: WikiText-2
 * @throws CheckpointError `unknown-benchmark`, `usage`
 */
export function calibrationRequest(
  wish: CalibrationWish, how: { readonly benchmarks: readonly string[]; readonly seed: number; readonly provider: Provider | 'auto' }, { threads, dataFolder }: Pick<VerbContext, 'threads' | 'dataFolder'>,
): CalibrationRequest {
  const named = how.benchmarks.filter((id) => !id.startsWith('text:')), benchmarks = named.length > 0 ? named : ['wikitext-2-raw'];
  const { text } = wish;
  if (how.benchmarks.length > 0 && named.length === 0 && (text === 'train' || text === 'valid')) throw new CheckpointError('usage', {}, `--calibration ${text} is a split of a benchmark, and the text is a file; name a file to calibrate on`);
  return {
    text: text === undefined ? defaultCalibrationText(benchmarks, dataFolder) : text === 'train' || text === 'valid' ? { benchmark: benchmarks[0], split: text } : text,
    samples: wish.samples ?? DEFAULT_SAMPLES, length: wish.length ?? null, seed: how.seed, oneShot: wish.oneShot ?? false, provider: how.provider, threads, dataFolder,
  };
}
