import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import path from 'node:path';
import { CheckpointError } from '../errors';
import { benchmarks, filesOfSplit, findBenchmark } from '../evaluation/benchmarks';
import { joinRows, readTextFile } from '../evaluation/text';
import { distFolder } from '../paths';
import type { CalibrationRequest } from './contract';

/** A text to calibrate on. */
export interface CalibrationText {
  /** As results name it: the file's path, or benchmark and split. */
  readonly name: string;
  readonly file: string;
  readonly text: string;
  readonly sha256: string;
}

/** The file of a split on this machine, or null. The sample's other part comes from the build, like the sample itself. */
export function locateSplit(id: string, split: 'train' | 'valid', dataFolder: string | null): string | null {
  const benchmark = findBenchmark(id), isSample = benchmark.id === 'sample', folder = isSample ? distFolder() : dataFolder;
  if (folder === null || (isSample && split === 'valid')) return null;
  const files = isSample ? ['sample-train.txt'] : filesOfSplit(benchmark, split);
  return files.map((file) => path.join(folder, file)).find((file) => existsSync(file)) ?? null;
}

/**
 * The text of a benchmark to calibrate on where none is named: its train split, else its validation split; of the
 * benchmarks the first that has one, at last the sample's.
 */
export function defaultCalibrationText(ids: readonly string[], dataFolder: string | null): Exclude<CalibrationRequest['text'], string> {
  for (const benchmark of ids) {
    for (const split of ['train', 'valid'] as const) if (locateSplit(benchmark, split, dataFolder) !== null) return { benchmark, split };
  }
  return { benchmark: 'sample', split: 'train' };
}

const hashOf = async (file: string): Promise<string> => {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  return hash.digest('hex');
};

/**
 * Reads the text. A benchmark's rows are joined as for its evaluation; a file is taken as it is.
 *
 * @param evaluated SHA-256 of texts that are evaluated; those of the known benchmarks are refused in any case
 * @throws CheckpointError `benchmark-not-found`, `calibration-is-evaluated`, `not-found`, `not-readable`, `text-not-utf8`
 */
export async function readCalibrationText({ text, dataFolder }: Pick<CalibrationRequest, 'text' | 'dataFolder'>, evaluated: ReadonlySet<string>): Promise<CalibrationText> {
  const isFile = typeof text === 'string', file = isFile ? text : locateSplit(text.benchmark, text.split, dataFolder);
  if (file === null) {
    const { benchmark, split } = text as Exclude<typeof text, string>;
    throw new CheckpointError('benchmark-not-found', { key: benchmark, ...(dataFolder !== null && { file: dataFolder }) }, `its ${split} split: looked for ${filesOfSplit(findBenchmark(benchmark), split).join(', ')}`);
  }
  const read = readTextFile(file), sha256 = await hashOf(file);
  const known = benchmarks.find((benchmark) => benchmark.sha256 === sha256);
  if (known) throw new CheckpointError('calibration-is-evaluated', { file }, `it is ${known.title}`);
  if (evaluated.has(sha256)) throw new CheckpointError('calibration-is-evaluated', { file }, '');
  const rows = !isFile && findBenchmark(text.benchmark).rows;
  return { name: isFile ? text : `${text.benchmark}, ${text.split}`, file, text: rows ? joinRows(read.text) : read.text, sha256 };
}
