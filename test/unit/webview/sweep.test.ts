import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SweepCellJson, SweepJson } from '../../../server/protocol/verbs';
import { againstDense, benchmarkName, divergenceTitle, methodName, ratioText, sentencesOf, timeText, timeTitle, topicsOf, valueText } from '../../../webview/sweep/model';

const plain = (text: string): string => text.replaceAll(' ', ' ');

function cell(part: Partial<SweepCellJson> & { ratio?: [number, number, number] }): SweepCellJson {
  const { ratio, ...rest } = part;
  return {
    level: 0.5, method: 'magnitude', scope: 'global', pattern: 'unstructured', options: [], benchmark: 'wikitext-2-raw', protocol: 'hf-stride', metric: 'perplexity', achieved: part.level ?? 0.5, achievedTotal: 0.4, calibration: null, threshold: 0.1, value: 30, meanLoss: 3.4,
    standardError: 0.5, standardErrorIid: 0.1, ratioToBaseline: ratio ? { value: ratio[0], low: ratio[1], high: ratio[2] } : null, verdict: null, bytes: { dense: 100, deflate: 60, bitmask: 55, csr: 110 }, runtime: null, runtimeProblem: null, seconds: 1, problem: null, ...rest,
  };
}
const dense = cell({ level: 0, method: 'dense', achieved: 0 });
const sweep = (cells: SweepCellJson[]): SweepJson => ({ checkpoint: '/m', out: '/s', setup: { margin: 0.005 } as SweepJson['setup'], texts: [], cells, findings: [] });

test('cells of one text and protocol make one topic, a series a method, each from the dense model on', () => {
  const topics = topicsOf(sweep([dense, cell({ level: 0.9, value: 'NaN' }), cell({ level: 0.5 }), cell({ method: 'wanda', scope: 'row' }), cell({ level: 0, benchmark: 'text:/x/moby.txt', protocol: 'mlm-pll', metric: 'pseudo-perplexity' })]));
  assert.equal(topics.length, 2);
  assert.deepEqual(topics[0].series.map((series) => [series.name, series.points.map((point) => point.level)]), [['magnitude', [0, 0.5, 0.9]], ['wanda', [0, 0.5]]]);
  assert.equal(topics[0].series[0].points[2].value, null);
  assert.equal(topics[0].metric, 'perplexity');
  assert.equal(topics[1].metric, 'pseudo-perplexity');
  assert.equal(topics[1].title, 'moby.txt · mlm-pll');
});

test('one method in two scopes is told apart by its scope', () => {
  const [topic] = topicsOf(sweep([dense, cell({}), cell({ scope: 'tensor' }), cell({ pattern: '2:4' })]));
  assert.deepEqual(topic.series.map((series) => series.name), ['magnitude, global', 'magnitude, tensor', 'magnitude, 2:4']);
  assert.equal(methodName(dense), 'dense');
});

test('verdicts in words', () => {
  const rows: [SweepCellJson, string][] = [
    [dense, ''], [cell({ ratio: [1.001, 0.999, 1.003], verdict: 'no difference' }), 'no difference (± 0.5 %)'], [cell({ ratio: [1.241, 1.233, 1.249], verdict: 'worse' }), '+24.1 % (23.3 … 24.9)'],
    [cell({ ratio: [0.905, 0.899, 0.91], verdict: 'better' }), '−9.5 % (−10.1 … −9.0)'], [cell({ ratio: [132, 126, 139], verdict: 'worse' }), '× 132 (126 … 139)'], [cell({ ratio: [1.004, 0.998, 1.01], verdict: 'not decided' }), 'not decided, +0.4 % (−0.2 … 1.0)'],
    [cell({ value: 'NaN', problem: { code: 'x', where: {}, detail: '' } }), 'no value'], [cell({}), '–']];
  for (const [given, expected] of rows) assert.equal(plain(againstDense(given, 0.005)), expected);
  assert.equal(plain(ratioText({ value: 2606, low: 2578, high: 2631 })), '× 2,606 (2,578 … 2,631)');
  assert.equal(ratioText({ value: 'Infinity', low: 1, high: 'Infinity' }), 'Infinity');
});

test('a value has its 95 % interval behind it, and text for what is no number', () => {
  assert.deepEqual(valueText(cell({ value: 31.2, standardError: 0.4439 })), { value: '31.20', error: '± 0.4' });
  assert.deepEqual(valueText(cell({ value: 31.2, standardError: null })), { value: '31.20', error: '' });
  assert.deepEqual(valueText(cell({ value: 'NaN' })), { value: 'NaN', error: '' });
});

test('the sentences of the report are shown for their text, and those of all texts always', () => {
  const findings = [{ benchmark: 'wikitext-2-raw', text: 'Up to **31 %** can go (magnitude).' }, { benchmark: 'sample', text: 'Another text.' }, { benchmark: null, text: '**All** <b>markup</b> is text.' }];
  const topics = topicsOf(sweep([dense, cell({}), cell({ benchmark: 'sample' })]));
  assert.deepEqual(sentencesOf(findings, topics[0]), [['Up to ', { strong: '31 %' }, ' can go (magnitude).'], [{ strong: 'All' }, ' <b>markup</b> is text.']]);
  assert.deepEqual(sentencesOf(findings, topics[1]).map((sentence) => sentence[0]), ['Another text.', { strong: 'All' }]);
  assert.deepEqual(topicsOf(sweep([])), []);
});

test('times and names', () => {
  assert.equal(timeText(dense), '');
  assert.equal(timeText(cell({})), '–');
  assert.equal(timeText(cell({ runtimeProblem: { code: 'out-of-memory', where: {}, detail: '' } })), 'none: out-of-memory');
  const wide = cell({ runtime: { medianMs: 1, baselineMedianMs: 1, ratio: { value: 0.914, low: 0.826, high: 1.07 }, verdict: 'not decided', margin: 0.05, pairs: 40, context: 64, threads: 2, provider: 'cpu' } });
  assert.equal(timeText(wide), 'not decided');
  assert.equal(timeTitle(wide), '−8.6 % (−17.4 … 7.0) in 40 pairs');
  assert.equal(timeText(cell({ level: 0, runtime: { medianMs: 1, baselineMedianMs: 1, ratio: { value: 1, low: 0.99, high: 1.01 }, verdict: 'no difference', margin: 0.02, pairs: 9, context: 64, threads: 2, provider: 'cpu' } })), 'control: no difference');
  assert.equal(benchmarkName('text:/books/moby.txt'), 'moby.txt');
  assert.equal(benchmarkName('text:moby.txt'), 'moby.txt');
  assert.equal(benchmarkName('text:C:\\a\\moby.txt'), 'moby.txt');
  assert.equal(benchmarkName('sample'), 'sample');
});

test('hovering over the verdict tells how far the predictions lie from the dense model, where that was measured', () => {
  assert.equal(divergenceTitle(cell({})), null);
  const title = divergenceTitle(cell({ klDivergence: { mean: 0.008649, standardError: null, standardErrorIid: 0.00006612, median: 0.00585, p99: 0.04731, max: 0.354 }, sameTop1: { value: 0.9134, standardError: null, standardErrorIid: null } }));
  assert.equal(plain(title ?? ''), 'KL divergence from dense 0.00865 ± 0.0000661 nats a token (median 0.00585, 99 % 0.0473)\nsame most probable token 91.3 %');
});
