import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  formatAligned, formatBytes, formatChange, formatClock, formatCount, formatDuration, formatError, formatField, formatLevel, formatPercent, formatPerplexity,
  formatTick, formatValue, grouped, plural,
} from '../../../webview/format';

/** No-break spaces read as spaces here. */
const plain = (text: string): string => text.replaceAll(' ', ' ');
const table = <T extends unknown[]>(title: string, act: (...input: T) => string, rows: [...T, string][]): void => {
  test(title, () => {
    for (const row of rows) {
      const input = row.slice(0, -1) as unknown as T;
      assert.equal(plain(act(...input)), row[row.length - 1], JSON.stringify(input));
    }
  });
};

table('counts have three significant digits and a unit from ten thousand on', formatCount, [
  [0, '0'], [999, '999'], [6400, '6,400'], [9999, '9,999'], [50257, '50.3 k'], [999_600, '1.00 M'], [30_700_000, '30.7 M'], [1_557_611_200, '1.56 B'], [2.4e12, '2.40 T']]);
table('bytes are decimal', formatBytes, [[0, '0 B'], [999, '999 B'], [1500, '1.50 kB'], [6_430_000_000, '6.43 GB'], [999_999_999, '1.00 GB'], [1.2e12, '1.20 TB']]);
table('a percentage never says nothing or all when it is not', formatPercent, [
  [null, '–'], [NaN, '–'], [0, '0.0 %'], [0.0001, '< 0.1 %'], [0.473, '47.3 %'], [0.99951, '> 99.9 %'], [1, '100.0 %']]);
table('a level is shown as it was chosen', formatLevel, [[0.5, '50 %'], [0.995, '99.5 %'], [0.1234, '12.34 %']]);
table('values of weights are short, with a real minus and words for what is not finite', formatValue, [
  [null, '–'], [0, '0'], [0.0871, '0.0871'], [-2.3149, '−2.31'], [0.000012, '1.2e−5'], [-0.0002, '−2e−4'], [123456, '1.23e5'], [6400, '6,400'], ['NaN', 'NaN'], ['-Infinity', '−∞'], ['Infinity', '∞']]);
table('in a column trailing zeros stay', formatAligned, [[0.1, '0.100'], [0.0578, '0.058'], [0.0042, '0.0042'], [-1.5, '−1.50'], [12.34, '12.3'], [0, '0'], [null, '–'], [0.00001, '1e−5']]);
table('ticks of log axes', formatTick, [[0, '0'], [1e-5, '1e−5'], [0.001, '0.001'], [0.1, '0.1'], [1, '1'], [1000, '1,000'], [10_000, '10k'], [1e6, '1M'], [1e9, '1G']]);
table('perplexities', formatPerplexity, [[31.2, '31.20'], [402.04, '402.0'], [4120.3, '4,120'], [81_300, '81,300'], [2.5e7, '2.50e7'], ['NaN', 'NaN'], [null, '–']]);
table('an error is as short as its value allows', formatError, [[0.87, 31.2, '0.9'], [0.021, 31.2, '0.02'], [12.4, 402, '12'], [213, 4120, '210']]);
table('a change is signed', formatChange, [[1.241, '+24.1 %'], [0.905, '−9.5 %'], [1, '+0.0 %'], [0.99999, '+0.0 %']]);
table('durations are seconds, then clocks', formatDuration, [[1.6, '1.6 s'], [42.2, '42 s'], [247, '4:07'], [3723, '1:02:03']]);
table('clocks', formatClock, [[0, '0:00'], [42.4, '0:42'], [-3, '0:00'], [725, '12:05']]);

test('a field holds what Number reads back within four digits', () => {
  for (const value of [0, 0.0871234, 1e-6, 3.2e-4, 1, 12.5, 250_000]) assert.ok(Math.abs(Number(formatField(value)) - value) <= Math.abs(value) * 0.006, formatField(value));
});

test('grouping and plurals', () => {
  assert.equal(grouped(1_474_560_000), '1,474,560,000');
  assert.equal(plain(plural(1, 'file')), '1 file');
  assert.equal(plain(plural(1200, 'shard')), '1,200 shards');
});
