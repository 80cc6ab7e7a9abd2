/**
 * The magnitude histogram of one node: log |w| across, log count up, exact zeros in a bar of their own at the left.
 *
 * All bars are one path, drawn twice: muted, and in the ramp's colour clipped at the threshold. So a moving threshold moves one
 * clip, one line and two labels, whatever the number of bars. The line can be dragged.
 */
import { scaleLog, select } from 'd3';
import { h } from '../dom';
import { formatPercent, formatTick, formatValue, formatCount } from '../format';
import type { HistogramBars } from '../../server/protocol/editor';

const MARGIN = { left: 44, right: 14, top: 20, bottom: 24 };
/** Width kept for the bar of exact zeros, whether there are any or not: nothing jumps between tensors. */
const ZEROS = 26;

export interface Histogram {
  element: HTMLElement;
  /** @param note said in the middle while there are no bars */
  setData(bars: HistogramBars | null, note: string): void;
  setThreshold(threshold: number | null, fraction: number | null): void;
  resize(width: number, height: number): void;
}

export interface HistogramSource { drag(threshold: number): void; release(threshold: number): void }

export function makeHistogram(source: HistogramSource): Histogram {
  const element = h('div', { class: 'histogram', role: 'img' });
  const svg = select(element).append('svg').attr('class', 'chart');
  const clip = svg.append('defs').append('clipPath').attr('id', 'cut-clip').append('rect').attr('x', 0).attr('y', 0);
  const pattern = svg.select('defs').append('pattern').attr('id', 'cut-hatch').attr('width', 6).attr('height', 6).attr('patternUnits', 'userSpaceOnUse').attr('patternTransform', 'rotate(45)');
  pattern.append('rect').attr('width', 6).attr('height', 6).attr('class', 'hatch-ground');
  pattern.append('line').attr('x1', 0).attr('x2', 0).attr('y1', 0).attr('y2', 6).attr('class', 'hatch-line');
  const grid = svg.append('g').attr('class', 'grid');
  const yText = svg.append('g').attr('class', 'axis-text');
  const xText = svg.append('g').attr('class', 'axis-text');
  const kept = svg.append('path').attr('class', 'bars-kept');
  const cut = svg.append('path').attr('class', 'bars-cut').attr('clip-path', 'url(#cut-clip)');
  const base = svg.append('line').attr('class', 'baseline');
  const line = svg.append('line').attr('class', 'threshold-line');
  const handle = svg.append('circle').attr('class', 'threshold-handle').attr('r', 4);
  const leftLabel = svg.append('text').attr('class', 'chart-label').attr('text-anchor', 'end');
  const rightLabel = svg.append('text').attr('class', 'chart-label accent');
  const smaller = svg.append('text').attr('class', 'axis-text-muted');
  const none = svg.append('text').attr('class', 'axis-text-muted').attr('text-anchor', 'middle');

  let bars: HistogramBars | null = null;
  let note = '';
  let size = { width: 0, height: 0 };
  let shown: { threshold: number | null; fraction: number | null } = { threshold: null, fraction: null };
  const x = scaleLog().clamp(true);
  const y = scaleLog().clamp(true);

  const draw = (): void => {
    const { width, height } = size;
    if (width === 0 || height === 0) return;
    svg.attr('width', width).attr('height', height);
    const floor = height - MARGIN.bottom;
    const filled = bars !== null && bars.edges.length > 1 && bars.counts.some((count) => count > 0);
    const zeros = bars?.stats.zeros ?? 0;
    none.attr('x', width / 2).attr('y', height / 2).text(filled || zeros > 0 ? '' : bars === null ? note : 'no finite weights');
    for (const part of [kept, cut, line, handle, leftLabel, rightLabel]) part.attr('visibility', filled || zeros > 0 ? null : 'hidden');
    const domain = bars ? trimmed(bars) : { low: 1e-5, high: 1, from: 0, to: 0, smaller: 0 };
    x.domain([domain.low, domain.high]).range([MARGIN.left + ZEROS, width - MARGIN.right]);
    const most = Math.max(10, zeros, ...(bars?.counts ?? []));
    y.domain([0.7, most * 1.25]).range([floor, MARGIN.top]);

    const yTicks = bars === null ? [] : decades(1, most, Math.max(2, Math.floor((height - MARGIN.top - MARGIN.bottom) / 26)));
    grid.selectAll('line').data(yTicks).join('line').attr('x1', MARGIN.left).attr('x2', width - MARGIN.right).attr('y1', (v) => Math.round(y(v)) + 0.5).attr('y2', (v) => Math.round(y(v)) + 0.5);
    yText.selectAll('text').data(yTicks).join('text').attr('x', MARGIN.left - 8).attr('y', (v) => y(v)).attr('dy', '0.35em').attr('text-anchor', 'end').text(formatTick);
    const xTicks = decades(domain.low, domain.high, Math.floor(width / 70)).map((value) => ({ value, at: x(value), text: formatTick(value) }))
      .filter((tick) => tick.at > MARGIN.left + ZEROS + 6 && tick.at < width - 46);
    xText.selectAll('text').data(bars === null ? [] : [{ value: 0, at: MARGIN.left + 8, text: '0' }, ...xTicks, { value: -1, at: width - MARGIN.right, text: '|w|' }])
      .join('text').attr('x', (tick) => tick.at).attr('y', floor + 16).attr('text-anchor', (tick) => (tick.value < 0 ? 'end' : 'middle')).text((tick) => tick.text);
    smaller.attr('x', MARGIN.left + ZEROS).attr('y', MARGIN.top + 8).text(bars && domain.smaller > 0 ? `◂ ${formatCount(domain.smaller)} smaller` : '');
    base.attr('x1', MARGIN.left).attr('x2', width - MARGIN.right).attr('y1', floor + 0.5).attr('y2', floor + 0.5);

    const path = bars ? barsPath(bars, domain, floor) + zeroPath(zeros, floor) : '';
    kept.attr('d', path);
    cut.attr('d', path);
    clip.attr('height', height);
    moveThreshold();
  };

  const barsPath = (data: HistogramBars, domain: { from: number; to: number }, floor: number): string => {
    let path = '';
    for (let i = domain.from; i < domain.to; i += 1) {
      if (data.counts[i] <= 0) continue;
      const left = x(data.edges[i]);
      const right = x(data.edges[i + 1]);
      const gap = right - left > 3 ? 0.6 : 0;
      path += `M${left.toFixed(2)},${floor}V${y(data.counts[i]).toFixed(2)}H${(right - gap).toFixed(2)}V${floor}Z`;
    }
    return path;
  };
  const zeroPath = (zeros: number, floor: number): string => (zeros > 0 ? `M${MARGIN.left + 3},${floor}V${y(zeros).toFixed(2)}h10V${floor}Z` : '');

  const moveThreshold = (): void => {
    const { threshold, fraction } = shown;
    if (threshold === null) { for (const part of [line, handle]) part.attr('visibility', 'hidden'); clip.attr('width', 0); leftLabel.text(''); rightLabel.text(''); return; }
    const at = threshold > 0 ? x(threshold) : MARGIN.left + ZEROS - 6;
    const outside = threshold > 0 && (threshold < x.domain()[0] || threshold > x.domain()[1]);
    for (const part of [line, handle]) part.attr('visibility', bars ? null : 'hidden');
    line.attr('x1', at).attr('x2', at).attr('y1', MARGIN.top - 12).attr('y2', size.height - MARGIN.bottom);
    handle.attr('cx', at).attr('cy', MARGIN.top - 12);
    clip.attr('width', Math.max(0, at));
    const text = fraction === null ? '' : `${formatPercent(fraction)} below`;
    const value = `${formatValue(threshold)}${outside ? (threshold < x.domain()[0] ? ' ◂' : ' ▸') : ''}`;
    // Both labels on the side with room when the line is near an edge.
    const nearLeft = at < MARGIN.left + 110;
    const nearRight = at > size.width - 70;
    leftLabel.attr('y', MARGIN.top - 8).attr('x', nearLeft ? at + 16 + value.length * 7 : at - 9 - (nearRight ? value.length * 7 + 7 : 0)).attr('text-anchor', nearLeft ? 'start' : 'end').text(text);
    rightLabel.attr('y', MARGIN.top - 8).attr('x', nearRight ? at - 9 : at + 9).attr('text-anchor', nearRight ? 'end' : 'start').text(value);
  };

  const thresholdAt = (event: PointerEvent): number => {
    const left = event.clientX - element.getBoundingClientRect().left;
    return left < MARGIN.left + ZEROS - 8 ? 0 : x.invert(Math.min(size.width - MARGIN.right, Math.max(MARGIN.left + ZEROS, left)));
  };
  let dragging = false;
  element.addEventListener('pointerdown', (event) => {
    if (!bars || event.button !== 0 || shown.threshold === null) return;
    event.preventDefault(); // no text selection under the drag
    dragging = true;
    element.setPointerCapture(event.pointerId);
    source.drag(thresholdAt(event));
  });
  element.addEventListener('pointermove', (event) => { if (dragging) source.drag(thresholdAt(event)); });
  element.addEventListener('pointerup', (event) => { if (dragging) { dragging = false; source.release(thresholdAt(event)); } });
  element.addEventListener('pointercancel', (event) => { if (dragging) { dragging = false; source.release(thresholdAt(event)); } });

  return {
    element,
    setData: (next, text) => {
      bars = next;
      note = text;
      element.classList.toggle('draggable', next !== null);
      if (next) element.setAttribute('aria-label', `Histogram of |w| of ${next.title}, ${formatCount(next.stats.parameters)} weights, largest ${formatValue(next.stats.absMax)}`);
      draw();
    },
    setThreshold: (threshold, fraction) => { shown = { threshold, fraction }; moveThreshold(); },
    resize: (width, height) => { if (width !== size.width || height !== size.height) { size = { width, height }; draw(); } },
  };
}

