import type { CellSpecification, FinishedCell } from '../../../server/core/sweep/contract';
import type { SweepRequest } from '../../../server/core/sweep/plan';

/** A sweep over nothing, for tests of the store and of reports. */
export const fakeRequest: SweepRequest = {
  checkpoint: '/models/made-up', methods: ['magnitude'], levels: [0.1, 0.5, 0.9], scope: null, pattern: 'unstructured', include: [], exclude: [], seed: 0, benchmarks: ['sample'],
  protocol: 'hf-stride', context: 8, stride: 4, limit: null, provider: 'cpu', threads: 2, dataFolder: null, runtime: true,
};

/** A finished cell whose losses are those of the baseline plus its level (in nats), so that the ratio is exp(level). */
export function fakeCell(cell: CellSpecification, fingerprint: string, change: Partial<{ value: number; scale: number }> = {}): FinishedCell {
  const losses = Float32Array.from({ length: 2000 }, (_, i) => 3 + Math.sin(i * 12.9898) + cell.level * (change.scale ?? 1));
  const meanLoss = losses.reduce((a, b) => a + b) / losses.length;
  const density = 1 - 0.8 * cell.level;
  return {
    losses,
    result: {
      version: 1, specification: cell, fingerprint, winnow: '0.1.0',
      model: { name: 'made-up', architecture: 'gpt2', parameters: 1_500_000, scopeParameters: 1_200_000, prunableParameters: 1_200_000 },
      achieved: cell.level, achievedTotal: 0.8 * cell.level, threshold: cell.level === 0 ? null : 0.02 * cell.level,
      evaluation: {
        benchmark: cell.benchmark, protocol: cell.protocol, context: cell.context, stride: cell.stride, metric: 'perplexity', provider: 'cpu', weightDtype: 'F32', computeDtype: 'F32',
        textSha256: '0123456789abcdef'.repeat(4), tokenizer: 'made up, 1024 entries', limit: cell.limit, value: change.value ?? Math.exp(meanLoss), meanLoss, asPublished: null,
        standardError: 0.9, standardErrorIid: 0.4, tokens: 2001, scoredTokens: 2000, windows: 500, seconds: 1, tokensPerSecond: 2000, unknownWords: null, problems: [],
      },
      bytes: { dense: 6_000_000, deflate: Math.round(5_500_000 * density), bitmask: Math.round(6_200_000 * density), csr: Math.round(10_800_000 * density) },
      runtime: { medianMs: 10 + cell.level / 10, baselineMedianMs: 10, ratio: { value: 1 + cell.level / 100, low: 0.99, high: 1.02 }, verdict: 'no difference', pairs: 101, margin: 0.05, context: cell.context, threads: 2, provider: 'cpu' },
      seconds: 12, problem: null,
    },
  };
}
