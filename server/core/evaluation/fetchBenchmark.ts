import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { makeFolder } from '../bytes/makeFolder';
import { readWhole } from '../bytes/readWhole';
import { writeWhole } from '../bytes/writeWhole';
import { CheckpointError } from '../errors';
import { download, offerOf } from '../hub/download';
import type { HubOffer } from '../hub/download';

import { isOffline } from '../hub/hubSettings';
import type { Job } from '../job';
import { locateBenchmark } from './benchmarks';
import type { Benchmark } from './contract';
import { parquetTexts, wikitextOfRows } from './parquetText';
import { MAX_TEXT_BYTES } from './text';

export interface FetchedBenchmark {
  readonly benchmark: string;
  /** Where the text lies now. */
  readonly out: string;
  readonly status: 'downloaded' | 'present';
  readonly bytes: number;
  readonly sha256: string;
  /** Where it was fetched from; null when it was here. */
  readonly source: string | null;
}

export interface FetchOptions {
  readonly dataFolder: string | null;
  /** Replaces a file of that name that is another text. */
  readonly force: boolean;
  /** False where nobody can be asked: then nothing is fetched, not even the size. */
  readonly mayAsk: boolean;
  /** Asked before anything but the size is fetched; false ends it. */
  confirm(offer: HubOffer, target: string): Promise<boolean>;
}

const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/**
 * Puts a benchmark's text into the data folder, from the Hub. What is there already stays; what comes is held against the checksum
 * of the published text and written beside and renamed.
 *
 * @throws CheckpointError `usage` without a folder; `target-exists`; `download-failed`; `checksum-differs`; `cancelled`
 */
export async function* fetchBenchmark(benchmark: Benchmark, options: FetchOptions, signal?: AbortSignal): Job<FetchedBenchmark> {
  const { id } = benchmark, here = locateBenchmark(benchmark, options.dataFolder);
  if (here !== null) {
    const bytes = readWhole(here, MAX_TEXT_BYTES), sha256 = digest(bytes);
    if (benchmark.sha256 === null || sha256 === benchmark.sha256 || here.endsWith('.parquet')) return { benchmark: id, out: here, status: 'present', bytes: bytes.length, sha256, source: null };
  }
  if (!benchmark.hub) throw new CheckpointError('usage', {}, `${id} is not to be fetched: it ships with Winnow`);
  if (options.dataFolder === null) throw new CheckpointError('usage', {}, 'say where the text goes: --data FOLDER or WINNOW_DATA');
  const target = path.join(options.dataFolder, benchmark.files[0]);
  if (existsSync(target) && !options.force) throw new CheckpointError('target-exists', { file: target }, `it is not the published text of ${id}`);
  if (isOffline()) throw new CheckpointError('download-failed', { key: benchmark.hub.repository }, 'HF_HUB_OFFLINE is set');
  if (!options.mayAsk) throw new CheckpointError('usage', {}, 'a download is asked for first, and there is no terminal: give --yes');
  yield { stage: 'asking the Hub', done: 0, total: null, unit: 'bytes' };
  const offer = await offerOf(benchmark.hub, signal);
  if (!await options.confirm(offer, target)) throw new CheckpointError('cancelled', {}, 'nothing was fetched');
  const fetched = yield* download(benchmark.hub, offer, signal);
  const text = offer.url.endsWith('.parquet') ? Buffer.from(wikitextOfRows(parquetTexts(fetched, 'text', offer.url))) : fetched;
  const sha256 = digest(text);
  if (benchmark.sha256 !== null && sha256 !== benchmark.sha256) throw new CheckpointError('checksum-differs', { key: offer.url }, `the text has SHA-256 ${sha256.slice(0, 12)}…, the published ${id} ${benchmark.sha256.slice(0, 12)}…`);
  makeFolder(path.dirname(target));
  writeWhole(target, text);
  return { benchmark: id, out: target, status: 'downloaded', bytes: text.length, sha256, source: offer.url };
}
