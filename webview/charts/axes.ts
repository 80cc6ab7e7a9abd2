/** Axes that the sweep's charts share: % pruned across, labels that never touch. */
import { scaleLinear } from 'd3';
import type { ScaleContinuousNumeric, Selection } from 'd3';
import { keepApart } from '../labels';

export interface Frame { width: number; height: number; left: number; right: number; top: number; bottom: number }
type Group = Selection<SVGGElement, unknown, null, undefined>;

export const prunedScale = (frame: Frame): ScaleContinuousNumeric<number, number> => scaleLinear().domain([0, 1]).range([frame.left, frame.width - frame.right]);

/** Ticks at the levels that were measured; the last wins where two would touch. */
export function drawPrunedAxis(group: Group, frame: Frame, x: ScaleContinuousNumeric<number, number>, levels: readonly number[], unit: boolean): void {
  const ticks = [...new Set([0, ...levels])].sort((a, b) => a - b);
  const keep = keepApart(ticks.map((tick) => x(tick)), 20);
  const floor = frame.height - frame.bottom;
  group.selectAll<SVGLineElement, number>('line').data(ticks).join('line').attr('class', 'tick-line').attr('x1', (t) => x(t)).attr('x2', (t) => x(t)).attr('y1', floor).attr('y2', floor + 4);
  group.selectAll<SVGTextElement, number>('text.tick').data(ticks.filter((_, i) => keep[i])).join('text').attr('class', 'tick').attr('text-anchor', 'middle')
    .attr('x', (t) => x(t)).attr('y', floor + 17).text((t) => Number((t * 100).toFixed(1)));
  group.selectAll<SVGTextElement, string>('text.unit').data(unit ? ['% pruned'] : []).join('text').attr('class', 'unit').attr('text-anchor', 'start')
    .attr('x', frame.width - frame.right + 14).attr('y', floor + 17).text((text) => text);
}

export function drawValueAxis(grid: Group, text: Group, frame: Frame, ticks: readonly number[], y: (value: number) => number, label: (value: number) => string): void {
  grid.selectAll<SVGLineElement, number>('line').data(ticks).join('line').attr('x1', frame.left).attr('x2', frame.width - frame.right)
    .attr('y1', (v) => Math.round(y(v)) + 0.5).attr('y2', (v) => Math.round(y(v)) + 0.5);
  text.selectAll<SVGTextElement, number>('text').data(ticks).join('text').attr('x', frame.left - 10).attr('y', (v) => y(v)).attr('dy', '0.35em').attr('text-anchor', 'end').text(label);
}

/** Ticks of a log axis: powers of ten, with 2 and 5 between them while there are fewer than three. */
export function logTicks(low: number, high: number): number[] {
  const powers: number[] = [];
  const fine: number[] = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
    for (const step of [1, 2, 5]) {
      const value = Number(`${step}e${power}`);
      if (value < low || value > high) continue;
      fine.push(value);
      if (step === 1) powers.push(value);
    }
  }
  const ticks = powers.length >= 3 ? powers : fine;
  const every = Math.ceil(ticks.length / 8);
  return ticks.filter((_, i) => i % every === 0);
}

/** A log axis is needed when a linear one would press all but the last point into its lowest tenth. */
export const mustBeLog = (values: readonly number[]): boolean => values.length > 1 && Math.min(...values) > 0 && Math.max(...values) / Math.min(...values) > 8;
