import path from 'node:path';
import { CheckpointError } from '../../core/errors';
import type { Problem } from '../../core/errors';
import { formatOf } from '../../core/formats/registry';
import { isRewritten } from '../../core/formats/written';
import type { Checkpoint } from '../../core/formats/contract';
import type { Model } from '../../core/models/contract';
import { countedAsParameters } from '../../core/models/counting';
import { openModel } from '../../core/models/openModel';
import { scopes } from '../../core/pruning/contract';
import type { Pattern, PrunePlan, PruneRequest, PruningMethod, Scope } from '../../core/pruning/contract';
import { parsePattern, patternSparsity, patternText } from '../../core/pruning/pattern';
import { planPrune } from '../../core/pruning/planPrune';
import { findMethod } from '../../core/pruning/registry';
import { prunedTarget, writePruned } from '../../core/pruning/writePruned';
import type { WrittenCheckpoint } from '../../core/pruning/writePruned';
import { makeScratch } from '../../core/temporaries';
import { makePool } from '../../core/workers/pool';
import type { PruneJson } from '../../protocol/verbs';
import { numOrNull, problemJson } from '../encode';
import { formatBytes, printable } from '../progressBar';
import { sentenceOf } from '../sentences';
import { percent, shortNumber, table } from '../table';
import type { Arguments, Verb } from './contract';
import { selectionFlags } from './flags';

const MAX_SEED = 2 ** 32 - 1;
/** Tensors listed one by one in the text; --json has all. */
const MAX_ROWS = 400;

const usage = (detail: string): CheckpointError => new CheckpointError('usage', {}, detail);

/** `winnow prune`: writes a copy of the checkpoint in which the chosen weights are zero. */
export const prune: Verb<'prune'> = {
  name: 'prune',
  usage: 'CHECKPOINT --sparsity S [--pattern N:M] [--out PATH]',
  summary: 'Write a copy of a checkpoint with exactly the asked fraction of its prunable weights zero.',
  flags: [
    { name: 'sparsity', value: 'S', help: 'fraction of the weights in scope that is zero afterwards, 0 to 1' },
    { name: 'method', value: 'ID', help: 'how weights are chosen (default: magnitude; `winnow catalog` lists all)' },
    ...selectionFlags,
    { name: 'out', value: 'PATH', help: 'a folder, or a file ending in .safetensors (default: NAME-METHOD-PERCENT beside the source)' },
    { name: 'seed', value: 'N', help: 'for methods that draw (default: 0)' },
  ],
  positional: [1, 1],

  async *run(args, context) {
    const started = performance.now();
    const method = findMethod(args.text('method') ?? 'magnitude');
    const request = pruneRequest(args, method);
    refuseCalibration(args, method);
    const model = openModel(path.resolve(context.cwd, args.positional[0]));
    const given = args.text('out');
    const options = { out: given === undefined ? null : path.resolve(context.cwd, given), force: context.force, io: context.io };
    const { path: out } = prunedTarget(model, method.id, request.sparsity, options);
    const pool = makePool({ threads: context.threads }), scratch = makeScratch(path.dirname(out));
    try {
      const plan = yield* planPrune(model, method.id, request, pool, { io: context.io, scratch }, context.signal);
      const written = yield* writePruned(model, plan, { ...options, out }, pool, context.signal);
      return pruneJson(model, plan, written, (performance.now() - started) / 1000);
    } finally {
      await pool.close();
      scratch.remove();
    }
  },
  text: pruneText,
};

/** What the flags ask of a method. @throws CheckpointError `usage`, `unsupported-pattern` */
export function pruneRequest(args: Arguments, method: PruningMethod): PruneRequest {
  const pattern: Pattern = parsePattern(args.text('pattern') ?? 'unstructured');
  const given = args.number('sparsity', 0, 1);
  const implied = patternSparsity(pattern) ?? undefined;
  if (given === undefined && implied === undefined) throw usage('--sparsity is missing: a number from 0 to 1, e.g. --sparsity 0.5 (an N:M --pattern implies it)');
  if (given !== undefined && implied !== undefined && Math.abs(given - implied) > 1e-9) {
    throw usage(`--pattern ${patternText(pattern)} implies --sparsity ${implied}; leave --sparsity out, or use the pattern unstructured`);
  }
  const scope = args.text('scope') ?? method.defaultScope;
  if (!scopes.includes(scope as Scope)) throw usage(`--scope takes ${scopes.join(', ')}, not \`${scope}\``);
  return {
    sparsity: implied ?? given!, scope: scope as Scope, pattern,
    include: args.many('include'), exclude: args.many('exclude'), seed: args.integer('seed', 0, MAX_SEED) ?? 0,
  };
}

