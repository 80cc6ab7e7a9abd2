import type { Checkpoint } from '../core/formats/contract';
import type { Problem } from '../core/errors';
import { formatOf } from '../core/formats/registry';
import { isRewritten } from '../core/formats/written';
import { layerName, type Model } from '../core/models/contract';
import { countedAsParameters } from '../core/models/counting';
import type { PrunePlan } from '../core/pruning/contract';
import { patternText } from '../core/pruning/pattern';
import type { PruneJson, PruneNeedsJson } from '../protocol/verbs';
import { numOrNull, problemJson } from './encode';
import { formatBytes, formatSeconds, printable } from './progressBar';
import { sentenceOf } from './sentences';
import { percent, shortCount, shortNumber, table } from './table';

/** Tensors listed one by one in the text; --verbose and --json have all. */
const MAX_ROWS = 20;

/** What was written, or what would be (`needs`). */
export interface PruneOutcome {
  readonly out: string;
  readonly format: string;
  readonly bytes: number;
  readonly seconds: number;
  /** Newly zeroed weights of each tensor in scope; missing in a dry run, which counts them from the plan. */
  readonly changed?: ReadonlyMap<string, number>;
  readonly manifest: string | null;
  readonly masks: string | null;
  /** Of a dry run. */
  readonly needs?: PruneNeedsJson;
  readonly problems: readonly Problem[];
}

/** What `prune --json` prints. */
export function pruneJson(model: Model, plan: PrunePlan, outcome: PruneOutcome): PruneJson {
  const counted = countedAsParameters(model), { request } = plan;
  const roles = new Map(model.checkpoint.tensors.map((tensor, i) => [tensor.name, model.roles[i]]));
  const parameters = model.checkpoint.tensors.reduce((sum, tensor, i) => sum + (counted[i] ? tensor.elements : 0), 0);
  const pruned = plan.tensors.reduce((sum, tensor) => sum + tensor.zerosAfter, 0);
  const changedOf = (tensor: PrunePlan['tensors'][number]): number => (outcome.changed ? outcome.changed.get(tensor.name) ?? 0 : tensor.zerosAfter - tensor.zerosBefore);
  return {
    out: outcome.out,
    method: plan.method,
    scope: request.scope,
    pattern: patternText(request.pattern),
    target: request.sparsity,
    achieved: fraction(pruned, plan.scopeParameters),
    achievedTotal: fraction(pruned, parameters),
    threshold: numOrNull(plan.threshold),
    scopeParameters: plan.scopeParameters,
    selected: plan.selected,
    changed: plan.tensors.reduce((sum, tensor) => sum + changedOf(tensor), 0),
    prunedParameters: pruned,
    tensors: plan.tensors.map((tensor) => {
      const role = roles.get(tensor.name);
      return {
        name: tensor.name, parameters: tensor.elements, layer: role?.layer ?? null, ...(role?.stack && { stack: role.stack }),
        sparsityBefore: fraction(tensor.zerosBefore, tensor.elements), sparsityAfter: fraction(tensor.zerosAfter, tensor.elements), changed: changedOf(tensor),
      };
    }),
    format: outcome.format,
    bytes: outcome.bytes,
    seconds: outcome.seconds,
    manifest: outcome.manifest,
    masks: outcome.masks,
    dryRun: outcome.needs !== undefined,
    ...(outcome.needs && { needs: outcome.needs }),
    ...(plan.structure && { structure: { unit: plan.structure.unit, parameters: parameters - pruned, blocks: plan.structure.kept.map(({ block, of, units }) => ({ block, of, kept: [...units] })) } }),
    problems: [...model.problems, ...plan.problems, ...outcome.problems].map(problemJson),
  };
}

const fraction = (part: number, whole: number): number | null => (whole > 0 ? part / whole : null);

/** Formats that are only read are written as safetensors, and that is said. */
export const writtenOtherwise = ({ checkpoint }: Model): Problem[] => (checkpoint.packing !== undefined
  ? [{ code: 'other-format-written', where: { file: checkpoint.path }, detail: `its ${checkpoint.packing} layout is written dense; --format keeps it packed` }]
  : isRewritten(checkpoint) ? [{ code: 'other-format-written', where: { file: checkpoint.path }, detail: `${formatOf(checkpoint.format).title} is read, not written; ${writtenChanges(checkpoint)}` }] : []);

/** What a person finds changed in the copy. */
function writtenChanges({ tensors }: Checkpoint): string {
  const changes = [tensors.some(({ storedName }) => storedName !== undefined) ? 'tensors have the names that transformers uses' : '', tensors.some(({ storedDtype }) => storedDtype !== undefined) ? 'quantised weights are written as they decode' : ''].filter(Boolean);
  return changes.length === 0 ? 'names, shapes and dtypes stay' : changes.join(', ');
}

const count = (value: number): string => value.toLocaleString('en');

