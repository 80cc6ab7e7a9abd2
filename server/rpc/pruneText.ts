/** What a person reads of a pruning, done or planned. Knows no core: the editor shows the same. */
import type { Problem } from '../core/errors';
import type { PruneJson, PruneNeedsJson } from '../protocol/verbs';
import { formatBytes, formatSeconds, printable } from './progressBar';
import { sentenceOf } from './sentences';
import { percent, shortCount, shortNumber, table } from './table';

/** Tensors listed one by one in the text; --verbose and --json have all. */
const MAX_ROWS = 20;

const fraction = (part: number, whole: number): number | null => (whole > 0 ? part / whole : null);
const count = (value: number): string => value.toLocaleString('en');

/** What a person reads of a pruning, done or planned. */
export function pruneText(output: PruneJson, verbose: boolean): string {
  const will = output.structure ? (output.dryRun ? 'would be taken out' : 'are gone') : output.dryRun ? 'would be zero' : 'are zero now';
  const lines = [
    `${output.method}, scope ${output.scope}, ${[output.pattern, ...output.options.map(printable)].join(', ')}, target ${percent(output.target)}${output.threshold === null ? '' : `, largest selected |w| ${shortNumber(output.threshold)}`}`,
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
/** Of whole parts there is no before: they are there, and then they are gone. */
const goneColumns = (first: string): Parameters<typeof table>[0] => [{ title: first, align: 'left' }, { title: 'weights', align: 'right' }, { title: 'gone', align: 'right' }, { title: 'of them', align: 'right' }];
const columns = (first: string): Parameters<typeof table>[0] => [{ title: first, align: 'left' }, { title: 'weights', align: 'right' }, { title: 'before', align: 'right' }, { title: 'after', align: 'right' }, { title: 'newly zero', align: 'right' }];

/** One line a layer, where there is more than one tensor in some of them. */
function layerLines({ tensors, structure }: PruneJson): string[] {
  const layers = new Map<string, Row[]>();
  for (const row of tensors) {
    const name = row.layer === null ? 'outside the blocks' : `${row.stack ? `${row.stack} ` : ''}layer ${row.layer}`;
    layers.set(name, [...(layers.get(name) ?? []), row]);
  }
  if (layers.size === 0 || layers.size === tensors.length) return [];
  const order = (rows: readonly Row[]): number => (rows[0].stack === 'decoder' ? 1e6 : 0) + (rows[0].layer ?? -1);
  const sorted = [...layers].sort((a, b) => order(a[1]) - order(b[1]));
  const changedIn = (rows: readonly Row[]): string => count(rows.reduce((sum, row) => sum + row.changed, 0));
  if (structure) return [table(goneColumns('layer'), sorted.map(([name, rows]) => [name, shortCount(rows.reduce((sum, row) => sum + row.parameters, 0)), changedIn(rows), percent(zerosOf(rows, 'sparsityAfter'))])), ''];
  return [table(columns('layer'), sorted.map(([name, rows]) => [name, shortCount(rows.reduce((sum, row) => sum + row.parameters, 0)), percent(zerosOf(rows, 'sparsityBefore')), percent(zerosOf(rows, 'sparsityAfter')), changedIn(rows)])), ''];
}

/** The tensors that lose most and least, or all of them. */
function tensorLines({ tensors, structure }: PruneJson, verbose: boolean): string[] {
  if (structure && !verbose) return [];
  if (structure) return [table(goneColumns('tensor'), tensors.map((tensor) => [printable(tensor.name), shortCount(tensor.parameters), count(tensor.changed), percent(tensor.sparsityAfter)]))];
  const row = (tensor: Row): string[] => [printable(tensor.name), shortCount(tensor.parameters), percent(tensor.sparsityBefore), percent(tensor.sparsityAfter), count(tensor.changed)];
  if (!verbose && tensors.length > 1 && new Set(tensors.map((tensor) => percent(tensor.sparsityAfter))).size === 1 && tensors.every((tensor) => tensor.changed > 0)) return [`all ${tensors.length} tensors: ${percent(tensors[0].sparsityAfter)} (--verbose and --json have each)`];
  if (verbose || tensors.length <= MAX_ROWS) return [table(columns('tensor'), tensors.map(row))];
  const ranked = [...tensors].sort((a, b) => (b.sparsityAfter ?? 0) - (a.sparsityAfter ?? 0));
  const shown = [...ranked.slice(0, MAX_ROWS / 2), ...ranked.slice(-MAX_ROWS / 2)];
  return [table(columns('sparsest and densest tensors'), shown.map(row)), `... and ${tensors.length - MAX_ROWS} between them (--verbose and --json have all)`];
}
