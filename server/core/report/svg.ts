/** Hand-made SVG: one kind of chart, lines over a numeric axis, readable in light and dark, no script and no fonts of its own. */

export interface PlotPoint {
  readonly x: number;
  /** Not finite: drawn at the top edge with an arrow. */
  readonly y: number;
  /** Ends of the interval; absent where there is none. */
  readonly low?: number;
  readonly high?: number;
  /** Read out when the mark is hovered. */
  readonly title: string;
}

export interface PlotSeries {
  readonly label: string;
  readonly points: readonly PlotPoint[];
  /** Index of colour and dash; -1 is grey. */
  readonly tone: number;
  readonly line: boolean;
  readonly marks: boolean;
}

export interface Plot {
  readonly title: string;
  readonly description: string;
  readonly width: number;
  readonly height: number;
  readonly xTicks: readonly number[];
  readonly xLabel: string;
  readonly y: { readonly log: boolean; readonly ticks: readonly number[]; readonly from: number; readonly to: number; format(value: number): string };
  readonly series: readonly PlotSeries[];
  /** Horizontal lines for reference. */
  readonly rules: readonly { readonly y: number; readonly label: string }[];
  /** A shaded range of y. */
  readonly band?: { readonly from: number; readonly to: number };
}

const tones = 5;
const STYLE = `
  svg { font: 12px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; --paper: #ffffff; --ink: #3b3b3b; --soft: #767676; --grid: #e4e4e4; --band: #00000009;
    --t0: #1a5fa5; --t1: #8a5300; --t2: #0b7560; --t3: #7a3e9d; --t4: #b02a37; --tn: #6e6e6e; }
  @media (prefers-color-scheme: dark) { svg { --paper: #1f1f1f; --ink: #d4d4d4; --soft: #9a9a9a; --grid: #343434; --band: #ffffff10;
    --t0: #6cb2f7; --t1: #dda94a; --t2: #4fc9a9; --t3: #cb9cf0; --t4: #f48a8a; --tn: #a8a8a8; } }
  .paper { fill: var(--paper); } .grid { stroke: var(--grid); } .rule { stroke: var(--soft); stroke-dasharray: 3 4; fill: none; } .band { fill: var(--band); }
  text { fill: var(--soft); } .title { font-size: 11px; font-weight: 600; letter-spacing: 0.06em; } .tick { stroke: var(--soft); }
  .line { fill: none; stroke-width: 1.8; stroke-linejoin: round; } .mark { fill: var(--paper); stroke-width: 1.8; } .whisker { stroke-width: 1.4; fill: none; }
  .s0 { stroke: var(--t0); } .s1 { stroke: var(--t1); } .s2 { stroke: var(--t2); } .s3 { stroke: var(--t3); } .s4 { stroke: var(--t4); } .sn { stroke: var(--tn); }
  .l0 { fill: var(--t0); } .l1 { fill: var(--t1); } .l2 { fill: var(--t2); } .l3 { fill: var(--t3); } .l4 { fill: var(--t4); } .ln { fill: var(--tn); }
  .d1 { stroke-dasharray: 7 3; } .d2 { stroke-dasharray: 2 2.5; } .d3 { stroke-dasharray: 9 3 2 3; } .d4 { stroke-dasharray: 4 2; }`;

/** Text as text: names out of files never become markup, and characters that XML forbids are dropped. */
export const escapeXml = (text: string): string => text
   
  .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '')
  .replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

const at = (value: number): string => String(Number(value.toFixed(1)));

/** A rough width, good enough to keep labels apart. */
const textWidth = (text: string): number => 6.6 * text.length;

