import { metricOf } from '../core/evaluation/protocols';
import { findings } from '../core/report/findings';
import type { CellResult } from '../core/sweep/contract';
import { SweepStore } from '../core/sweep/store';
import { summarise } from '../core/sweep/summary';
import type { SummaryCell, SweepSummary } from '../core/sweep/summary';
import { optionWords } from '../core/pruning/options';
import { patternText } from '../core/pruning/pattern';
import type { Interval, SweepCellJson, SweepJson } from '../protocol/verbs';
import { divergenceJson } from './divergenceJson';
import { num, numOrNull, problemJson } from './encode';

const interval = ({ value, low, high }: { value: number; low: number; high: number }): Interval => ({ value: num(value), low: num(low), high: num(high) });

/** A cell as `sweep --json` prints it. */
export function sweepCellJson({ result, ratio, verdict }: SummaryCell): SweepCellJson {
  const { specification: cell, evaluation, runtime, bytes } = result;
  return {
    level: cell.level, method: cell.method, scope: cell.scope, pattern: patternText(cell.pattern), options: optionWords(cell), benchmark: cell.benchmark, protocol: cell.protocol, metric: evaluation?.metric ?? metricOf(cell.protocol),
    achieved: result.achieved, achievedTotal: result.achievedTotal, threshold: numOrNull(result.threshold), calibration: result.calibration ?? null,
    value: numOrNull(evaluation?.value), meanLoss: numOrNull(evaluation?.meanLoss), standardError: numOrNull(evaluation?.standardError), standardErrorIid: numOrNull(evaluation?.standardErrorIid), ...(evaluation?.accuracy && { accuracy: evaluation.accuracy }),
    ratioToBaseline: ratio && interval(ratio), verdict, bytes: { dense: bytes.dense, deflate: bytes.deflate, bitmask: bytes.bitmask, csr: bytes.csr },
    ...(result.divergence && divergenceJson(result.divergence)),
    runtime: runtime && { ...runtime, ratio: interval(runtime.ratio) }, runtimeProblem: result.runtimeProblem ? problemJson(result.runtimeProblem) : null, seconds: result.seconds, problem: result.problem && problemJson(result.problem),
  };
}

const first = <T>(results: readonly CellResult[], pick: (result: CellResult) => T | null | undefined): T | null => {
  for (const result of results) {
    const found = pick(result);
    if (found !== null && found !== undefined) return found;
  }
  return null;
};

/** What `sweep --json` prints, from what the store holds. Setup facts of the first text; `texts` has all. */
export function sweepJson(summary: SweepSummary): SweepJson {
  const { header, cells, folder, margin } = summary;
  const results = cells.map((cell) => cell.result);
  const evaluation = first(results, (result) => result.evaluation), model = first(results, (result) => result.model);
  const reason = evaluation?.problems.find(({ code }) => code === 'provider-fallback')?.detail;
  const texts = new Map(results.flatMap(({ specification: { benchmark }, evaluation: e }) =>
    e ? [[benchmark, { benchmark, tokens: e.tokens, scoredTokens: e.scoredTokens, windows: e.windows, textSha256: e.textSha256 }] as const] : []));
  return {
    checkpoint: header.setup.checkpoint,
    out: folder,
    setup: {
      architecture: model?.architecture ?? null, parameters: model?.parameters ?? 0, prunableParameters: model?.prunableParameters ?? 0,
      weightDtype: evaluation?.weightDtype ?? '', computeDtype: evaluation?.computeDtype ?? '', provider: evaluation?.provider ?? header.setup.provider, ...(reason !== undefined && { providerReason: reason }),
      context: header.setup.context, stride: header.setup.stride, limit: header.setup.limit, tokens: evaluation?.tokens ?? 0, scoredTokens: evaluation?.scoredTokens ?? 0, windows: evaluation?.windows ?? 0,
      textSha256: evaluation?.textSha256 ?? '', tokenizer: evaluation?.tokenizer ?? '', margin, seed: header.setup.seed, threads: header.setup.threads, winnow: header.winnow, started: header.started,
    },
    texts: [...texts.values()],
    cells: cells.map(sweepCellJson),
    findings: findings(summary),
  };
}

/** Everything that a store holds now, finished or not, e.g. for a view that follows a running sweep. */
export function summaryOfFolder(folder: string): SweepSummary {
  const store = SweepStore.read(folder);
  return summarise(folder, store.header, store.all().filter(({ result }) => result.fingerprint === store.header.setup.fingerprint));
}

