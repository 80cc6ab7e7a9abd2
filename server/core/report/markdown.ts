import { benchmarkName } from '../evaluation/contract';
import { isBaseline } from '../sweep/summary';
import type { SummaryCell, SweepSummary } from '../sweep/summary';
import { findings } from './findings';
import { benchmarksOf, methodLabel, pruned } from './series';
import * as words from './words';

/** Names out of files stay text: no markup, no new cell, no new line. */
export const escapeMarkdown = (text: string): string => text.replace(/[\u0000-\u001f\u007f]/g, ' ').replace(/[\\`*_{}[\]<>#|~]/g, (c) => `\\${c}`).replaceAll('&', '&amp;');

/** A Markdown table; the first column leans left, the others as told. */
function table(titles: readonly string[], rows: readonly (readonly string[])[], leftColumns = 1): string {
  const rule = titles.map((_, i) => (i < leftColumns ? ':---' : '---:'));
  return [titles, rule, ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
}

function resultRow(cell: SummaryCell, margin: number, withText: boolean, withDivergence: boolean, withAccuracy: boolean): string[] {
  const { result, ratio, verdict } = cell, { evaluation, bytes, runtime, divergence } = result;
  const value = evaluation ? words.withError(evaluation.value, evaluation.standardError) : `none: ${result.problem?.code ?? ''}`;
  return [
    isBaseline(result) ? 'dense' : escapeMarkdown(methodLabel(cell)), ...(withText ? [escapeMarkdown(benchmarkName(result.specification.benchmark))] : []),
    words.percent(pruned(cell)), result.achievedTotal === null ? '' : words.percent(result.achievedTotal), value, ...(withAccuracy ? [evaluation?.accuracy ? words.accuracy(evaluation.accuracy.value, evaluation.accuracy.standardError) : ''] : []), ratio ? words.ratio(ratio, verdict === 'no difference' ? margin : null) : '',
    ...(withDivergence ? [divergence ? words.divergence(divergence.klDivergence.mean, divergence.klDivergence.standardError) : '', divergence ? words.percent(divergence.sameTop1.value) : ''] : []),
    words.bytes(bytes.dense), words.bytes(bytes.deflate), words.bytes(bytes.bitmask), words.bytes(bytes.csr),
    runtime ? `${runtime.medianMs.toPrecision(3)} ms` : '', runtime ? words.timeRatio(runtime.ratio, runtime.verdict) : result.runtimeProblem ? `none: ${result.runtimeProblem.code}` : '',
  ];
}

function setupRows(summary: SweepSummary): string[][] {
  const { header } = summary, { setup } = header;
  const result = summary.cells.find(({ result: { evaluation } }) => evaluation)?.result ?? summary.cells[0]?.result;
  const evaluation = result?.evaluation, runtime = summary.cells.find(({ result: { runtime: r } }) => r)?.result.runtime, scope = result?.model;
  const globs = (patterns: readonly string[]): string => patterns.length === 0 ? 'none' : patterns.map(escapeMarkdown).join(', ');
  return [
    ['checkpoint', escapeMarkdown(setup.checkpoint)],
    ['fingerprint', setup.fingerprint],
    ['architecture', scope?.architecture ?? 'not known'],
    ['parameters', scope ? `${words.count(scope.parameters)}; prunable ${words.count(scope.prunableParameters)}; in scope ${words.count(scope.scopeParameters)}` : ''],
    ['included, excluded', `${globs(setup.include)}; ${globs(setup.exclude)}`],
    ['protocol', `${setup.protocol}, context ${setup.context}, stride ${setup.stride}${setup.limit === null ? '' : `, first ${words.counted(setup.limit, 'window')}`}`],
    ...benchmarksOf(summary).map((benchmark) => {
      const e = summary.cells.find(({ result: r }) => r.specification.benchmark === benchmark && r.evaluation)?.result.evaluation;
      return [`text ${escapeMarkdown(benchmarkName(benchmark))}`, e ? `${words.counted(e.tokens, 'token')}, ${words.count(e.scoredTokens)} scored in ${words.counted(e.windows, 'window')}; SHA-256 ${e.textSha256}` : 'no value'];
    }),
    ['tokenizer', escapeMarkdown(evaluation?.tokenizer ?? '')],
    ['weights, computed in', `${evaluation?.weightDtype ?? ''}, ${evaluation?.computeDtype ?? ''}`],
    ['provider, threads', `${evaluation?.provider ?? setup.provider}, ${setup.threads}`],
    ...evaluation?.problems.filter(({ code }) => code === 'provider-fallback').map(({ detail }) => ['why this provider', escapeMarkdown(detail)]) ?? [],
    ['timed', runtime ? `one window of ${words.counted(runtime.context, 'token')}, dense pruned weights in the plain graph, pairs in random order, 95 % interval of the median ratio; margin ± ${words.level(runtime.margin)}` : 'not timed'],
    ['compared', `per token (per item where items are scored) with the dense model, moving blocks, 95 %; no difference = whole interval within ± ${words.level(summary.margin)}`],
    ['seed', String(setup.seed)],
    ['made by', `winnow ${header.winnow}, started ${header.started}`],
  ];
}

/** Names of the pictures, relative to the report. */
export interface ReportPictures {
  readonly perplexity: readonly { readonly benchmark: string; readonly file: string }[];
  /** One a way of pruning. */
  readonly size: readonly { readonly label: string; readonly file: string }[];
  readonly time: string | null;
}

/** The report of a sweep as Markdown: what the numbers say, the pictures, the table, and the setup that they travel with. */
export function reportMarkdown(summary: SweepSummary, pictures: ReportPictures): string {
  const name = escapeMarkdown(summary.cells[0]?.result.model.name ?? summary.header.setup.checkpoint);
  const many = benchmarksOf(summary).length > 1;
  const compared = summary.cells.some(({ result }) => result.divergence), counted = summary.cells.some(({ result }) => result.evaluation?.accuracy);
  const metric = summary.cells.find(({ result }) => result.evaluation)?.result.evaluation?.metric ?? 'perplexity';
  const titles = ['method', ...(many ? ['text'] : []), 'pruned, in scope', 'of all', `${metric} ± SE`, ...(counted ? ['accuracy ± SE'] : []), 'against dense (95 %)', ...(compared ? ['KL ± SE, nats', 'same top token'] : []), 'dense', 'deflate', 'bitmask', 'CSR', 'a window', 'time against dense'];
  const picture = (alt: string, file: string): string => `![${alt}](${encodeURI(file)})`;
  const said = findings(summary);
  return [
    `# Sweep of ${name}`,
    ...(said.length > 0 ? ['## What the numbers say', said.map(({ text }) => `- ${text}`).join('\n')] : []),
    '## Perplexity, size and time',
    pictures.perplexity.map(({ benchmark, file }) => picture(`${metric} on ${escapeMarkdown(benchmarkName(benchmark))} against weights pruned`, file)).join('\n\n'),
    [...pictures.size.map(({ label, file }) => picture(`Size on disk against weights pruned, ${escapeMarkdown(label)}`, file)), ...(pictures.time === null ? [] : [picture('Time against dense', pictures.time)])].join(' '),
    '## Cells',
    table(titles, summary.cells.map((cell) => resultRow(cell, summary.margin, many, compared, counted)), many ? 2 : 1),
    'Sizes are those of all stored weights: tensors in scope in the named form, the others dense. The dense row\'s time is the dense model against itself, a control.',
    compared ? 'KL: divergence of the next-token distribution from the dense model\'s, mean over scored tokens, in nats; same top token: how often both find the same token most probable.' : '',
    '## Setup',
    'A number from this page means something only with this table.',
    table(['what', 'value'], setupRows(summary), 2),
  ].filter((block) => block !== '').join('\n\n') + '\n';
}
