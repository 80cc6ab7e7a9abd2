import { optionWords } from '../pruning/options';
import { patternText } from '../pruning/pattern';
import type { SummaryCell, SweepSummary } from '../sweep/summary';

type Value = string | number | null | undefined;

/** One field: quoted where it must be. A text that a spreadsheet would run as a formula gets an apostrophe in front. */
export function csvField(value: Value): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'number') return Number.isNaN(value) ? 'NaN' : String(value);
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

const columns: readonly (readonly [string, (cell: SummaryCell) => Value])[] = [
  ['method', ({ result }) => result.specification.method], ['scope', ({ result }) => result.specification.scope], ['pattern', ({ result }) => patternText(result.specification.pattern)], ['options', ({ result }) => optionWords(result.specification).join(' ')],
  ['level', ({ result }) => result.specification.level], ['achieved', ({ result }) => result.achieved], ['achievedTotal', ({ result }) => result.achievedTotal], ['threshold', ({ result }) => result.threshold],
  ['benchmark', ({ result }) => result.specification.benchmark], ['protocol', ({ result }) => result.specification.protocol], ['context', ({ result }) => result.specification.context], ['stride', ({ result }) => result.specification.stride],
  ['metric', ({ result }) => result.evaluation?.metric], ['value', ({ result }) => result.evaluation?.value], ['meanLoss', ({ result }) => result.evaluation?.meanLoss],
  ['standardError', ({ result }) => result.evaluation?.standardError], ['standardErrorIid', ({ result }) => result.evaluation?.standardErrorIid],
  ['accuracy', ({ result }) => result.evaluation?.accuracy?.value], ['accuracyStandardError', ({ result }) => result.evaluation?.accuracy?.standardError],
  ['ratio', ({ ratio }) => ratio?.value], ['ratioLow', ({ ratio }) => ratio?.low], ['ratioHigh', ({ ratio }) => ratio?.high], ['verdict', ({ verdict }) => verdict],
  ['klMean', ({ result }) => result.divergence?.klDivergence.mean], ['klStandardError', ({ result }) => result.divergence?.klDivergence.standardError], ['klStandardErrorIid', ({ result }) => result.divergence?.klDivergence.standardErrorIid],
  ['klMedian', ({ result }) => result.divergence?.klDivergence.median], ['klP99', ({ result }) => result.divergence?.klDivergence.p99], ['klMax', ({ result }) => result.divergence?.klDivergence.max],
  ['sameTop1', ({ result }) => result.divergence?.sameTop1.value], ['sameTop1StandardError', ({ result }) => result.divergence?.sameTop1.standardError], ['sameTop1StandardErrorIid', ({ result }) => result.divergence?.sameTop1.standardErrorIid],
  ['bytesDense', ({ result }) => result.bytes.dense], ['bytesDeflate', ({ result }) => result.bytes.deflate], ['bytesBitmask', ({ result }) => result.bytes.bitmask], ['bytesCsr', ({ result }) => result.bytes.csr],
  ['medianMs', ({ result }) => result.runtime?.medianMs], ['timeRatio', ({ result }) => result.runtime?.ratio.value], ['timeRatioLow', ({ result }) => result.runtime?.ratio.low],
  ['timeRatioHigh', ({ result }) => result.runtime?.ratio.high], ['timeVerdict', ({ result }) => result.runtime?.verdict], ['timeProblem', ({ result }) => result.runtimeProblem?.code],
  ['scoredTokens', ({ result }) => result.evaluation?.scoredTokens], ['textSha256', ({ result }) => result.evaluation?.textSha256], ['provider', ({ result }) => result.evaluation?.provider],
  ['weightDtype', ({ result }) => result.evaluation?.weightDtype], ['computeDtype', ({ result }) => result.evaluation?.computeDtype], ['problem', ({ result }) => result.problem?.code],
];

/** One row a cell, with everything that its number needs to be compared. */
export const reportCsv = (summary: SweepSummary): string =>
  [columns.map(([name]) => name), ...summary.cells.map((cell) => columns.map(([, pick]) => csvField(pick(cell))))].map((row) => `${row.join(',')}\r\n`).join('');
