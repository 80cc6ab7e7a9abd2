import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { csvField, reportCsv } from '../../../server/core/report/csv';
import { findings, largestWithin } from '../../../server/core/report/findings';
import { escapeMarkdown, reportMarkdown } from '../../../server/core/report/markdown';
import { perplexityPlot, sizePlots, timePlot } from '../../../server/core/report/plots';
import { seriesOf } from '../../../server/core/report/series';
import { drawPlot, escapeXml, labelled, linearTicks, logTicks, spread } from '../../../server/core/report/svg';
import * as words from '../../../server/core/report/words';
import { writeCell } from '../../../server/core/sweep/cellJson';
import type { FinishedCell } from '../../../server/core/sweep/contract';
import { planCells, setupOf } from '../../../server/core/sweep/plan';
import type { SweepRequest } from '../../../server/core/sweep/plan';
import { SweepStore } from '../../../server/core/sweep/store';
import { summarise } from '../../../server/core/sweep/summary';
import type { SweepSummary } from '../../../server/core/sweep/summary';
import { runShell } from '../../../server/rpc/shell';
import { fakeCell, fakeRequest } from '../sweep/fakes';

const FINGERPRINT = 'f'.repeat(32);

function summaryOf(request: Partial<SweepRequest> = {}, change: (cell: FinishedCell) => FinishedCell = (cell) => cell): SweepSummary {
  const cells = planCells({ ...fakeRequest, ...request });
  return summarise('/x', { version: 1, winnow: '0.1.0', started: '2026-01-01T00:00:00Z', setup: setupOf(cells[0], FINGERPRINT) }, cells.map((cell) => change(fakeCell(cell, FINGERPRINT))));
}

const said = (summary: SweepSummary): string => findings(summary).map(({ text }) => text).join('\n');

const withValue = (cell: FinishedCell, value: number): FinishedCell => ({ ...cell, result: { ...cell.result, evaluation: { ...cell.result.evaluation!, value } } });