/** Moves labels down or up until they are `gap` apart, as little as possible, within [top, bottom]. */
export function spread(wanted: readonly number[], gap: number, top: number, bottom: number): number[] {
  const order = wanted.map((y, i) => ({ y, i })).sort((a, b) => a.y - b.y);
  for (let i = 1; i < order.length; i++) order[i].y = Math.max(order[i].y, order[i - 1].y + gap);
  const over = order.length > 0 ? order[order.length - 1].y - bottom : 0;
  if (over > 0) {
    order[order.length - 1].y -= over;
    for (let i = order.length - 2; i >= 0; i--) order[i].y = Math.min(order[i].y, order[i + 1].y - gap);
  }
  const placed = [...wanted];
  for (const { y, i } of order) placed[i] = Math.max(y, top);
  return placed;
}

/** Which of the ticks get a label: the ends first, then from the right, so long as labels do not touch. */
export function labelled(positions: readonly number[], widths: readonly number[]): boolean[] {
  const chosen = positions.map(() => false);
  const fits = (i: number): boolean => positions.every((x, j) => !chosen[j] || Math.abs(x - positions[i]) >= (widths[i] + widths[j]) / 2 + 6);
  for (const i of [0, positions.length - 1, ...positions.map((_, j) => positions.length - 2 - j)]) if (i >= 0 && i < positions.length && !chosen[i] && fits(i)) chosen[i] = true;
  return chosen;
}

/** Ticks of a log axis: powers of ten; 2 and 5 between them where there are few. */
export function logTicks(from: number, to: number): number[] {
  const decades = Math.log10(to / from);
  const steps = decades > 8 ? [1] : decades > 2.2 ? [1] : decades > 1.2 ? [1, 3] : [1, 2, 5];
  const ticks: number[] = [], stride = Math.max(1, Math.ceil(decades / 8));
  for (let e = Math.floor(Math.log10(from)); e <= Math.ceil(Math.log10(to)); e++) for (const step of steps) {
    const tick = step * 10 ** e;
    if (tick >= from * (1 - 1e-9) && tick <= to * (1 + 1e-9) && e % stride === 0) ticks.push(Number(tick.toPrecision(3)));
  }
  return ticks;
}

