/** The first line: what this checkpoint is, and what is odd about it. */
import { h } from '../dom';
import { formatBytes, formatCount, plural } from '../format';
import type { Facts } from '../../server/protocol/editor';

export interface FactsLine { element: HTMLElement; problems: HTMLElement; show(facts: Facts): void }

export function makeFacts(): FactsLine {
  const list = h('div', { class: 'facts-list' });
  const badge = h('button', { class: 'problems-badge', type: 'button', hidden: true, 'aria-expanded': 'false', 'aria-controls': 'problems' });
  const problems = h('div', { class: 'problems', id: 'problems', role: 'region', 'aria-label': 'Problems', hidden: true });
  const open = (on: boolean): void => {
    problems.hidden = !on;
    badge.setAttribute('aria-expanded', String(on));
  };
  badge.addEventListener('click', () => open(problems.hidden));
  problems.addEventListener('keydown', (event) => { if (event.key === 'Escape') { open(false); badge.focus(); } });
  const element = h('div', { class: 'facts' }, list, badge);

  return {
    element,
    problems,
    show: (facts) => {
      const dtypes = Object.entries(facts.dtypes).sort((a, b) => b[1] - a[1]);
      const fact = (text: string, title?: string): HTMLElement => h('span', { class: 'fact', title }, text);
      list.replaceChildren(
        h('h1', { title: facts.path }, facts.name),
        fact(facts.architectureTitle ?? facts.architecture ?? 'unknown architecture', `format: ${facts.format}`),
        fact(`${formatCount(facts.parameters)} parameters`, `${plural(facts.parameters, 'parameter')}; ${plural(facts.storedElements, 'element')} stored in ${plural(facts.tensorCount, 'tensor')}`),
        fact(`${formatCount(facts.prunableParameters)} prunable`, `${plural(facts.prunableParameters, 'weight')} that pruning may set to zero`),
        fact(dtypes.map(([dtype]) => dtype).join(' + '), dtypes.map(([dtype, count]) => `${dtype}: ${plural(count, 'element')}`).join('\n')),
        fact(formatBytes(facts.bytes), plural(facts.bytes, 'byte')),
        fact(plural(facts.files.length, 'file'), facts.files.slice(0, 20).map((file) => `${file.path}  ${formatBytes(file.bytes)}`).join('\n')));
      const count = facts.problems.length;
      badge.hidden = count === 0;
      badge.textContent = count === 1 ? '1 problem' : `${count} problems`;
      badge.title = 'Show what was found';
      if (count === 0) open(false);
      const apart = facts.opaque ?? [], more = (facts.opaqueCount ?? 0) - apart.length;
      problems.replaceChildren(h('ul', null, ...facts.problems.map((problem) => h('li', null,
        h('span', { class: 'problem-sentence' }, problem.sentence),
        h('span', { class: 'problem-where' }, [problem.where.tensor, problem.where.file, problem.code].filter(Boolean).join(' · '))))),
      ...(apart.length === 0 ? [] : [h('p', { class: 'problem-sentence' }, 'Entries that are no plain weights:'), h('ul', { class: 'apart' }, ...apart.map((entry) => h('li', null,
        entry.name, h('span', { class: 'problem-where' }, [entry.kind, entry.shape ? `[${entry.shape.join(', ')}]` : null, entry.detail].filter(Boolean).join(' · ')))), ...(more > 0 ? [h('li', null, `and ${more} more`)] : []))]));
    },
  };
}
