import { optionWords } from '../pruning/options';
import { patternText } from '../pruning/pattern';
import { isBaseline } from '../sweep/summary';
import type { SummaryCell, SweepSummary } from '../sweep/summary';

/** Cells of one way of pruning on one text, from the baseline (first) up. */
export interface CellSeries {
  /** `magnitude, global` or `magnitude, row, 2:4`. */
  readonly label: string;
  readonly benchmark: string;
  readonly cells: readonly SummaryCell[];
}

/** `magnitude, global`, `magnitude, row, 2:4`: a way of pruning as a person reads it. */
export const methodLabel = ({ result: { specification } }: SummaryCell): string =>
  [specification.method, specification.scope, ...(specification.pattern === 'unstructured' ? [] : [patternText(specification.pattern)]), ...optionWords(specification)].join(', ');

/** Ids of the texts, in the order of the cells. */
export const benchmarksOf = (summary: SweepSummary): string[] => [...new Set(summary.cells.map(({ result }) => result.specification.benchmark))];

/** All lines of a sweep. N:M patterns of one method and scope are one line. */
export function seriesOf(summary: SweepSummary): CellSeries[] {
  return benchmarksOf(summary).flatMap((benchmark) => {
    const here = summary.cells.filter(({ result }) => result.specification.benchmark === benchmark);
    const baseline = here.filter(({ result }) => isBaseline(result));
    const groups = new Map<string, SummaryCell[]>();
    for (const cell of here) if (!isBaseline(cell.result)) groups.set(methodLabel(cell), [...groups.get(methodLabel(cell)) ?? [], cell]);
    if (groups.size === 0) groups.set('dense', []);
    return [...groups].map(([label, cells]) => ({ label, benchmark, cells: [...baseline, ...cells].sort((a, b) => pruned(a) - pruned(b)) }));
  });
}

/** Fraction of the weights in scope that is zero: where a cell stands on the axis. */
export const pruned = ({ result }: SummaryCell): number => result.achieved ?? result.specification.level;
