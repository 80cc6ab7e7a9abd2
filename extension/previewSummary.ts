/** A pruning in a few lines, for a dialog. Knows no vscode. */
import type { PruneJson } from '../server/protocol/verbs';
import { formatBytes, formatSeconds } from '../server/rpc/progressBar';
import { percent } from '../server/rpc/table';

const count = (value: number): string => value.toLocaleString('en');

/** What changes and by how much, which tensors lose most and least, what it takes and where it goes. */
export function previewSummary(preview: PruneJson): string {
  const { needs, tensors } = preview, ranked = [...tensors].sort((a, b) => (a.sparsityAfter ?? 0) - (b.sparsityAfter ?? 0));
  const least = ranked[0], most = ranked[ranked.length - 1];
  const shape = preview.pattern === 'unstructured' ? `${preview.scope} scope` : preview.pattern;
  return [
    `${count(preview.prunedParameters)} of ${count(preview.scopeParameters)} weights in scope will be zero (${percent(preview.achieved)}; ${count(preview.changed)} newly; ${preview.method}, ${shape}). The source stays as it is.`,
    ...(tensors.length > 1 ? [`In ${count(tensors.length)} tensors, from ${percent(least.sparsityAfter)} in ${least.name} to ${percent(most.sparsityAfter)} in ${most.name}.`] : []),
    `Writes ${formatBytes(preview.bytes)} to\n${preview.out}`,
    ...(needs ? [`Takes ${needs.seconds < 1 ? 'a moment' : `about ${formatSeconds(needs.seconds)}`} and ${formatBytes(needs.memoryBytes)} of memory; ${formatBytes(needs.freeDiskBytes)} of disk are free.`] : []),
    ...(preview.problems.length > 0 ? [`${count(preview.problems.length)} ${preview.problems.length === 1 ? 'remark stands' : 'remarks stand'} in the details.`] : []),
  ].join('\n\n');
}
