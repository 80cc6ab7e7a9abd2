import type { Interval } from '../sweep/contract';

/** 0.5 -> `50.0 %`, 0.12345 -> `12.35 %`. */
export function percent(fraction: number): string {
  const value = 100 * fraction;
  return `${Math.abs(value - Number(value.toFixed(1))) < 0.006 ? value.toFixed(1) : value.toFixed(2)} %`;
}

/** `10 %`, `99.5 %`: a level as it was asked for. */
export const level = (fraction: number): string => `${Number((100 * fraction).toPrecision(6))} %`;

/** Four significant digits, thousands grouped, two decimals below 1,000: `31.20`, `4,120`, `1.23e+12`. */
export function number(value: number): string {
  if (Number.isNaN(value)) return 'not a number';
  if (!Number.isFinite(value)) return value > 0 ? '∞' : '−∞';
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e9 || size < 1e-3)) return value.toExponential(2);
  if (size < 1000) return value.toFixed(size < 10 ? 3 : 2);
  return Number(value.toPrecision(4)).toLocaleString('en');
}

/** `31.20 ± 0.90`: the value and its standard error. */
export function withError(value: number, error: number | null): string {
  if (error === null || !Number.isFinite(error) || !Number.isFinite(value)) return number(value);
  const digits = Math.max(0, Math.min(3, 1 - Math.floor(Math.log10(error || 1))));
  return `${number(value)} ± ${error >= 1000 ? Number(error.toPrecision(2)).toLocaleString('en') : error.toFixed(digits)}`;
}

/** `0.00865 ± 0.00007`: nats, three digits, with the standard error where it is known. */
export function divergence(mean: number, error: number | null): string {
  if (!Number.isFinite(mean)) return number(mean);
  const isTiny = mean !== 0 && Math.abs(mean) < 1e-4, short = isTiny ? mean.toExponential(2) : String(Number(mean.toPrecision(3)));
  if (error === null || !Number.isFinite(error)) return short;
  return `${short} ± ${isTiny ? error.toExponential(0) : error === 0 ? '0' : error.toFixed(Math.min(8, Math.max(0, -Math.floor(Math.log10(error)))))}`;
}

/** Above this factor a ratio reads better as a factor than as a percentage. */
const FACTOR_FROM = 3;

const isKnown = ({ low, high }: Interval): boolean => low > 0 && Number.isFinite(high);

/** `no difference (± 0.5 %)`, `+24.1 % (23.3 … 24.9)`, `× 132 (126 … 139)`. A margin is given where the verdict is `no difference`. */
export function ratio(interval: Interval, margin: number | null): string {
  if (margin !== null) return `no difference (± ${Number((100 * margin).toPrecision(3))} %)`;
  const { value, low, high } = interval;
  if (!Number.isFinite(value)) return `× ${number(value)}`;
  if (value >= FACTOR_FROM) {
    const factor = (x: number): string => x >= 1000 ? number(x) : Number(x.toPrecision(3)).toString();
    return `× ${factor(value)}${isKnown(interval) ? ` (${factor(low)} … ${factor(high)})` : ''}`;
  }
  const digits = Math.abs(value - 1) < 0.0995 ? 2 : 1;
  const more = (x: number): string => (100 * (x - 1)).toFixed(digits).replace('-', '−');
  return `${value >= 1 ? '+' : ''}${more(value)} %${isKnown(interval) ? ` (${more(low)} … ${more(high)})` : ''}`;
}

/** Time against the baseline: the verdict, with numbers where there is something to say. */
export function timeRatio(interval: Interval, verdict: 'no difference' | 'faster' | 'slower' | 'not decided'): string {
  return verdict === 'no difference' ? verdict : `${verdict}: ${ratio(interval, null)}`;
}

/** `62.5 % ± 1.2`: a share of items and its standard error in percent. */
export const accuracy = (value: number, error: number | null): string => `${percent(value)}${error === null ? '' : ` ± ${(100 * error).toFixed(1)}`}`;

const units = ['B', 'kB', 'MB', 'GB', 'TB'];

/** 6430000000 -> `6.43 GB`. */
export function bytes(count: number): string {
  let step = 0, value = count;
  while (value >= 999.5 && step < units.length - 1) {
    value /= 1000;
    step++;
  }
  return `${step === 0 ? value : value.toPrecision(3)} ${units[step]}`;
}

/** 1474560000 -> `1,474,560,000`. */
export const count = (value: number): string => value.toLocaleString('en');
/** `1 window`, `1,200 windows`. */
export const counted = (value: number, unit: string): string => `${count(value)} ${unit}${value === 1 ? '' : 's'}`;