/**
 * The stretch of bars that are not empty, at least two decades wide. The first bar of many also holds everything below it: drawn, it
 * would be a spike that is not there, so it and what else is cut off at the left is a number, `smaller`.
 */
export function trimmed(bars: Pick<HistogramBars, 'edges' | 'counts'>): { low: number; high: number; from: number; to: number; smaller: number } {
  let from = bars.counts.findIndex((count) => count > 0);
  if (from < 0) return { low: 1e-5, high: 1, from: 0, to: 0, smaller: 0 };
  let to = bars.counts.length;
  while (to > from && bars.counts[to - 1] <= 0) to -= 1;
  // The far-left tail of a few counts each says little and takes half the picture: start where 1e-5 of the weights lie below.
  const all = bars.counts.reduce((sum, count) => sum + count, 0);
  let smaller = 0;
  while (from < to - 1 && ((from === 0 && bars.counts.length > 16) || smaller + bars.counts[from] < all * 5e-5)) { smaller += bars.counts[from]; from += 1; }
  const high = bars.edges[to];
  const low = Math.min(bars.edges[from] || bars.edges[from + 1] / 2, high / 100);
  return { low, high, from, to, smaller };
}

/** Powers of ten within [low, high], thinned to at most `most`. */
export function decades(low: number, high: number, most: number): number[] {
  const first = Math.ceil(Math.log10(low) - 1e-9);
  const last = Math.floor(Math.log10(high) + 1e-9);
  const every = Math.max(1, Math.ceil((last - first + 1) / Math.max(1, most)));
  const ticks: number[] = [];
  for (let power = first; power <= last; power += every) ticks.push(Number(`1e${power}`));
  return ticks;
}
