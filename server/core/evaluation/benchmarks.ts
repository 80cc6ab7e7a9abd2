import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { readWhole } from '../bytes/readWhole';
import { CheckpointError } from '../errors';
import { findInHubCache } from '../hub/hubCache';
import { hubCacheFolder } from '../hub/hubSettings';
import { distFolder } from '../paths';
import type { Benchmark } from './contract';
import { parquetTexts, wikitextOfRows } from './parquetText';
import type { TextFile } from './text';
import { MAX_TEXT_BYTES, readTextFile } from './text';

const RAW_TEST = '173c87a53759e0201f33e0ccf978e510c2042d7f2cb78229d9a50d79b9e7dd08';
/** OpenAI's LAMBADA test set as lm-evaluation-harness pins it. */
const LAMBADA_TEST = '4aa8d02cd17c719165fc8a7887fddd641f43fcafa4b1c806ca8abc31fabdb226';
const sharedRaw = 'WikiText-2 and WikiText-103 have the same raw test text: one benchmark under two names, never two results';

/** Every named text. Adding one is one line. Checksums are those that public projects pin for the official files. */
export const benchmarks: readonly Benchmark[] = [
  { id: 'sample', title: 'Moby-Dick, chapters 116 to 135', files: ['sample.txt'], rows: false, sha256: '1bcf55fb8179ee1849e4141cd844ebb1e41eecffe894d1194959bc7a75894a3c', note: 'ships with Winnow; held out of the sample checkpoint\'s training' },
  { id: 'wikitext-2-raw', title: 'WikiText-2, raw, test', files: ['wikitext-2/wiki.test.raw', 'wikitext-2-raw/wiki.test.raw', 'wikitext-2-raw-v1/wiki.test.raw', 'wiki.test.raw'], rows: true, hub: { repository: 'Salesforce/wikitext', paths: ['wikitext-2-raw-v1/test-00000-of-00001.parquet'] }, sha256: RAW_TEST, note: sharedRaw },
  { id: 'wikitext-2', title: 'WikiText-2, tokenised, test', files: ['wikitext-2/wiki.test.tokens', 'wikitext-2-v1/wiki.test.tokens', 'wiki.test.tokens'], rows: true, hub: { repository: 'Salesforce/wikitext', paths: ['wikitext-2-v1/test-00000-of-00001.parquet'] }, sha256: 'd790b833ef8cf03a90db7bf1271b7520b83c45ce07ba3c1a9699df81e239eca0', note: 'holds <unk> for rare words: another text than the raw one' },
  { id: 'wikitext-103', title: 'WikiText-103, tokenised, test', files: ['wikitext-103/wiki.test.tokens', 'wikitext-103-v1/wiki.test.tokens', 'wiki.test.tokens'], rows: true, hub: { repository: 'Salesforce/wikitext', paths: ['wikitext-103-v1/test-00000-of-00001.parquet'] }, sha256: '56db52eb157b1ab5c89646eef70510c1eca6e12a3bfdb99f0d6b05b4eacb75b9', note: 'holds <unk> for rare words, fewer than WikiText-2' },
  { id: 'wikitext-103-raw', title: 'WikiText-103, raw, test', files: ['wikitext-103/wiki.test.raw', 'wikitext-103-raw/wiki.test.raw', 'wikitext-103-raw-v1/wiki.test.raw', 'wikitext-2/wiki.test.raw', 'wikitext-2-raw/wiki.test.raw', 'wiki.test.raw'], rows: true, hub: { repository: 'Salesforce/wikitext', paths: ['wikitext-103-raw-v1/test-00000-of-00001.parquet'] }, sha256: RAW_TEST, note: sharedRaw },
  { id: 'lambada', title: 'LAMBADA, OpenAI\'s test set', files: ['lambada/lambada_test.jsonl', 'lambada_test.jsonl', 'lambada/lambada_test_en.jsonl', 'lambada_test_en.jsonl'], rows: false, protocol: 'last-word', hub: { repository: 'EleutherAI/lambada_openai', paths: ['data/lambada_test.jsonl', 'data/lambada_test_en.jsonl'] }, sha256: LAMBADA_TEST, note: 'only the last word of each passage is scored; accuracy and perplexity of the word' },
];

