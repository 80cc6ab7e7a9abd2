import { lstatSync } from 'node:fs';
import path from 'node:path';
import { makeFolder } from '../../core/bytes/makeFolder';
import { CheckpointError } from '../../core/errors';
import { benchmarkName } from '../../core/evaluation/contract';
import { reportCsv } from '../../core/report/csv';
import { findings } from '../../core/report/findings';
import { reportMarkdown } from '../../core/report/markdown';
import { perplexityPlot, sizePlots, timePlot } from '../../core/report/plots';
import { benchmarksOf } from '../../core/report/series';
import { writeWhole } from '../../core/bytes/writeWhole';
import { encodeJson } from '../encode';
import { printable } from '../progressBar';
import { summaryOfFolder, sweepJson } from '../sweepJson';
import type { Verb } from './contract';

/** `winnow report`: a finished (or still running) sweep as Markdown, CSV, JSON and pictures. */
export const report: Verb<'report'> = {
  name: 'report',
  usage: 'SWEEP_DIR [--out FILE.md]',
  summary: 'Write a sweep as Markdown with plots, and beside it as CSV and JSON.',
  flags: [{ name: 'out', value: 'FILE.md', help: 'the Markdown file; the others get its name (default: report.md in the sweep)' }],
  positional: [1, 1],

  async *run(args, context) {
    const folder = path.resolve(context.cwd, args.positional[0]);
    const summary = summaryOfFolder(folder);
    if (summary.cells.length === 0) throw new CheckpointError('not-a-sweep', { file: folder }, 'no cell is finished yet');
    const given = args.text('out');
    if (given !== undefined && !/\.(md|markdown)$/i.test(given)) throw new CheckpointError('usage', {}, `--out is a Markdown file, e.g. report.md, not \`${given}\``);
    const out = given === undefined ? path.join(folder, 'report.md') : path.resolve(context.cwd, given);
    const stem = out.replace(/\.\w+$/, '');
    const files = new Map<string, string>();
    const add = (suffix: string, text: string): string => {
      files.set(`${stem}${suffix}`, text);
      return path.basename(`${stem}${suffix}`);
    };
    const benchmarks = benchmarksOf(summary);
    // Part of a file name, where there are several of a kind.
    const slug = (name: string, count: number): string => count === 1 ? '' : `-${name.replace(/[^\w.-]+/g, '_').slice(0, 60)}`;
    const perplexity = benchmarks.map((benchmark) => ({ benchmark, file: add(`-perplexity${slug(benchmarkName(benchmark), benchmarks.length)}.svg`, perplexityPlot(summary, benchmark)) }));
    const size = sizePlots(summary).map(({ label, svg }, _, all) => ({ label, file: add(`-size${slug(label, all.length)}.svg`, svg) }));
    const timed = timePlot(summary);
    const time = timed === null ? null : add('-time.svg', timed);
    files.set(out, reportMarkdown(summary, { perplexity, size, time }));
    add('.csv', reportCsv(summary));
    add('.json', `${encodeJson(sweepJson(summary))}\n`);
    // Beside the sweep these are earlier reports; elsewhere they may be anyone's (`--out config.md` would take config.json).
    for (const file of files.keys()) {
      const there = lstatSync(file, { throwIfNoEntry: false });
      if (there?.isDirectory()) throw new CheckpointError('target-exists', { file }, 'it is a folder');
      if (there && !context.force && stem !== path.join(folder, 'report')) throw new CheckpointError('target-exists', { file }, '');
    }
    makeFolder(path.dirname(out));
    let done = 0;
    for (const [file, text] of files) {
      writeWhole(file, text);
      yield { stage: 'report', done: ++done, total: files.size, unit: 'files' };
    }
    return { out, files: [...files.keys()], findings: findings(summary).map(({ text }) => text) };
  },
  text: ({ findings: said, files }) => [...said.map((sentence) => sentence.replaceAll('**', '')), ...(said.length > 0 ? [''] : []), ...files.map(printable)].join('\n'),
};
