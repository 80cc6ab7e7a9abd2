import path from 'node:path';
import { version } from '../../../package.json';
import { openModel } from '../../core/models/openModel';
import { settleProvider } from '../../core/runtime/providers';
import { makeLocalExecutor } from '../../core/sweep/localExecutor';
import { checkpointFingerprint, planCells, setupOf } from '../../core/sweep/plan';
import { runSweep } from '../../core/sweep/runSweep';
import { SweepStore } from '../../core/sweep/store';
import { summarise } from '../../core/sweep/summary';
import { makePool } from '../../core/workers/pool';
import type { SweepJson } from '../../protocol/verbs';
import { formatBytes, printable } from '../progressBar';
import { sweepJson } from '../sweepJson';
import { sweepRequest, sweepWish } from '../sweepRequest';
import { accuracyOf, against, cellLabel, divergence, percentOf, perplexity, runtimeWords, sameTop } from '../sweepWords';
import { table } from '../table';
import type { Verb } from './contract';
import { lineFlags, selectionFlags, windowFlags } from './flags';

/** `winnow sweep`: what each level of pruning costs, in perplexity, size and time. */
export const sweep: Verb<'sweep'> = {
  name: 'sweep',
  usage: 'CHECKPOINT|RECIPE [--levels 0.1,0.5,0.9,0.95,0.99] [--benchmarks IDS | --text FILE] [--out DIR]',
  summary: 'Measure what pruning costs at several levels: perplexity, size and time against the unpruned model. Goes on where it was stopped.',
  flags: [
    { name: 'levels', value: 'S,S', help: 'fractions to prune, with commas (default: 0.1,0.5,0.9,0.95,0.99; level 0 is always measured)' },
    { name: 'methods', value: 'ID,ID', help: 'how weights are chosen (default: magnitude)' },
    { name: 'benchmarks', value: 'ID,ID', help: 'texts by name (default: wikitext-2-raw where it is on this machine, else sample)' },
    { name: 'text', value: 'FILE', help: 'a text file instead of benchmarks' },
    ...lineFlags,
    { name: 'out', value: 'DIR', help: 'folder of the results (default: NAME-sweep beside the checkpoint); resumes from it' },
    ...windowFlags,
    ...selectionFlags,
    { name: 'seed', value: 'N', help: 'for methods that draw, and for the order of timings (default: 0)' },
    { name: 'divergence', value: null, help: 'compare predictions with the dense model token by token: KL divergence and same most probable token; an evaluation takes two to three times as long' },
    { name: 'no-runtime', value: null, help: 'do not measure time' },
    { name: 'benchmark', value: 'ID', help: 'the same as --benchmarks, as `eval` spells it' },
    { name: 'method', value: 'ID', help: 'the same as --methods, as `prune` spells it' },
    { name: 'sparsity', value: 'S', help: 'the same as --levels, as `prune` spells it' },
  ],
  positional: [1, 1],

  async *run(args, context) {
    const wish = sweepWish(args, context);
    const model = openModel(wish.checkpoint);
    const { provider, remark } = await settleProvider(wish.provider);
    const request = sweepRequest(wish, model, provider, context, !args.has('no-runtime'));
    const cells = planCells(request);
    const out = wish.out ?? path.join(path.dirname(wish.checkpoint), `${model.checkpoint.name.replace(/(\.safetensors)?(\.index\.json)?$/, '')}-sweep`);
    const store = SweepStore.open(out, setupOf(cells[0], checkpointFingerprint(model.checkpoint)), { winnow: version, force: context.force });
    const dropped = wish.benchmarks?.filter((benchmark) => !request.benchmarks.includes(benchmark)) ?? [];
    if (dropped.length > 0) yield { stage: 'sweep', done: 0, total: cells.length, unit: 'cells', note: `${dropped.join(', ')}: the same text as another one, counted once` };
    if (remark) yield { stage: 'sweep', done: 0, total: cells.length, unit: 'cells', note: `computed on ${remark.detail}` };
    const pool = makePool({ threads: context.threads });
    const executor = makeLocalExecutor({ pool, io: context.io, scratch: out, ...(remark && { remarks: [remark] }) }, version);
    try {
      const { finished } = yield* runSweep(cells, store, executor, context.signal);
      return sweepJson(summarise(out, store.header, finished));
    } finally {
      await executor.close();
      await pool.close();
    }
  },
  text: sweepText,
};

function sweepText(output: SweepJson): string {
  const { setup } = output, right = 'right' as const;
  const many = new Set(output.cells.map((cell) => cell.benchmark)).size > 1;
  const metric = output.cells[0]?.metric ?? 'perplexity';
  const compared = output.cells.some((cell) => cell.klDivergence), counted = output.cells.some((cell) => cell.accuracy);
  const rows = output.cells.map((cell) => [
    cellLabel(cell), ...(many ? [printable(cell.benchmark)] : []), percentOf(cell.achieved), perplexity(cell), ...(counted ? [accuracyOf(cell)] : []), against(cell, setup.margin), ...(compared ? [divergence(cell), sameTop(cell)] : []),
    formatBytes(cell.bytes.dense), formatBytes(cell.bytes.deflate), formatBytes(cell.bytes.bitmask), formatBytes(cell.bytes.csr), runtimeWords(cell),
  ]);
  const titles = ['method', ...(many ? ['text'] : []), 'pruned', metric, ...(counted ? ['accuracy'] : []), 'against dense', ...(compared ? ['KL, nats', 'same top'] : []), 'dense', 'deflate', 'bitmask', 'CSR', 'time against dense'];
  return [
    `${printable(output.checkpoint)}: ${output.cells[0]?.protocol ?? ''}, context ${setup.context}, stride ${setup.stride}, ${setup.scoredTokens.toLocaleString('en')} scored ${setup.scoredTokens === 1 ? 'token' : 'tokens'}, ${setup.provider} ${setup.computeDtype} (weights ${setup.weightDtype})${setup.providerReason === undefined ? '' : `\nprovider: ${setup.providerReason}`}`,
    '', table(titles.map((title, i) => ({ title, align: i === 0 || (many && i === 1) ? 'left' as const : right })), rows),
    '', `results: ${printable(output.out)}; \`winnow report ${printable(output.out)}\` draws them`,
  ].join('\n');
}
