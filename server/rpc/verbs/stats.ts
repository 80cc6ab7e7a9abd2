import path from 'node:path';
import { layerName } from '../../core/models/contract';
import { openModel } from '../../core/models/openModel';
import { scanModel } from '../../core/stats/scan';
import { summarise } from '../../core/stats/summarise';
import { makePool } from '../../core/workers/pool';
import type { Num, StatsJson, StatsNumbers } from '../../protocol/verbs';
import { printable } from '../progressBar';
import { statsNumbers } from '../statsNumbers';
import { table } from '../table';
import type { Verb } from './contract';

/** `winnow stats`: exact numbers of every weight. Without --threshold the threshold is 0, so `above` counts what is not zero. */
export const stats: Verb<'stats'> = {
  name: 'stats',
  usage: 'CHECKPOINT [--threshold T]',
  summary: 'Exact statistics: overall, of what pruning may take, by layer and by tensor.',
  flags: [{ name: 'threshold', value: 'T', help: 'count |w| > T, as a double; 0 by default, which counts what is not zero' }],
  positional: [1, 1],

  async *run(args, context) {
    const threshold = args.number('threshold', 0, Number.MAX_VALUE) ?? 0;
    const model = openModel(path.resolve(context.cwd, args.positional[0]));
    const pool = makePool({ threads: context.threads });
    try {
      const scans = yield* scanModel(model, { threshold, io: context.io }, pool, context.signal);
      const summary = summarise(model, scans);
      return {
        threshold,
        overall: statsNumbers(summary.overall), stored: statsNumbers(summary.stored), prunable: statsNumbers(summary.prunable),
        layers: summary.layers.map(({ layer, stack, prunable, ...all }) => ({ layer, ...(stack && { stack }), ...statsNumbers(all), prunable: statsNumbers(prunable) })),
        tensors: summary.tensors.map(({ name, ...one }) => ({ name, ...statsNumbers(one) })),
      };
    } finally {
      await pool.close();
    }
  },

  text(output: StatsJson): string {
    const { threshold } = output;
    const blocks = [
      statsTable('set', [['parameters', output.overall], ['stored', output.stored], ['prunable', output.prunable]], threshold),
      output.layers.length > 0 ? statsTable('layer', output.layers.map((layer) => [layerName(layer, layer.layer), layer]), threshold) : '',
      output.layers.length > 0 ? statsTable('prunable of layer', output.layers.map((layer) => [layerName(layer, layer.layer), layer.prunable]), threshold) : '',
      output.tensors.length > 0 ? statsTable('tensor', output.tensors.map((one) => [one.name, one]), threshold) : '',
    ];
    return `${blocks.filter((block) => block !== '').join('\n\n')}\n`;
  },
};

const columns = ['weights', 'zero', 'above', 'NaN', 'inf', 'min', 'max', 'mean', 'std'];

function statsTable(title: string, rows: readonly (readonly [string, StatsNumbers])[], threshold: number | null): string {
  const titles = columns.map((name) => (name === 'above' ? `|w| > ${threshold ?? 0}` : name));
  return table(
    [{ title, align: 'left' }, ...titles.map((name) => ({ title: name, align: 'right' as const }))],
    rows.map(([name, n]) => [
      printable(name), n.parameters.toLocaleString('en'), share(n.zeros, n.parameters), n.aboveThreshold === null ? '-' : share(n.aboveThreshold, n.parameters),
      n.nan.toLocaleString('en'), n.inf.toLocaleString('en'), short(n.min), short(n.max), short(n.mean), short(n.std),
    ]),
  );
}

const share = (part: number, whole: number): string => (whole === 0 ? '-' : `${((100 * part) / whole).toFixed(2)} %`);
const short = (n: Num | null): string => (n === null ? '-' : typeof n === 'number' ? String(Number(n.toPrecision(4))) : n);
