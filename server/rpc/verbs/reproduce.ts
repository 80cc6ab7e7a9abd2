import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { readWholeText } from '../../core/bytes/readWhole';
import { CheckpointError } from '../../core/errors';
import { findBenchmark, locateBenchmark } from '../../core/evaluation/benchmarks';
import type { PublishedValue } from '../../core/evaluation/published';
import { publishedValues } from '../../core/evaluation/published';
import { evaluateModel } from '../../core/evaluation/evaluate';
import { MAX_CONFIG_BYTES } from '../../core/formats/modelConfig';
import type { Job } from '../../core/job';
import { openModel } from '../../core/models/openModel';
import { distFolder } from '../../core/paths';
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
  usage: '[--models FOLDER]',
  summary: 'Compute published perplexities again, where the checkpoints are found; `not run` where they are not.',
  flags: [{ name: 'models', value: 'FOLDER', many: true, help: 'folders that hold model folders, or a Hugging Face cache (default: $WINNOW_MODELS)' }],
  positional: [0, 0],

  async *run(args, context) {
    const given = args.has('models') ? args.many('models') : (process.env.WINNOW_MODELS ?? '').split(path.delimiter).filter((folder) => folder !== '');
    const folders = [...given.map((folder) => path.resolve(context.cwd, folder)), path.join(distFolder(), '..', 'media')];
    const rows: Row[] = [];
    for (const [i, value] of publishedValues.entries()) {
      yield { stage: 'reproduce', done: i, total: publishedValues.length, unit: 'cells', note: `${value.checkpoint}, ${value.setting}` };
      rows.push(yield* reproduceOne(value, folders, context));
    }
    return { rows };
  },

  text: (output) => table(
    [{ title: 'checkpoint', align: 'left' }, { title: 'benchmark', align: 'left' }, { title: 'protocol', align: 'left' }, { title: 'published', align: 'right' }, { title: 'here', align: 'right' }, { title: '', align: 'left' }],
    output.rows.map((row) => [row.checkpoint, row.benchmark, `${row.protocol}, ${row.setting}`, String(row.published), typeof row.value === 'number' ? row.value.toPrecision(7) : row.value ?? '', row.reason === null ? row.status : `${row.status}: ${printable(row.reason)}`]),
  ),
};

async function* reproduceOne(value: PublishedValue, folders: readonly string[], context: VerbContext): Job<Row> {
  const row: Row = {
    checkpoint: value.checkpoint, benchmark: value.request.benchmark, protocol: value.request.protocol ?? 'its own',
    setting: value.request.context === null ? value.setting : `context ${value.request.context}, stride ${value.request.stride}; ${value.setting}`,
    published: value.published, tolerance: value.tolerance, source: value.source, status: 'not run', value: null, reason: null,
  };
  if (value.missing !== undefined) return { ...row, reason: value.missing };
  const found = findModel(value, folders);
  if (found === null) return { ...row, reason: `no checkpoint named ${value.names.join(' or ')} below ${folders.join(', ')}` };
  if (locateBenchmark(findBenchmark(value.request.benchmark), context.dataFolder) === null) return { ...row, reason: `the text of ${value.request.benchmark} is not there (--data)` };
  try {
    const evaluation = yield* evaluateModel(openModel(found), { ...value.request, provider: 'cpu', threads: context.threads, dataFolder: context.dataFolder }, context.signal);
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