function refuseCalibration(args: Arguments, method: PruningMethod): void {
  const asked = ['calibration', 'calibration-samples', 'calibration-length'].find((flag) => args.has(flag));
  if (asked !== undefined && method.needs === null) throw usage(`--${asked} is for methods that need calibration; ${method.id} needs none`);
}

/** What `prune --json` prints. */
function pruneJson(model: Model, plan: PrunePlan, written: WrittenCheckpoint, seconds: number): PruneJson {
  const counted = countedAsParameters(model);
  const parameters = model.checkpoint.tensors.reduce((sum, tensor, i) => sum + (counted[i] ? tensor.elements : 0), 0);
  const pruned = plan.tensors.reduce((sum, tensor) => sum + tensor.zerosAfter, 0);
  const fraction = (part: number, whole: number): number | null => (whole > 0 ? part / whole : null);
  return {
    out: written.out,
    method: plan.method,
    scope: plan.request.scope,
    pattern: patternText(plan.request.pattern),
    target: plan.request.sparsity,
    achieved: fraction(pruned, plan.scopeParameters),
    achievedTotal: fraction(pruned, parameters),
    threshold: numOrNull(plan.threshold),
    scopeParameters: plan.scopeParameters,
    selected: plan.selected,
    changed: [...written.changed.values()].reduce((sum, changed) => sum + changed, 0),
    prunedParameters: pruned,
    tensors: plan.tensors.map(({ name, elements, zerosBefore, zerosAfter }) => ({
      name, sparsityBefore: fraction(zerosBefore, elements), sparsityAfter: fraction(zerosAfter, elements), changed: written.changed.get(name) ?? 0,
    })),
    bytes: written.bytes,
    seconds,
    problems: [...model.problems, ...plan.problems, ...writtenOtherwise(model)].map(problemJson),
  };
}

/** Formats that are only read are written as safetensors, and that is said. */
const writtenOtherwise = ({ checkpoint }: Model): Problem[] => (isRewritten(checkpoint)
  ? [{ code: 'other-format-written', where: { file: checkpoint.path }, detail: `${formatOf(checkpoint.format).title} is read, not written; ${writtenChanges(checkpoint)}` }] : []);

function pruneText(output: PruneJson): string {
  const count = (value: number): string => value.toLocaleString('en');
  const shown = output.tensors.slice(0, MAX_ROWS);
  const lines = [
    `${output.method}, scope ${output.scope}, ${output.pattern}, target ${percent(output.target)}${output.threshold === null ? '' : `, largest selected |w| ${shortNumber(output.threshold)}`}`,
    `${count(output.prunedParameters)} of ${count(output.scopeParameters)} weights in scope are zero now: ${percent(output.achieved)} of the scope, ${percent(output.achievedTotal)} of all parameters; ${count(output.changed)} newly zeroed`,
    `written in ${output.seconds.toFixed(1)} s: ${printable(output.out)} (${formatBytes(output.bytes)}; zeros do not make a dense file smaller)`,
    '',
    table(
      [{ title: 'tensor', align: 'left' }, { title: 'before', align: 'right' }, { title: 'after', align: 'right' }, { title: 'changed', align: 'right' }],
      shown.map((tensor) => [printable(tensor.name), percent(tensor.sparsityBefore), percent(tensor.sparsityAfter), count(tensor.changed)]),
    ),
  ];
  if (shown.length < output.tensors.length) lines.push(`... and ${output.tensors.length - shown.length} more (--json has all)`);
  if (output.problems.length > 0) lines.push('', ...output.problems.map((problem) => `! ${sentenceOf(problem as Problem)}`));
  return lines.join('\n');
}

/** What a person finds changed in the copy. */
function writtenChanges({ tensors }: Checkpoint): string {
  const changes = [tensors.some(({ storedName }) => storedName !== undefined) ? 'tensors have the names that transformers uses' : '', tensors.some(({ storedDtype }) => storedDtype !== undefined) ? 'quantised weights are written as they decode' : ''].filter(Boolean);
  return changes.length === 0 ? 'names, shapes and dtypes stay' : changes.join(', ');
}
