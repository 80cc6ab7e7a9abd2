/** The table of cells: numbers right-aligned under each other, every verdict in words. */
import { h } from '../dom';
import { formatBytes, formatPercent } from '../format';
import { accuracyText, againstDense, divergenceTitle, isBaseline, methodName, prunedTitle, timeText, timeTitle, valueText } from './model';
import type { Topic } from './model';

export function cellsTable(topic: Topic, margin: number): HTMLElement {
  const counted = topic.cells.some((cell) => cell.accuracy);
  const heads: [string, string][] = [['method', ''], ['pruned', 'num'], [topic.metric, 'num'], ...(counted ? [['accuracy', 'num'] as [string, string]] : []), ['against dense', 'num'], ['size, bitmask', 'num'], ['time against dense', 'num']];
  const rows = [...topic.cells].sort((a, b) => a.level - b.level || (methodName(a) < methodName(b) ? -1 : 1));
  return h('table', { class: 'cells' },
    h('thead', null, h('tr', null, ...heads.map(([title, kind]) => h('th', { scope: 'col', class: kind }, title)))),
    h('tbody', null, ...rows.map((cell) => {
      const text = valueText(cell);
      return h('tr', { class: isBaseline(cell) ? 'dense-row' : null },
        h('td', null, methodName(cell)),
        h('td', { class: 'num', title: isBaseline(cell) ? null : prunedTitle(cell) }, isBaseline(cell) ? '0 %' : formatPercent(cell.achieved ?? cell.level)),
        h('td', { class: 'num', title: cell.problem ? `${cell.problem.code}: ${cell.problem.detail}` : null }, h('span', { class: 'value' }, text.value), text.error ? h('span', { class: 'error' }, ` ${text.error}`) : null),
        ...(counted ? [h('td', { class: 'num' }, ...accuracyText(cell))] : []),
        h('td', { class: `num verdict-${(cell.verdict ?? 'none').replace(' ', '-')}`, title: divergenceTitle(cell) }, againstDense(cell, margin)),
        h('td', { class: 'num' }, formatBytes(isBaseline(cell) ? cell.bytes.dense : cell.bytes.bitmask)),
        h('td', { class: 'num', title: timeTitle(cell) }, timeText(cell)));
    })));
}