/** What a person reads of a pruning, done or planned. */
export function pruneText(output: PruneJson, verbose: boolean): string {
  const will = output.structure ? (output.dryRun ? 'would be taken out' : 'are gone') : output.dryRun ? 'would be zero' : 'are zero now';
  const lines = [
    `${output.method}, scope ${output.scope}, ${output.pattern}, target ${percent(output.target)}${output.threshold === null ? '' : `, largest selected |w| ${shortNumber(output.threshold)}`}`,
    `${count(output.prunedParameters)} of ${count(output.scopeParameters)} weights in scope ${will}: ${percent(output.achieved)} of the scope, ${percent(output.achievedTotal)} of all parameters; ${output.structure ? `${shortCount(output.structure.parameters)} parameters ${output.dryRun ? 'would be' : 'are'} left` : `${count(output.changed)} newly zeroed`}`,
    ...structureLines(output),
    ...(output.needs ? needsLines(output, output.needs) : writtenLines(output)),
    '', ...layerLines(output), ...tensorLines(output, verbose),
  ];
  if (output.problems.length > 0) lines.push('', ...output.problems.map((problem) => `! ${sentenceOf(problem as Problem)}`));
  return lines.join('\n');
}

/** How many units every block keeps; which of them is in --json. */
function structureLines({ structure }: PruneJson): string[] {
  if (!structure) return [];
  const kept = new Map<string, string[]>();
  for (const { block, of, kept: units } of structure.blocks) kept.set(`${units.length} of ${of}`, [...(kept.get(`${units.length} of ${of}`) ?? []), block]);
  const where = (blocks: readonly string[]): string => (structure.unit === 'layers' ? (blocks[0] === 'all' ? '' : ` (${blocks.join(', ')})`) : kept.size === 1 ? ' in every block' : ` in ${blocks.join(', ')}`);
  return [...kept].map(([numbers, blocks]) => `${structure.unit} kept: ${numbers}${where(blocks)}`);
}

function writtenLines(output: PruneJson): string[] {
  const size = output.structure ? '' : output.format === 'dense' ? '; zeros do not make a dense file smaller' : `, ${output.format}`;
  return [
    `written in ${output.seconds.toFixed(1)} s: ${printable(output.out)} (${formatBytes(output.bytes)}${size})`,
    ...(output.masks === null ? [] : [`masks: ${printable(output.masks)}`]),
    ...(output.manifest === null ? [] : [`manifest: ${printable(output.manifest)}`]),
  ];
}

const needsLines = (output: PruneJson, needs: PruneNeedsJson): string[] => [
  `nothing was written. Pruning would write ${formatBytes(output.bytes)} (${output.format}) to ${printable(output.out)}`,
  `needs: disk ${formatBytes(needs.diskBytes)} of ${formatBytes(needs.freeDiskBytes)} free, memory about ${formatBytes(needs.memoryBytes)} besides the program's own, time about ${formatSeconds(needs.seconds)} (planning took ${formatSeconds(needs.planSeconds)}; writing at ${formatBytes(needs.assumedBytesPerSecond)}/s)`,
];

type Row = PruneJson['tensors'][number];
const zerosOf = (rows: readonly Row[], when: 'sparsityBefore' | 'sparsityAfter'): number | null => {
  const parameters = rows.reduce((sum, row) => sum + row.parameters, 0);
  return fraction(rows.reduce((sum, row) => sum + (row[when] ?? 0) * row.parameters, 0), parameters);
};
const columns = (first: string): Parameters<typeof table>[0] => [{ title: first, align: 'left' }, { title: 'weights', align: 'right' }, { title: 'before', align: 'right' }, { title: 'after', align: 'right' }, { title: 'changed', align: 'right' }];

/** One line a layer, where there is more than one tensor in some of them. */
function layerLines({ tensors }: PruneJson): string[] {
  const layers = new Map<string, Row[]>();
  for (const row of tensors) {
    const name = row.layer === null ? 'outside the blocks' : `layer ${layerName(row, row.layer)}`;
    layers.set(name, [...(layers.get(name) ?? []), row]);
  }
  if (layers.size === 0 || layers.size === tensors.length) return [];
  const order = (rows: readonly Row[]): number => (rows[0].stack === 'decoder' ? 1e6 : 0) + (rows[0].layer ?? -1);
  const sorted = [...layers].sort((a, b) => order(a[1]) - order(b[1]));
  return [table(columns('layer'), sorted.map(([name, rows]) => [name, shortCount(rows.reduce((sum, row) => sum + row.parameters, 0)), percent(zerosOf(rows, 'sparsityBefore')), percent(zerosOf(rows, 'sparsityAfter')), count(rows.reduce((sum, row) => sum + row.changed, 0))])), ''];
}

/** The tensors that lose most and least, or all of them. */
function tensorLines({ tensors }: PruneJson, verbose: boolean): string[] {
  const row = (tensor: Row): string[] => [printable(tensor.name), shortCount(tensor.parameters), percent(tensor.sparsityBefore), percent(tensor.sparsityAfter), count(tensor.changed)];
  if (verbose || tensors.length <= MAX_ROWS) return [table(columns('tensor'), tensors.map(row))];
  const ranked = [...tensors].sort((a, b) => (b.sparsityAfter ?? 0) - (a.sparsityAfter ?? 0));
  const shown = [...ranked.slice(0, MAX_ROWS / 2), ...ranked.slice(-MAX_ROWS / 2)];
  return [table(columns('sparsest and densest tensors'), shown.map(row)), `... and ${tensors.length - MAX_ROWS} between them (--verbose and --json have all)`];
}
