/**
 * Numbers as a person reads them: short, with a unit, three significant digits, a real minus sign. Pure.
 *
 * A no-break space stands between number and unit, so that a cell never wraps inside a number.
 */
import type { Num } from '../server/protocol/verbs';

const GAP = ' ';
const MINUS = '−';

/** Three significant digits without an exponent: 1.56, 30.7, 643. */
function three(value: number): string {
  const digits = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return value.toFixed(digits);
}

function scaled(value: number, steps: readonly (readonly [number, string])[]): string {
  for (const [size, unit] of steps) if (value >= size * 0.9995) return `${three(value / size)}${GAP}${unit}`;
  return String(Math.round(value));
}

/** 1560000000 -> "1.56 B", 30700000 -> "30.7 M", 6400 -> "6,400". */
export function formatCount(count: number): string {
  if (count < 10_000) return grouped(count);
  return scaled(count, [[1e12, 'T'], [1e9, 'B'], [1e6, 'M'], [1e3, 'k']]);
}

/** Whole numbers with thousands separators, never shortened: 736,900,000. */
export function grouped(count: number): string {
  return Math.round(count).toString().replace(/\B(?=(\d{3})+$)/g, ',');
}

/** Decimal bytes: 6430000000 -> "6.43 GB". */
export function formatBytes(bytes: number): string {
  return bytes < 999.5 ? `${Math.round(bytes)}${GAP}B` : scaled(bytes, [[1e12, 'TB'], [1e9, 'GB'], [1e6, 'MB'], [1e3, 'kB']]);
}

/** A fraction 0..1 as "47.3 %". What is not quite nothing or all says so: "< 0.1 %", "> 99.9 %". Null is a dash. */
export function formatPercent(fraction: number | null): string {
  if (fraction === null || Number.isNaN(fraction)) return '–';
  if (fraction > 0 && fraction < 0.0005) return `<${GAP}0.1${GAP}%`;
  if (fraction < 1 && fraction >= 0.9995) return `>${GAP}99.9${GAP}%`;
  return `${(fraction * 100).toFixed(1)}${GAP}%`;
}

/** Like formatPercent without a needless ".0": for levels that a person chose (50 %, 99.5 %). */
export function formatLevel(fraction: number): string {
  return `${Number((fraction * 100).toFixed(2))}${GAP}%`;
}

/** A value of a weight: three significant digits, an exponent only where zeros would hide it. Null is a dash. */
export function formatValue(value: Num | null): string {
  if (value === null) return '–';
  if (typeof value === 'string') return value.replace('-', MINUS).replace('Infinity', '∞');
  if (value === 0) return '0';
  const size = Math.abs(value);
  const text = size < 1e-3 || size >= 1e5
    ? value.toExponential(2).replace(/\.?0+e/, 'e').replace('e+', 'e').replace('e-', `e${MINUS}`)
    : size >= 1000 ? grouped(value) : String(Number(value.toPrecision(3)));
  return text.replace(/^-/, MINUS);
}

/** Like formatValue, but keeps trailing zeros: for columns, where 0.100 and 0.124 stand one above the other. */
export function formatAligned(value: Num | null): string {
  if (typeof value !== 'number' || value === 0) return formatValue(value);
  const size = Math.abs(value);
  if (size < 1e-3 || size >= 1000) return formatValue(value);
  return value.toFixed(size >= 99.95 ? 0 : size >= 9.995 ? 1 : size >= 0.9995 ? 2 : size >= 0.00995 ? 3 : 4).replace(/^-/, MINUS);
}

/** A threshold for the number field: plain ASCII that `Number()` reads back. */
export function formatField(value: number): string {
  return value !== 0 && (value < 1e-3 || value >= 1e5) ? value.toExponential(2) : String(Number(value.toPrecision(4)));
}

/** Axis labels: 1e-5, 0.001, 0.1, 1, 10k, 1M. */
export function formatTick(value: number): string {
  if (value === 0) return '0';
  if (value >= 1e9) return `${Number((value / 1e9).toPrecision(3))}G`;
  if (value >= 1e6) return `${Number((value / 1e6).toPrecision(3))}M`;
  if (value >= 1e4) return `${Number((value / 1e3).toPrecision(3))}k`;
  if (value >= 1000) return grouped(value);
  return value < 1e-3 ? value.toExponential(0).replace('e-', `e${MINUS}`) : String(Number(value.toPrecision(3)));
}

/** Perplexities: 31.20, 4,120, 81,300; text stays text. */
export function formatPerplexity(value: Num | null): string {
  if (value === null) return '–';
  if (typeof value === 'string') return formatValue(value);
  if (value >= 1e6) return value.toExponential(2).replace('e+', 'e');
  return value >= 1000 ? grouped(Number(value.toPrecision(4))) : value.toFixed(value >= 100 ? 1 : 2);
}

/** A ± as short as its number allows: half the digits of the value it follows. */
export function formatError(error: number, value: number): string {
  return value >= 1000 ? grouped(Number(error.toPrecision(2))) : error.toFixed(error >= 10 ? 0 : error >= 0.095 ? 1 : 2);
}

/** A difference as a signed percentage: +24.1 %, −9.5 %. */
export function formatChange(ratio: number): string {
  const percent = (ratio - 1) * 100;
  const text = Math.abs(percent) >= 1000 ? grouped(Math.abs(percent)) : Math.abs(percent).toFixed(1);
  return `${percent < 0 && Number(text) !== 0 ? MINUS : '+'}${text}${GAP}%`;
}

/** Seconds as "1.6 s" under a minute, else "4:07" or "1:02:03". */
export function formatDuration(seconds: number): string {
  if (seconds < 59.95) return `${seconds < 9.95 ? seconds.toFixed(1) : Math.round(seconds)}${GAP}s`;
  return formatClock(seconds);
}

/** Seconds as a clock: "0:42", "12:05", "1:02:03". */
export function formatClock(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  const rest = String(whole % 60).padStart(2, '0');
  return hours > 0 ? `${hours}:${String(minutes).padStart(2, '0')}:${rest}` : `${minutes}:${rest}`;
}

/** "1 file", "3 files". */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${grouped(count)}${GAP}${count === 1 ? one : many}`;
}

/** Finite number or null: for everything that is drawn. */
export function finite(value: Num | null | undefined): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}
