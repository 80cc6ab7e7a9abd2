/** The right column: heatmap with its scale, histogram with its numbers, and the lines by layer. */
import { makeHeatmap } from '../controls';
import { makeHistogram } from '../charts/histogram';
import type { HistogramSource } from '../charts/histogram';
import { makeLayerLines } from '../charts/layers';
import type { HeatCell, HeatPaint } from '../charts/heatmap';
import { h, setText } from '../dom';
import { formatPercent, formatValue } from '../format';
import { histogramTitle, makeDetails } from './details';
import type { Facts, HistogramBars } from '../../server/protocol/editor';

export interface PanelSource extends HistogramSource { selectCell(cell: HeatCell): void; hoverCell(cell: HeatCell | null, mark: DOMRect | null): void }

export interface Panel {
  element: HTMLElement;
  setFacts(facts: Facts): void;
  setHistogram(bars: HistogramBars | null, title: string, note: string): void;
  paint(paint: HeatPaint, threshold: number | null, shown: number | null, overall: number | null): void;
  setSelected(role: string | null, layer: number | null): void;
}

export function makePanel(source: PanelSource): Panel {
  const heatmap = makeHeatmap({ select: source.selectCell, hover: source.hoverCell });
  const lines = makeLayerLines({ select: source.selectCell, hover: source.hoverCell });
  const histogram = makeHistogram(source);
  const details = makeDetails();
  const heatTitle = h('h2', null, 'Fraction below threshold, by layer and role');
  const histogramHead = h('h2', { class: 'as-is' }, '');
  const mark = h('span', { class: 'legend-mark' });
  const markText = h('span', { class: 'legend-mark-text' });
  const legend = h('div', { class: 'legend', 'aria-hidden': 'true' }, h('span', { class: 'legend-end' }, '0 %'),
    h('span', { class: 'legend-bar' }, mark), h('span', { class: 'legend-end' }, '100 %'), markText);
  const heatSection = h('section', { class: 'heat-section' }, h('div', { class: 'section-head' }, heatTitle, legend), heatmap.element);
  const noHeat = h('p', { class: 'no-heat', hidden: true }, 'The names of these tensors do not speak of layers, so there is nothing to lay out by layer.');
  const histogramSection = h('section', { class: 'histogram-section' }, histogramHead, histogram.element, details.element);
  const linesSection = h('section', { class: 'lines-section' }, h('h2', null, 'How it varies by layer'), lines.element);
  const element = h('div', { class: 'panel' }, heatSection, noHeat, histogramSection, linesSection);

  const observer = new ResizeObserver(() => {
    heatmap.resize(heatmap.element.clientWidth);
    histogram.resize(histogram.element.clientWidth, histogram.element.clientHeight);
    lines.resize(lines.element.clientWidth, lines.element.clientHeight);
  });
  for (const chart of [heatmap.element, histogram.element, lines.element]) observer.observe(chart);

  return {
    element,
    setFacts: (facts) => {
      const laid = facts.heat.cells.length > 0;
      heatSection.hidden = !laid;
      linesSection.hidden = !laid;
      noHeat.hidden = laid;
      heatmap.setData(facts.heat);
      lines.setData(facts.heat);
    },
    setHistogram: (bars, title, note) => {
      histogram.setData(bars, note);
      details.show(bars);
      setText(histogramHead, bars ? histogramTitle(bars) : title);
      histogramHead.title = bars?.title ?? '';
    },
    paint: (paint, threshold, shown, overall) => {
      heatmap.paint(paint);
      lines.paint(paint.fraction);
      histogram.setThreshold(threshold, shown);
      setText(heatTitle, threshold === null ? 'Fraction below threshold, by layer and role' : `Fraction below ${formatValue(threshold)}, by layer and role`);
      mark.hidden = overall === null;
      if (overall !== null) mark.style.setProperty('left', `${(overall * 100).toFixed(2)}%`);
      setText(markText, overall === null ? '' : `all prunable ${formatPercent(overall)}`);
    },
    setSelected: (role, layer) => { heatmap.setSelected(role, layer); lines.setSelected(role, layer); },
  };
}
