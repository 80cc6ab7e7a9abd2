/** The numbers below the histogram, in columns that do not move when the selection does. */
import { h, setText } from '../dom';
import { formatCount, formatPercent, formatValue, grouped } from '../format';
import type { HistogramBars } from '../../server/protocol/editor';

const NAMES = ['zeros', 'min', 'NaN, inf', 'max', 'mean', 'dead rows', 'std', '2:4 ready'] as const;

export interface Details { element: HTMLElement; show(bars: HistogramBars | null): void }

export function makeDetails(): Details {
  const values = new Map(NAMES.map((name) => [name as string, h('dd')]));
  const element = h('dl', { class: 'details' }, ...NAMES.map((name) => h('div', null, h('dt', null, name), values.get(name))));
  const set = (name: (typeof NAMES)[number], text: string): void => { const cell = values.get(name); if (cell) setText(cell, text); };
  return {
    element,
    show: (bars) => {
      const stats = bars?.stats;
      const extra = bars?.extra;
      const share = stats && stats.zeros > 0 && stats.parameters > 0 ? ` (${formatPercent(stats.zeros / stats.parameters)})` : '';
      set('zeros', stats ? `${formatCount(stats.zeros)}${share}` : '–');
      set('NaN, inf', stats ? (stats.nan + stats.inf === 0 ? '0' : `${formatCount(stats.nan)}, ${formatCount(stats.inf)}`) : '–');
      set('min', formatValue(stats?.min ?? null));
      set('max', formatValue(stats?.max ?? null));
      set('mean', formatValue(stats?.mean ?? null));
      set('std', formatValue(stats?.std ?? null));
      set('dead rows', extra && extra.deadRows !== null ? `${grouped(extra.deadRows)}${extra.rows === null ? '' : ` of ${grouped(extra.rows)}`}` : '–');
      set('2:4 ready', formatPercent(extra?.twoFourReady ?? null));
    },
  };
}

/** "h.11.mlp.c_fc.weight · 1600 × 6400 · F32 · 10.2 M". */
export function histogramTitle(bars: HistogramBars): string {
  return [bars.title, bars.shape ? bars.shape.join(' × ') : null, bars.dtype, `${formatCount(bars.stats.parameters)}`].filter(Boolean).join(' · ');
}
