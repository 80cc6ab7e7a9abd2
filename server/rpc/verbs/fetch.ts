import path from 'node:path';
import { findBenchmark } from '../../core/evaluation/benchmarks';
import { fetchBenchmark } from '../../core/evaluation/fetchBenchmark';
import { hubToken } from '../../core/hub/hubSettings';
import { formatBytes, printable } from '../progressBar';
import type { Verb } from './contract';

/** `winnow fetch`: puts a benchmark's text into the data folder. Nothing else of Winnow uses the network. */
export const fetchText: Verb<'fetch'> = {
  name: 'fetch',
  usage: 'BENCHMARK [--data FOLDER] [--yes]',
  summary: 'Download the text of a benchmark from the Hugging Face Hub into the data folder, with its checksum. Asks first.',
  flags: [{ name: 'yes', value: null, help: 'do not ask' }],
  positional: [1, 1],

  async *run(args, context) {
    const sure = args.has('yes'), { confirm } = context;
    const started = performance.now();
    const fetched = yield* fetchBenchmark(findBenchmark(args.positional[0]), {
      dataFolder: context.dataFolder, force: context.force,
      async confirm(offer, target) {
        if (sure) return true;
        return await confirm?.(`Download ${formatBytes(offer.bytes)} from ${offer.url}${hubToken() === null ? '' : ' (with your token)'} to ${target}? [y/N] `) ?? false;
      },
      mayAsk: sure || confirm !== undefined,
    }, context.signal);
    return { ...fetched, out: path.resolve(fetched.out), seconds: (performance.now() - started) / 1000 };
  },
  text: (output) => output.status === 'present'
    ? `${output.benchmark} is here already: ${printable(output.out)}`
    : `${output.benchmark}: ${formatBytes(output.bytes)} from ${printable(output.source ?? '')}\n${printable(output.out)}\nSHA-256 ${output.sha256}, that of the published text`,
};