/** Parts of a data set beside the one that is evaluated; calibration takes them. */
export type Split = 'test' | 'valid' | 'train';

/** Paths below the data folder where a split of the benchmark may lie. */
export const filesOfSplit = (benchmark: Benchmark, split: Split): readonly string[] => benchmark.files.map((file) => file.replace('.test.', `.${split}.`));

/** @throws CheckpointError `unknown-benchmark` with the ids there are */
export function findBenchmark(id: string): Benchmark {
  const found = benchmarks.find((benchmark) => benchmark.id === id);
  if (found === undefined) throw new CheckpointError('unknown-benchmark', { key: id }, `there are ${benchmarks.map((b) => b.id).join(', ')}`);
  return found;
}

/** The file of a benchmark on this machine, or null: below the data folder, else in the cache of the Hugging Face libraries. Files that are, byte for byte, another benchmark are passed over. */
export function locateBenchmark(benchmark: Benchmark, dataFolder: string | null): string | null {
  const folder = benchmark.id === 'sample' ? distFolder() : dataFolder, cached = benchmark.hub ? findInHubCache(benchmark.hub) : null;
  if (folder === null) return cached;
  const there = benchmark.files.map((file) => path.join(folder, file)).filter((file) => existsSync(file));
  const others = new Set(benchmarks.filter((other) => other.sha256 !== benchmark.sha256).map((other) => other.sha256));
  // `wiki.test.tokens` is the name of two texts; only where that is possible is a file read to tell.
  return there.find((file) => path.basename(file) !== 'wiki.test.tokens' || !others.has(createHash('sha256').update(readWhole(file, MAX_TEXT_BYTES)).digest('hex'))) ?? cached;
}

/** The text of a WikiText data set in Parquet; the checksum is that of the text, so it is the same text from whichever file. */
function readRows(file: string): TextFile {
  const text = wikitextOfRows(parquetTexts(readWhole(file, MAX_TEXT_BYTES), 'text', file));
  return { text, sha256: createHash('sha256').update(text).digest('hex'), problems: [] };
}

/**
 * Reads a benchmark's text; a checksum that is not the known one is a remark, not an error.
 *
 * @throws CheckpointError `unknown-benchmark`, `benchmark-not-found` with where it was looked for, `text-not-utf8`
 */
export function readBenchmark(id: string, dataFolder: string | null): TextFile & { readonly file: string; readonly rows: boolean } {
  const benchmark = findBenchmark(id);
  const file = locateBenchmark(benchmark, dataFolder);
  if (file === null) {
    const cache = benchmark.hub ? `; nor is ${benchmark.hub.repository} in the cache ${hubCacheFolder()}` : '';
    const detail = (dataFolder === null && benchmark.id !== 'sample'
      ? 'no data folder is given (--data or WINNOW_DATA)'
      : `looked for ${benchmark.files.join(', ')}`) + cache;
    throw new CheckpointError('benchmark-not-found', { key: id, ...(dataFolder !== null && { file: dataFolder }) }, detail);
  }
  const read = file.endsWith('.parquet') ? readRows(file) : readTextFile(file);
  const differs = benchmark.sha256 !== null && read.sha256 !== benchmark.sha256;
  if (!differs) return { ...read, file, rows: benchmark.rows };
  return { ...read, file, rows: benchmark.rows, problems: [...read.problems, { code: 'benchmark-text-differs', where: { file }, detail: `SHA-256 is ${read.sha256.slice(0, 12)}…, the published ${id} has ${benchmark.sha256?.slice(0, 12)}…` }] };
}
