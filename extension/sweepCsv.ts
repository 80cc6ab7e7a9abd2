/** A sweep as a table. Knows no vscode. */
import type { SweepJson } from '../server/protocol/verbs';

const COLUMNS = ['level', 'method', 'scope', 'pattern', 'benchmark', 'protocol', 'achieved', 'achievedTotal', 'threshold', 'value', 'meanLoss', 'standardError', 'standardErrorIid', 'verdict', 'seconds'] as const;

/** One line a cell; a number keeps every digit, what is not known is empty. */
export function sweepCsv({ setup, cells }: SweepJson): string {
  const quoted = (value: unknown): string => { const text = value === null || value === undefined ? '' : String(value); return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text; };
  const header = [...COLUMNS, 'ratio', 'ratioLow', 'ratioHigh', 'bytesDense', 'bytesDeflate', 'bytesBitmask', 'bytesCsr', 'medianMs', 'baselineMedianMs', 'problem', 'provider', 'context', 'stride', 'limit', 'textSha256', 'tokenizer'];
  const lines = cells.map((cell) => [
    ...COLUMNS.map((column) => cell[column]), cell.ratioToBaseline?.value, cell.ratioToBaseline?.low, cell.ratioToBaseline?.high, cell.bytes.dense, cell.bytes.deflate, cell.bytes.bitmask, cell.bytes.csr,
    cell.runtime?.medianMs, cell.runtime?.baselineMedianMs, cell.problem?.code, setup.provider, setup.context, setup.stride, setup.limit, setup.textSha256, setup.tokenizer,
  ].map(quoted).join(','));
  return `${[header.join(','), ...lines].join('\n')}\n`;
}
