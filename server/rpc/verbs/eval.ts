import path from 'node:path';
import { CheckpointError } from '../../core/errors';
import type { Evaluation, EvaluationRequest } from '../../core/evaluation/contract';
import { evaluateModel, textBenchmark } from '../../core/evaluation/evaluate';
import { benchmarks } from '../../core/evaluation/benchmarks';
import { openModel } from '../../core/models/openModel';
import { providers } from '../../core/runtime/contract';
import type { Provider } from '../../core/runtime/contract';
import type { EvalJson, Num } from '../../protocol/verbs';
import { suggestion } from '../arguments';
import { num, numOrNull, problemJson } from '../encode';
import { printable } from '../progressBar';
import { sentenceOf } from '../sentences';
import type { Arguments, Flag, Verb, VerbContext } from './contract';
import { lineFlags, protocolFlag, windowFlags } from './flags';

/** Longest context and largest count any flag may give; what a model allows is checked against its config. */
const MAX_TOKENS = 2 ** 24;

const usage = (detail: string): CheckpointError => new CheckpointError('usage', {}, detail);

/** What to evaluate on, and how. */
export const evaluationFlags: readonly Flag[] = [
  { name: 'benchmark', value: 'ID', help: `a named text: ${benchmarks.map((benchmark) => benchmark.id).join(', ')}` },
  { name: 'text', value: 'FILE', help: 'a UTF-8 text file, taken as it is, or a JSON Lines file (*.jsonl), one document a line' },
  ...lineFlags,
  ...windowFlags,
];

/** Reads the flags of an evaluation. @throws CheckpointError `usage`, `unknown-provider` */
export function evaluationRequest(args: Arguments, context: Pick<VerbContext, 'cwd' | 'threads' | 'dataFolder'>): EvaluationRequest {
  const benchmark = args.text('benchmark'), text = args.text('text');
  if ((benchmark === undefined) === (text === undefined)) throw usage(benchmark === undefined ? 'give --benchmark ID or --text FILE' : 'give --benchmark or --text, not both');
  const provider = args.text('provider') ?? 'auto';
  if (provider !== 'auto' && !providers.includes(provider as Provider)) {
    throw new CheckpointError('unknown-provider', { key: provider }, `\`${provider}\`${suggestion(provider, [...providers, 'auto']).replace(/\?$/, '')}`);
  }
  return {
    benchmark: benchmark ?? textBenchmark(path.resolve(context.cwd, text ?? '')),
    protocol: protocolFlag(args) ?? null,
    // Any whole number gets through here: the protocol says what is wrong with a window, the model what is too long for it.
    context: args.integer('context', -MAX_TOKENS, MAX_TOKENS) ?? null,
    stride: args.integer('stride', -MAX_TOKENS, MAX_TOKENS) ?? null,
    limit: args.integer('limit', 1, MAX_TOKENS) ?? null,
    provider: provider as Provider | 'auto', threads: context.threads, dataFolder: context.dataFolder,
    ...(args.has('field') && { field: args.text('field') }),
  };
}

/** What `eval --json` prints: everything but the losses. */
export function evalJson(evaluation: Evaluation): EvalJson {
  const { losses: _losses, ...rest } = evaluation;
  return {
    ...rest, ...(rest.perWord && { perWord: { ...rest.perWord, bytePerplexity: num(rest.perWord.bytePerplexity), bitsPerByte: num(rest.perWord.bitsPerByte) } }), value: num(rest.value), meanLoss: num(rest.meanLoss), asPublished: numOrNull(rest.asPublished), standardError: numOrNull(rest.standardError),
    standardErrorIid: numOrNull(rest.standardErrorIid), problems: rest.problems.map(problemJson),
  };
}

/** `winnow eval`: one perplexity, with everything that makes it comparable. */
export const evaluate: Verb<'eval'> = {
  name: 'eval',
  usage: 'CHECKPOINT (--benchmark ID | --text FILE)',
  summary: 'Compute the perplexity of a checkpoint on a text, by a named protocol.',
  flags: evaluationFlags,
  positional: [1, 1],

  async *run(args, context) {
    const request = evaluationRequest(args, context);
    return evalJson(yield* evaluateModel(openModel(path.resolve(context.cwd, args.positional[0])), request, context.signal));
  },
  text: evalText,
};

const shown = (value: Num, digits: number): string => (typeof value === 'number' ? value.toPrecision(Math.max(digits, String(Math.floor(value)).length)) : value === 'Infinity' ? 'infinite' : value);
const count = (n: number): string => n.toLocaleString('en');

function evalText(output: EvalJson): string {
  const error = output.standardError === null ? 'no standard error under 20 blocks of 8 contexts' : `standard error from a moving-block bootstrap; as if tokens were independent: ± ${shown(output.standardErrorIid ?? 'NaN', 2)}`;
  const lines = [
    `${output.metric} ${shown(output.value, 6)}${output.standardError === null ? '' : ` ± ${shown(output.standardError, 2)}`}`,
    `  protocol   ${output.protocol}, context ${count(output.context)}, stride ${count(output.stride)}; per token, mean over scored tokens${output.asPublished === null ? '' : `; as its script averages windows: ${shown(output.asPublished, 6)}`}`,
    `  text       ${printable(output.benchmark.replace(/^text:/, ''))}, ${count(output.tokens)} ${output.tokens === 1 ? 'token' : 'tokens'}, ${count(output.scoredTokens)} scored in ${count(output.windows)} ${output.windows === 1 ? 'window' : 'windows'}${output.limit === null ? '' : ` (limit ${count(output.limit)})`}, SHA-256 ${output.textSha256.slice(0, 12)}`,
    ...(output.unknownWords === null ? [] : [`  <unk>      stands ${count(output.unknownWords.count)} times in the text, as ${count(output.unknownWords.tokensEach)} ${output.unknownWords.tokensEach === 1 ? 'token' : 'tokens'} each`]),
    `  mean loss  ${shown(output.meanLoss, 6)} nats a token`,
    `  error      ${error}`,
    `  run        ${printable(output.tokenizer)}; weights ${output.weightDtype}, computed in ${output.computeDtype} on ${output.provider}${output.decoder === undefined ? '' : `, decoder ${output.decoder}`}; ${output.seconds.toFixed(1)} s, ${count(Math.round(output.tokensPerSecond))} tokens/s`,
    ...output.problems.map((problem) => `  note       ${sentenceOf(problem as Parameters<typeof sentenceOf>[0])}`),
  ];
  return lines.join('\n');
}