/** Round ticks of a linear axis, about `wanted` of them, that reach from at or below `from` to at or above `to`. */
export function linearTicks(from: number, to: number, wanted = 5): number[] {
  const raw = (to - from || Math.abs(to) || 1) / wanted, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= raw * 0.999)!;
  const first = Math.floor(from / step + 1e-9), last = Math.ceil(to / step - 1e-9);
  return Array.from({ length: Math.max(2, last - first + 1) }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

/** Draws the plot as one SVG document. */
export function drawPlot(plot: Plot): string {
  const tickWidth = Math.max(...plot.y.ticks.map((tick) => textWidth(plot.y.format(tick))));
  const labelWidth = Math.max(0, ...plot.series.map(({ label }) => textWidth(label)), ...plot.rules.map(({ label }) => textWidth(label)));
  const left = 16 + tickWidth + 10, right = plot.width - labelWidth - 34, top = 46, bottom = plot.height - 34;
  const xs = [...plot.xTicks, ...plot.series.flatMap(({ points }) => points.map(({ x }) => x))], xFrom = Math.min(0, ...xs), xTo = Math.max(...xs, xFrom + 1e-9);
  const x = (value: number): number => left + (right - left) * (value - xFrom) / (xTo - xFrom);
  const scale = plot.y.log ? Math.log : (value: number): number => value;
  const span = scale(plot.y.to) - scale(plot.y.from) || 1;
  const clamp = (value: number): number => Math.max(top, Math.min(bottom, value));
  const y = (value: number): number => Number.isFinite(value) && (!plot.y.log || value > 0) ? clamp(bottom - (bottom - top) * (scale(value) - scale(plot.y.from)) / span) : value === -Infinity || value <= 0 ? bottom : top;
  const toneOf = (tone: number): string => tone < 0 ? 'n' : String(tone % tones);
  const out: string[] = [];

  if (plot.band) out.push(`<rect class="band" x="${at(left)}" y="${at(y(plot.band.to))}" width="${at(right - left)}" height="${at(y(plot.band.from) - y(plot.band.to))}"/>`);
  for (const tick of plot.y.ticks) {
    out.push(`<line class="grid" x1="${at(left)}" x2="${at(right)}" y1="${at(y(tick))}" y2="${at(y(tick))}"/>`);
    out.push(`<text x="${at(left - 10)}" y="${at(y(tick) + 4)}" text-anchor="end">${escapeXml(plot.y.format(tick))}</text>`);
  }
  const ticks = [...new Set(plot.xTicks)].sort((a, b) => a - b), names = ticks.map((tick) => String(Number(tick.toPrecision(4))));
  const shown = labelled(ticks.map(x), names.map(textWidth));
  ticks.forEach((tick, i) => {
    out.push(`<line class="tick" x1="${at(x(tick))}" x2="${at(x(tick))}" y1="${at(bottom)}" y2="${at(bottom + 4)}"/>`);
    if (shown[i]) out.push(`<text x="${at(x(tick))}" y="${at(bottom + 18)}" text-anchor="middle">${names[i]}</text>`);
  });
  out.push(`<text x="${at(right + 18)}" y="${at(bottom + 18)}">${escapeXml(plot.xLabel)}</text>`);
  for (const rule of plot.rules) out.push(`<line class="rule" x1="${at(left)}" x2="${at(right)}" y1="${at(y(rule.y))}" y2="${at(y(rule.y))}"/>`);

  for (const { points, tone, line, marks } of plot.series) {
    const t = toneOf(tone), dash = tone > 0 ? ` d${tone % tones}` : '';
    if (line && points.length > 1) out.push(`<polyline class="line s${t}${dash}" points="${points.map((p) => `${at(x(p.x))},${at(y(p.y))}`).join(' ')}"/>`);
    for (const point of marks ? points : []) {
      const px = x(point.x), py = y(point.y);
      if (point.low !== undefined && point.high !== undefined && !Number.isNaN(point.low) && y(point.low) - y(point.high) > 1) {
        const [a, b] = [y(point.high), y(point.low)];
        out.push(`<path class="whisker s${t}" d="M${at(px)} ${at(a)}V${at(b)}M${at(px - 3)} ${at(a)}h6M${at(px - 3)} ${at(b)}h6"/>`);
      }
      const title = `<title>${escapeXml(point.title)}</title>`;
      out.push(Number.isFinite(point.y) ? `<circle class="mark s${t}" cx="${at(px)}" cy="${at(py)}" r="3.4">${title}</circle>`
        : `<path class="mark s${t}" d="M${at(px - 5)} ${at(top + 6)}L${at(px)} ${at(top - 4)}L${at(px + 5)} ${at(top + 6)}Z">${title}</path>`);
    }
  }
  const labels = [
    ...plot.series.filter(({ points, label }) => points.length > 0 && label !== '').map(({ label, tone, points }) => ({ label, y: y(points[points.length - 1].y), tone: toneOf(tone) })),
    ...plot.rules.filter(({ label }) => label !== '').map(({ label, y: value }) => ({ label, y: y(value), tone: 'n' })),
  ];
  const placed = spread(labels.map((label) => label.y), 15, top - 6, bottom + 2);
  labels.forEach(({ label, tone }, i) => out.push(`<text class="l${tone}" x="${at(right + 12)}" y="${at(placed[i] + 4)}">${escapeXml(label)}</text>`));

  return `<svg xmlns="http://www.w3.org/2000/svg" width="${plot.width}" height="${plot.height}" viewBox="0 0 ${plot.width} ${plot.height}" role="img" aria-label="${escapeXml(plot.description)}">
<style>${STYLE}
</style>
<rect class="paper" width="100%" height="100%" rx="4"/>
<text class="title" x="16" y="24">${escapeXml(plot.title.toUpperCase())}</text>
${out.join('\n')}
</svg>
`;
}
