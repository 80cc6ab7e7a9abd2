/** The second line: threshold and target, tied together, and what to do with them. */
import { button, makeSlider, numberField } from '../controls';
import { h, setText } from '../dom';
import { formatField, formatLevel, formatPercent, formatValue } from '../format';
import { logScale } from '../grid';
import type { CutState } from '../store';

export interface ControlsSource {
  threshold(value: number, dragging: boolean): void;
  target(sparsity: number, dragging: boolean): void;
  prune(): void;
  sweep(): void;
}

export interface ControlsRow {
  element: HTMLElement;
  setRange(range: { low: number; high: number }): void;
  show(cut: CutState, ready: boolean): void;
}

export function makeControlsRow(source: ControlsSource): ControlsRow {
  let range = { low: 1e-5, high: 10 };
  const toThreshold = (unit: number): number => (unit <= 0 ? 0 : logScale.fromUnit(unit, range));
  const threshold = makeSlider('Threshold', (unit) => source.threshold(toThreshold(unit), true), (unit) => source.threshold(toThreshold(unit), false));
  const target = makeSlider('Target sparsity', (unit) => source.target(unit, true), (unit) => source.target(unit, false));
  threshold.element.classList.add('wide');
  const thresholdField = numberField('Threshold', (text) => {
    const value = Number(text.trim().replace('−', '-'));
    if (text.trim() !== '' && Number.isFinite(value) && value >= 0) { if (value !== Number(shownThreshold)) source.threshold(value, false); } else thresholdField.value = shownThreshold;
  });
  const targetField = numberField('Target sparsity in percent', (text) => {
    const value = Number(text.replace('%', '').trim());
    if (text.trim() !== '' && value >= 0 && value <= 100) { if (value !== Number(shownTarget)) source.target(value / 100, false); } else targetField.value = shownTarget;
  });
  targetField.append(h('span', { slot: 'end', class: 'unit' }, '%'));
  const quality = h('span', { class: 'quality', title: 'While the threshold moves, fractions are read from curves with 256 points and may be off by one step; on release they are counted exactly.' });
  const sweep = button('Sweep…', 'secondary', () => source.sweep(), 'Prune to several levels and measure perplexity, size and time');
  const pruneText = h('span', { class: 'prune-text' }, 'Prune…');
  const prune = button('', 'primary', () => source.prune());
  prune.replaceChildren(pruneText);
  prune.title = 'Write a pruned copy of this checkpoint';
  const element = h('div', { class: 'controls' },
    h('div', { class: 'control' }, h('span', { class: 'control-label' }, '|w| ≤'), threshold.element, thresholdField),
    h('div', { class: 'control' }, h('span', { class: 'control-label' }, 'target'), target.element, targetField),
    quality, h('div', { class: 'actions' }, sweep, prune));
  let shownThreshold = '';
  let shownTarget = '';

  const field = (element_: typeof thresholdField, text: string): void => {
    if (element_.value !== text && !(document.activeElement === element_ && text === '')) element_.value = text;
  };
  return {
    element,
    setRange: (next) => { range = next; },
    show: (cut, ready) => {
      threshold.enable(ready);
      target.enable(ready);
      thresholdField.disabled = !ready;
      targetField.disabled = !ready;
      prune.disabled = !ready || cut.sparsity <= 0;
      const value = ready ? cut.threshold : null;
      shownThreshold = value === null ? '' : formatField(value);
      // A target is shown as it was typed; a sparsity that follows a threshold to a tenth of a percent.
      const percent = Number((cut.sparsity * 100).toFixed(cut.drive === 'target' ? 2 : 1));
      shownTarget = String(percent);
      field(thresholdField, shownThreshold);
      field(targetField, shownTarget);
      if (value !== null) threshold.set(logScale.toUnit(value, range), `${formatValue(value)}, ${formatPercent(cut.sparsity)} below`);
      target.set(cut.sparsity, formatPercent(cut.sparsity));
      setText(quality, !ready ? '' : cut.exact ? 'exact' : '≈ bound');
      setText(pruneText, `Prune to ${formatLevel(percent / 100)}…`);
    },
  };
}
