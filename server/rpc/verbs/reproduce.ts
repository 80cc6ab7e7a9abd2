import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { version } from '../../../package.json';
import { readWholeText } from '../../core/bytes/readWhole';
import { CheckpointError } from '../../core/errors';
import { findBenchmark, locateBenchmark } from '../../core/evaluation/benchmarks';
import type { PublishedValue } from '../../core/evaluation/published';
import { publishedValues } from '../../core/evaluation/published';
import { MAX_CONFIG_BYTES } from '../../core/formats/modelConfig';
import { hubCacheFolder } from '../../core/hub/hubSettings';
import type { Job } from '../../core/job';
import { distFolder } from '../../core/paths';
import { pruningMethods } from '../../core/pruning/registry';
import * as words from '../../core/report/words';
import { reproduceValue } from '../../core/sweep/reproduceValue';
import type { ReproduceJson } from '../../protocol/verbs';
import { num } from '../encode';
import { printable } from '../progressBar';
import { sentenceOf } from '../sentences';
import { table } from '../table';
import type { Verb, VerbContext } from './contract';

type Row = ReproduceJson['rows'][number];

/** `winnow reproduce`: published numbers against the checkpoints that this machine has. */
export const reproduce: Verb<'reproduce'> = {
  name: 'reproduce',
  usage: '[--models FOLDER] [--only TEXT]',
  summary: 'Compute published perplexities again, where the checkpoints are found; `not run` where they are not.',
  flags: [
    { name: 'models', value: 'FOLDER', many: true, help: 'folders that hold model folders, or a Hugging Face cache (default: $WINNOW_MODELS); the data folder and the cache of HF_HOME are looked through too' },
    { name: 'only', value: 'TEXT', help: 'only rows whose checkpoint has this in its name' },
  ],
  positional: [0, 0],

  async *run(args, context) {
    const given = args.has('models') ? args.many('models') : (process.env.WINNOW_MODELS ?? '').split(path.delimiter).filter((folder) => folder !== '');
    const folders = [...given.map((folder) => path.resolve(context.cwd, folder)), ...(context.dataFolder === null ? [] : [context.dataFolder]), hubCacheFolder(), path.join(distFolder(), '..', 'media')];
    const only = args.text('only')?.toLowerCase() ?? '';
    return { rows: yield* reproduceAll(publishedValues.filter(({ checkpoint }) => checkpoint.toLowerCase().includes(only)), folders, context) };
  },

  text: (output) => table(
    [{ title: 'checkpoint', align: 'left' }, { title: 'benchmark', align: 'left' }, { title: 'protocol', align: 'left' }, { title: 'published', align: 'right' }, { title: 'here', align: 'right' }, { title: '', align: 'left' }],
    output.rows.map((row) => [
      row.pruned === null ? row.checkpoint : `${row.checkpoint}, ${row.pruned.method} ${words.level(row.pruned.level)}`, row.benchmark, `${row.protocol}, ${row.setting}`, `${row.published} ± ${row.tolerance}`,
      typeof row.value === 'number' ? row.value.toPrecision(7) : row.value ?? '', row.reason === null ? row.status : `${row.status}: ${printable(row.reason)}`,
    ]),
  ),
};

/** Runs what can be run of a table, row by row. */
export async function* reproduceAll(values: readonly PublishedValue[], folders: readonly string[], context: VerbContext): Job<Row[]> {
  const rows: Row[] = [];
  for (const [i, value] of values.entries()) {
    yield { stage: 'reproduce', done: i, total: values.length, unit: 'cells', note: `${value.checkpoint}, ${value.setting}` };
    rows.push(yield* reproduceOne(value, folders, context));
  }
  return rows;
}

async function* reproduceOne(value: PublishedValue, folders: readonly string[], context: VerbContext): Job<Row> {
  const { request, pruned } = value;
  const row: Row = {
    checkpoint: value.checkpoint, benchmark: request.benchmark, protocol: request.protocol ?? 'its own', pruned: pruned ? { method: pruned.method, level: pruned.level } : null,
    setting: request.context === null ? value.setting : `context ${request.context}, stride ${request.stride}; ${value.setting}`,
    published: value.published, tolerance: value.tolerance, source: value.source, status: 'not run', value: null, reason: null,
  };
  if (value.missing !== undefined) return { ...row, reason: value.missing };
  if (pruned && !pruningMethods.some(({ id }) => id === pruned.method)) return { ...row, reason: `method missing: this version has ${pruningMethods.map(({ id }) => id).join(', ')}` };
  const found = findModel(value, folders);
  if (found === null) return { ...row, reason: `no checkpoint named ${value.names.join(' or ')} below ${folders.join(', ')}` };
  if (locateBenchmark(findBenchmark(request.benchmark), context.dataFolder) === null) return { ...row, reason: `the text of ${request.benchmark} is not there (--data)` };
  try {
    const evaluation = yield* reproduceValue(value, found, { threads: context.threads, io: context.io, dataFolder: context.dataFolder, winnow: version }, context.signal);
    const here = value.asPublished ? evaluation.asPublished ?? evaluation.value : evaluation.value;
    return { ...row, status: Math.abs(here - value.published) <= value.tolerance ? 'agrees' : 'differs', value: num(here) };
  } catch (error) {
    // One checkpoint that is broken or too large must not take the other rows with it.
    if (!(error instanceof CheckpointError) || error.code === 'cancelled') throw error;
    return { ...row, reason: sentenceOf(error) };
  }
}

/** A folder of one of the names whose config.json is that of the checkpoint; a Hugging Face cache keeps it under `snapshots`. */
function findModel(value: PublishedValue, folders: readonly string[]): string | null {
  const candidates = folders.flatMap((folder) => value.names.flatMap((name) => {
    const cached = path.join(folder, `models--${name.replace('/', '--')}`, 'snapshots');
    const snapshots = existsSync(cached) ? readdirSync(cached).map((snapshot) => path.join(cached, snapshot)) : [];
    return [path.join(folder, name), ...(path.basename(folder) === name ? [folder] : []), ...snapshots];
  }));
  return candidates.find((folder) => configMatches(path.join(folder, 'config.json'), value.config)) ?? null;
}

function configMatches(file: string, wanted: PublishedValue['config']): boolean {
  try {
    const config = JSON.parse(readWholeText(file, MAX_CONFIG_BYTES)) as Record<string, unknown> | null;
    return config !== null && Object.entries(wanted).every(([key, value]) => config[key] === value);
  } catch {
    return false; // not there, or not JSON: not the checkpoint we look for
  }
}
