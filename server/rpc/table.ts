/** One column: its heading and which way its cells lean. */
export interface Column { readonly title: string; readonly align: 'left' | 'right' }

/** A number for a person: four digits; --json has them all. */
export const shortNumber = (value: number | string): string => (typeof value === 'number' ? String(Number(value.toPrecision(4))) : value);

/** Terminal cells that a text takes: wide East Asian characters and emoji take two, combining marks none. */
export function cellsOf(text: string): number {
  let cells = 0;
  for (const { segment } of new Intl.Segmenter().segment(text)) {
    cells += /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u.test(segment) ? 2 : 1;
  }
  return cells;
}

/** Aligned plain text, two blanks between columns, no blanks at the end of a line. */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const widths = columns.map((column, i) => Math.max(cellsOf(column.title), ...rows.map((row) => cellsOf(row[i]))));
  const line = (cells: readonly string[]): string => cells.map((cell, i) => {
    const blanks = ' '.repeat(widths[i] - cellsOf(cell));
    return columns[i].align === 'right' ? blanks + cell : cell + blanks;
  }).join('  ').trimEnd();
  return [line(columns.map((column) => column.title)), ...rows.map(line)].join('\n');
}

/** 1557611200 -> `1.56 B`: three digits and a unit, exact below 10,000. */
export function shortCount(count: number): string {
  if (count < 10_000) return count.toLocaleString('en');
  const units = ['K', 'M', 'B', 'T'];
  let step = -1, value = count;
  while (value >= 999.5 && step < units.length - 1) { value /= 1000; step++; }
  return `${value >= 99.95 ? value.toFixed(0) : value.toPrecision(3)} ${units[step]}`;
}

/** 0.052 -> `5.2 %`; null -> nothing. */
export const percent = (fraction: number | null): string => (fraction === null || !Number.isFinite(fraction) ? '' : `${(fraction * 100).toFixed(1)} %`);
