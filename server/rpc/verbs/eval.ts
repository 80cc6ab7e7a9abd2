import path from 'node:path';
import { CheckpointError } from '../../core/errors';
import type { Evaluation, EvaluationRequest } from '../../core/evaluation/contract';
import { evaluateAll, textBenchmark } from '../../core/evaluation/evaluate';
import type { Evaluated } from '../../core/evaluation/evaluate';
import { explain } from '../../core/evaluation/explain';
import { benchmarks } from '../../core/evaluation/benchmarks';
import { openModel } from '../../core/models/openModel';
import { providers } from '../../core/runtime/contract';
import type { Provider } from '../../core/runtime/contract';
import type { EvalJson, Num } from '../../protocol/verbs';
import { suggestion } from '../arguments';
import { divergenceJson } from '../divergenceJson';
import { num, numOrNull, problemJson } from '../encode';
import { againstLines, severalText, tookWords } from '../evalWords';
import { besideLines, errorWords, lossUnit, unitWords } from '../itemWords';
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

const againstFlag: Flag = { name: 'against', value: 'CHECKPOINT', help: 'compare with another checkpoint of the same tokenizer, token by token: KL divergence, same most probable token, ratio' };

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

/** The protocols that are asked for, each once; one null for the family's own. */
function protocolsOf(request: EvaluationRequest, args: Arguments): (string | null)[] {
  const named = args.has('protocol') ? args.many('protocol').flatMap((text) => text.split(',')).map((id) => id.trim()).filter((id) => id !== '') : [];
  return named.length > 0 ? [...new Set(named)] : [request.protocol];
}

/** A run as it is printed, with its reference if it has one. */
function runJson({ evaluation, against }: Evaluated): EvalJson {
  const output = evalJson(evaluation);
  if (against === null) return output;
  const { checkpoint, value, meanLoss, ratio } = against;
  return { ...output, against: { checkpoint, value: numOrNull(value), meanLoss: num(meanLoss), ratio: { value: num(ratio.value), low: num(ratio.low), high: num(ratio.high) }, ...divergenceJson(against) } };
}

/** What `eval --json` prints: everything but the losses. */
export function evalJson(evaluation: Evaluation): EvalJson {
  const { losses: _losses, ...rest } = evaluation;
  return {
    ...rest, ...(rest.perWord && { perWord: { ...rest.perWord, bytePerplexity: num(rest.perWord.bytePerplexity), bitsPerByte: num(rest.perWord.bitsPerByte) } }), value: num(rest.value), meanLoss: num(rest.meanLoss), asPublished: numOrNull(rest.asPublished), standardError: numOrNull(rest.standardError),
    standardErrorIid: numOrNull(rest.standardErrorIid), predicted: rest.predicted ?? { seconds: null, memoryBytes: null }, peakMemoryBytes: rest.peakMemoryBytes ?? null, problems: rest.problems.map(problemJson),
  };
}

/** `winnow eval`: one perplexity, with everything that makes it comparable. */
export const evaluate: Verb<'eval'> = {
  name: 'eval',
  usage: 'CHECKPOINT (--benchmark ID | --text FILE) [--protocol ID,ID] [--against CHECKPOINT]',
  summary: 'Compute the perplexity of a checkpoint on a text, by a named protocol.',
  flags: [...evaluationFlags, againstFlag],
  positional: [1, 1],

  async *run(args, context) {
    const request = evaluationRequest(args, context);
    const reference = args.text('against'), requests = protocolsOf(request, args).map((protocol) => ({ ...request, protocol }));
    const model = openModel(path.resolve(context.cwd, args.positional[0]));
    const evaluated = yield* evaluateAll(model, requests, reference === undefined ? null : openModel(path.resolve(context.cwd, reference)), context.signal);
    if (evaluated.length === 1) return runJson(evaluated[0]);
    return { runs: evaluated.map(runJson), readings: evaluated.map(({ reading }) => reading), explanation: explain(evaluated) };
  },
  text: (output) => ('runs' in output ? severalText(output) : evalText(output)),
};

const shown = (value: Num, digits: number): string => (typeof value === 'number' ? value.toPrecision(Math.max(digits, String(Math.floor(value)).length)) : value === 'Infinity' ? 'infinite' : value);
const count = (n: number): string => n.toLocaleString('en');

function evalText(output: EvalJson): string {
  const lines = [
    `${output.metric} ${shown(output.value, 6)}${output.standardError === null ? '' : ` ± ${shown(output.standardError, 2)}`}`,
    `  protocol   ${output.protocol}, context ${count(output.context)}, stride ${count(output.stride)}; ${unitWords(output)}${output.asPublished === null ? '' : `; as its script averages windows: ${shown(output.asPublished, 6)}`}`,
    `  text       ${printable(output.benchmark.replace(/^text:/, ''))}, ${count(output.tokens)} ${output.tokens === 1 ? 'token' : 'tokens'}, ${count(output.scoredTokens)} scored in ${count(output.windows)} ${output.windows === 1 ? 'window' : 'windows'}${output.limit === null ? '' : ` (limit ${count(output.limit)})`}, SHA-256 ${output.textSha256.slice(0, 12)}`,
    ...(output.unknownWords === null ? [] : [`  <unk>      stands ${count(output.unknownWords.count)} times in the text, as ${count(output.unknownWords.tokensEach)} ${output.unknownWords.tokensEach === 1 ? 'token' : 'tokens'} each`]),
    ...besideLines(output),
    `  mean loss  ${shown(output.meanLoss, 6)} nats a ${lossUnit(output)}`,
    `  error      ${errorWords(output)}`,
    `  run        ${printable(output.tokenizer)}; weights ${output.weightDtype}, computed in ${output.computeDtype} on ${output.provider}${output.decoder === undefined ? '' : `, decoder ${output.decoder}`}; ${count(Math.round(output.tokensPerSecond))} tokens/s`,
    `  time       ${tookWords(output)}`,
    ...(output.against ? againstLines(output.against) : []),
    ...output.problems.map((problem) => `  note       ${sentenceOf(problem as Parameters<typeof sentenceOf>[0])}`),
  ];
  return lines.join('\n');
}