/** Checks that tags nest and that nothing but SVG's own markup is there; answers with the names of all elements. */
function elements(svg: string): string[] {
  const stack: string[] = [], seen: string[] = [];
  for (const [, close, name, self] of svg.matchAll(/<(\/?)([a-zA-Z]+)(?:\s+[\w-]+="[^"<>]*")*\s*(\/?)>/g)) {
    if (close) assert.equal(stack.pop(), name);
    else {
      seen.push(name);
      if (!self) stack.push(name);
    }
  }
  assert.deepEqual(stack, []);
  const rest = svg.replace(/<(\/?)([a-zA-Z]+)(?:\s+[\w-]+="[^"<>]*")*\s*(\/?)>/g, '');
  assert.doesNotMatch(rest, /<|&(?!amp;|lt;|gt;|quot;)/);
  assert.doesNotMatch(svg, /NaN|undefined|Infinity/);
  return seen;
}

test('numbers read as a person writes them', () => {
  for (const [value, text] of [[31.2, '31.20'], [3.14159, '3.142'], [4120, '4,120'], [81300.7, '81,300'], [1.234e12, '1.23e+12'], [Infinity, '∞'], [NaN, 'not a number']] as const) assert.equal(words.number(value), text);
  for (const [fraction, text] of [[0, '0.0 %'], [0.5, '50.0 %'], [0.99, '99.0 %'], [0.12345, '12.35 %']] as const) assert.equal(words.percent(fraction), text);
  assert.equal(words.level(0.95), '95 %');
  assert.equal(words.withError(31.2, 0.9), '31.20 ± 0.90');
  assert.equal(words.withError(31.2, null), '31.20');
  assert.equal(words.ratio({ value: 1.241, low: 1.233, high: 1.249 }, null), '+24.1 % (23.3 … 24.9)');
  assert.equal(words.ratio({ value: 0.9, low: 0.899, high: 0.91 }, null), '−10.0 % (−10.1 … −9.0)');
  assert.equal(words.ratio({ value: 132, low: 126, high: 139 }, null), '× 132 (126 … 139)');
  assert.equal(words.ratio({ value: 1.01, low: 0, high: Infinity }, null), '+1.00 %');
  assert.equal(words.ratio({ value: 1, low: 1, high: 1 }, 0.005), 'no difference (± 0.5 %)');
  assert.equal(words.ratio({ value: Infinity, low: 1, high: Infinity }, null), '× ∞');
});

test('ticks are round, ascending, and reach around the data', () => {
  for (const [from, to] of [[0, 1], [0.93, 1.07], [31, 38.7], [0, 10.8], [5, 5]] as const) {
    const ticks = linearTicks(from, to);
    assert.ok(ticks[0] <= from && ticks[ticks.length - 1] >= to && ticks.length >= 2 && ticks.length <= 9, `${from} ${to}: ${ticks}`);
    for (let i = 1; i < ticks.length; i++) assert.ok(ticks[i] > ticks[i - 1]);
  }
  for (const [from, to] of [[25, 100_000], [1, 25], [1e-3, 1e30], [90, 2100]] as const) {
    const ticks = logTicks(from, to);
    assert.ok(ticks.length >= 2 && ticks.length <= 10 && ticks.every((tick) => tick >= from * 0.999 && tick <= to * 1.001), `${from} ${to}: ${ticks}`);
  }
});

test('labels do not overlap, stay inside, and keep their order', () => {
  for (const wanted of [[10, 10, 10], [100, 98, 99, 97], [0, 50, 100], [100, 100]]) {
    const placed = spread(wanted, 15, 0, 100);
    const sorted = [...placed].sort((a, b) => a - b);
    for (let i = 1; i < sorted.length; i++) assert.ok(sorted[i] - sorted[i - 1] >= 15 - 1e-9, `${wanted} -> ${placed}`);
    assert.ok(sorted[0] >= 0 && sorted[sorted.length - 1] <= 100);
  }
  const positions = [0, 33, 165, 300, 316, 330], widths = positions.map(() => 14);
  const shown = labelled(positions, widths);
  assert.ok(shown[0] && shown[5] && !shown[4]);
});

test('names out of files are text in SVG, Markdown and CSV', () => {
  const hostile = '<script>alert(1)</script>"&\u0000\n|`*_[x](y)';
  assert.doesNotMatch(escapeXml(hostile), /<|\u0000|"/);
  assert.doesNotMatch(escapeMarkdown(hostile).replace(/\\./g, ''), /[<>|`*_[\]\n]/);
  for (const text of ['=1+1', '@x', '+1', '-1']) assert.equal(csvField(text)[0], "'");
  assert.equal(csvField('a,"b"\n'), '"a,""b""\n"');
  assert.deepEqual([csvField(null), csvField(NaN), csvField(-1.5)], ['', 'NaN', '-1.5']);
  const svg = drawPlot({ title: hostile, description: hostile, width: 300, height: 200, xTicks: [0, 50], xLabel: hostile, y: { log: false, ticks: [0, 1], from: 0, to: 1, format: String },
    series: [{ label: hostile, tone: 0, line: true, marks: true, points: [{ x: 0, y: 0, title: hostile }, { x: 50, y: 1, title: hostile }] }], rules: [{ y: 1, label: hostile }] });
  assert.ok(!elements(svg).includes('script'));
});

test('every plot is whole, with a mark a cell, whiskers where there is an interval, and an arrow where there is no value', () => {
  const summary = summaryOf();
  for (const svg of [perplexityPlot(summary, 'sample'), ...sizePlots(summary).map(({ svg }) => svg), timePlot(summary)!]) {
    elements(svg);
    assert.match(svg, /prefers-color-scheme: dark/);
    assert.match(svg, /aria-label="/);
  }
  assert.equal(elements(perplexityPlot(summary, 'sample')).filter((name) => name === 'circle').length, 4);
  assert.equal((timePlot(summary)!.match(/class="whisker/g) ?? []).length, 4);
  assert.equal(timePlot(summaryOf({}, (cell) => ({ ...cell, result: { ...cell.result, runtime: null } }))), null);
  const diverged = summaryOf({}, (cell) => cell.result.specification.level < 0.9 ? cell : { losses: null, result: { ...cell.result, evaluation: null, problem: { code: 'not-finite', where: {}, detail: '' } } });
  const svg = perplexityPlot(diverged, 'sample');
  assert.equal(elements(svg).filter((name) => name === 'circle').length, 3);
  assert.match(svg, /not a number/);
});

test('the axis is logarithmic when it must be and only then', () => {
  const gap = (most: number): string[] => {
    const svg = perplexityPlot(summaryOf({}, (cell) => withValue(cell, 30 + (most - 30) * cell.result.specification.level)), 'sample');
    elements(svg);
    return [...svg.matchAll(/text-anchor="end">([^<]+)</g)].map((match) => match[1]);
  };
  assert.ok(gap(100_000).includes('1,000') && gap(100_000).includes('100'));
  const linear = gap(60).map(Number);
  assert.equal(new Set(linear.slice(1).map((tick, i) => Math.round(1e6 * (tick - linear[i])))).size, 1);
});

test('the largest level within +5 % is interpolated in log ratio, with its bracket and the measured levels beside it', () => {
  // The made-up cells have a ratio of exp(level): +5 % is at ln 1.05.
  const [series] = seriesOf(summaryOf());
  const found = largestWithin(series)!;
  assert.ok(Math.abs(found.at - Math.log(1.05)) < 1e-4);
  assert.deepEqual(found.between, [0, 0.1]);
  const flat = summaryOf({}, (cell) => ({ ...fakeCell(cell.result.specification, FINGERPRINT, { scale: 0.01 }) }));
  assert.equal(largestWithin(seriesOf(flat)[0]), null);
  assert.match(said(flat), /Every measured level stays within \+5 %/);
  const wide = { ...series, cells: series.cells.map((cell) => cell.ratio ? { ...cell, ratio: { value: cell.ratio.value, low: cell.ratio.value / 1.02, high: cell.ratio.value * 1.02 } } : cell) };
  const bracket = largestWithin(wide)!;
  assert.ok(bracket.low! < found.at && found.at < bracket.high!);
  const unknown = { ...series, cells: series.cells.map((cell) => cell.ratio ? { ...cell, ratio: { ...cell.ratio, low: 0, high: Infinity } } : cell) };
  assert.deepEqual([largestWithin(unknown)!.low, largestWithin(unknown)!.high], [null, null]);
});

test('without any interval nothing is claimed of +5 %; with one there is', () => {
  const summary = summaryOf(), short = { ...summary, cells: summary.cells.map((cell) => cell.ratio ? { ...cell, ratio: { ...cell.ratio, low: 0, high: Infinity } } : cell) };
  assert.match(said(short), /too short for an interval/);
  assert.doesNotMatch(said(short), /Up to \*\*|Every measured level/);
  assert.match(said(summary), /Up to \*\*.*can go within \+5 %/);
  assert.doesNotMatch(said(summary), /too short/);
});

test('the sentences say what the verdicts say', () => {
  const text = said(summaryOf());
  assert.match(text, /Zeros do not make dense kernels faster/);
  assert.match(text, /CSR from 55\.56 % on/);
  const slower = said(summaryOf({}, (cell) => ({ ...cell, result: { ...cell.result, runtime: { ...cell.result.runtime!, verdict: 'slower', ratio: { value: 1.2, low: 1.1, high: 1.3 } } } })));
  assert.match(slower, /a window is slower/);
  assert.match(slower, /too busy for its timings to be trusted/);
  assert.doesNotMatch(slower, /Zeros do not make/);
});

test('the Markdown carries the setup, one row a cell, and a text column only where there are several', () => {
  const summary = summaryOf({ benchmarks: ['sample', 'text:/somewhere/a|b.txt'] });
  const markdown = reportMarkdown(summary, { perplexity: [{ benchmark: 'sample', file: 'a b.svg' }], size: [], time: null });
  for (const wanted of ['hf-stride, context 8, stride 4', '0123456789abcdef', 'F32, F32', 'cpu, 2', 'winnow 0.1.0', 'a\\|b.txt', 'a%20b.svg', '1,200,000']) assert.ok(markdown.includes(wanted), wanted);
  assert.equal(markdown.split('\n').filter((line) => line.startsWith('| magnitude, global')).length, 6);
  assert.ok(!reportMarkdown(summaryOf(), { perplexity: [], size: [], time: null }).includes('| text |'));
});

test('the CSV has a row a cell and the same number of fields in each', () => {
  const lines = reportCsv(summaryOf()).trimEnd().split('\r\n');
  assert.equal(lines.length, 5);
  assert.equal(new Set(lines.map((line) => line.split(',').length)).size, 1);
});

const folder = mkdtempSync(path.join(tmpdir(), 'winnow-report-'));
after(() => rmSync(folder, { recursive: true }));

test('winnow report writes the page, the tables and every picture that the page names', async () => {
  const cells = planCells({ ...fakeRequest, benchmarks: ['sample', 'text:/somewhere/else.txt'] }), store = SweepStore.open(path.join(folder, 's'), setupOf(cells[0], FINGERPRINT), { winnow: '0', force: false });
  for (const cell of cells) writeCell(store.resultPath(cell), fakeCell(cell, FINGERPRINT));
  let out = '', err = '';
  const run = (...words: string[]): Promise<number> => {
    out = err = '';
    return runShell(['report', ...words], { cwd: folder, environment: {}, signal: new AbortController().signal, stderr: { write: (text) => { err += text; } }, stdout: { write: (text, done) => { out += text; setImmediate(done, null); } } });
  };
  assert.equal(await run('s', '--out', 'deep/er/r.md', '--json'), 0, err);
  const { out: page, files } = JSON.parse(out) as { out: string; files: string[] };
  assert.equal(page, path.join(folder, 'deep/er/r.md'));
  for (const file of files) assert.ok(existsSync(file), file);
  const named = [...readFileSync(page, 'utf8').matchAll(/!\[[^\]]*\]\(([^)]+)\)/g)].map((match) => match[1]);
  assert.equal(named.length, 4);
  for (const file of named) elements(readFileSync(path.join(path.dirname(page), decodeURI(file)), 'utf8'));
  const json = JSON.parse(readFileSync(page.replace(/md$/, 'json'), 'utf8')) as { cells: unknown[] };
  assert.equal(json.cells.length, 8);
  assert.equal(await run('s'), 0);
  assert.ok(existsSync(path.join(folder, 's/report.md')));
  for (const [words, code] of [[['none'], 1], [['deep'], 1], [['s', '--out', 'x.txt'], 2], [[], 2]] as const) assert.equal(await run(...words), code, words.join(' '));
});

/** A sweep of two ways of pruning; the second costs `scale` times the nats of the first. */
function rivals(scale: number): SweepSummary {
  const cells = planCells(fakeRequest), others = cells.filter(({ level }) => level > 0).map((cell) => ({ ...cell, method: 'wanda', scope: 'row' as const }));
  const finished = [...cells.map((cell) => fakeCell(cell, FINGERPRINT)), ...others.map((cell) => fakeCell(cell, FINGERPRINT, { scale }))];
  return summarise('/x', { version: 1, winnow: '0.1.0', started: '2026-01-01T00:00:00Z', setup: setupOf(cells[0], FINGERPRINT) }, finished);
}

test('two methods are compared where their intervals lie apart, and each has its sizes', () => {
  assert.match(said(rivals(0.5)), /\*\*wanda, row is better than magnitude, global\*\* at 50 %: −22\.1 % perplexity/);
  assert.doesNotMatch(said(rivals(1)), /is better than/);
  assert.deepEqual(sizePlots(rivals(0.5)).map(({ label }) => label), ['magnitude, global', 'wanda, row']);
  assert.equal(said(rivals(0.5)).match(/Smaller than dense:/g)?.length, 2);
});

test('a finding of one text names it, one of all texts does not', () => {
  const found = findings(summaryOf({ benchmarks: ['sample', 'text:/somewhere/else.txt'] }));
  assert.deepEqual([...new Set(found.map(({ benchmark }) => benchmark))], ['sample', 'text:/somewhere/else.txt', null]);
  for (const { benchmark, text } of found) if (benchmark !== null) assert.ok(text.includes(benchmark === 'sample' ? 'sample' : 'else.txt'), text);
});

test('a time that is missing is said with its reason', () => {
  const summary = summaryOf({}, (cell) => ({ ...cell, result: { ...cell.result, runtime: null, runtimeProblem: { code: 'out-of-memory', where: {}, detail: 'needs 4 GB twice' } } }));
  assert.match(said(summary), /At 10 %, 50 % and 90 % there is no time \(out-of-memory\): needs 4 GB twice\./);
  assert.match(reportMarkdown(summary, { perplexity: [], size: [], time: null }), /none: out-of-memory/);
  assert.match(reportCsv(summary), /,out-of-memory,/);
});

test('how far predictions lie from the dense model is a column where it was measured, and none where it was not', () => {
  const divergence = { klDivergence: { mean: 0.008649, standardError: 0.000066, standardErrorIid: 0.00005, median: 0.00585, p99: 0.0473, max: 0.354 }, sameTop1: { value: 0.9134, standardError: null, standardErrorIid: 0.001 }, probabilityChange: { mean: -0.001, rms: 0.01 } };
  const pictures = { perplexity: [], size: [], time: null };
  const summary = summaryOf({ divergence: true }, (cell) => ({ ...cell, result: { ...cell.result, divergence: cell.result.specification.level === 0 ? null : divergence } }));
  assert.match(reportMarkdown(summary, pictures), /KL ± SE, nats \| same top token[\s\S]*\| 0\.00865 ± 0\.00007 \| 91\.34 % \|/);
  assert.doesNotMatch(reportMarkdown(summaryOf(), pictures), /KL/);
  const [head, dense, pruned] = reportCsv(summary).split('\r\n').map((line) => line.split(','));
  const at = (name: string): [string, string] => [dense[head.indexOf(name)], pruned[head.indexOf(name)]];
  assert.deepEqual([at('klMean'), at('klP99'), at('sameTop1'), at('sameTop1StandardError')], [['', '0.008649'], ['', '0.0473'], ['', '0.9134'], ['', '']]);
});
