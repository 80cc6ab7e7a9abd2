import assert from 'node:assert/strict';
import { test } from 'node:test';
import { previewSummary } from '../../../extension/previewSummary';
import type { PruneJson } from '../../../server/protocol/verbs';
import { pruneText } from '../../../server/rpc/pruneText';

/** A made-up pruning: two tensors a layer, each sparser than the one before. */
function pruning(layers: number, change: Partial<PruneJson> = {}): PruneJson {
  const tensors = Array.from({ length: 2 * layers }, (_, i) => ({ name: `h.${i >> 1}.${i % 2 === 0 ? 'attn' : 'mlp'}.weight`, parameters: 1000, layer: i >> 1, sparsityBefore: 0, sparsityAfter: (i + 1) / (2 * layers + 1), changed: Math.round((1000 * (i + 1)) / (2 * layers + 1)) }));
  const changed = tensors.reduce((sum, tensor) => sum + tensor.changed, 0);
  return {
    out: '/models/out', method: 'magnitude', scope: 'global', pattern: 'unstructured', options: [], target: 0.5, achieved: 0.5, achievedTotal: 0.4, threshold: 0.03, scopeParameters: 2000 * layers, selected: changed, changed, prunedParameters: changed,
    tensors, format: 'dense', bytes: 6_000_000, seconds: 1.25, manifest: '/models/out/winnow-manifest.json', masks: null, dryRun: false, problems: [], ...change,
  } as PruneJson;
}
const rows = (text: string): string[] => text.split('\n').filter((line) => /^h\.\d+\./.test(line));

test('a pruning is told by layer and by its twenty most telling tensors; all of them on request', () => {
  const output = pruning(40), text = pruneText(output, false);
  assert.equal(text.split('\n').filter((line) => /^layer \d+ /.test(line)).length, 40);
  assert.equal(rows(text).length, 20);
  for (const name of ['h.39.mlp.weight', 'h.0.attn.weight']) assert.ok(rows(text).some((line) => line.startsWith(name)), `${name}: the sparsest and the densest are in`);
  assert.match(text, /and 60 between them \(--verbose and --json have all\)/);
  assert.equal(rows(pruneText(output, true)).length, 80);
  const few = pruneText(pruning(3), false);
  assert.deepEqual([rows(few).length, /between them/.test(few)], [6, false]);
  assert.match(few, /are zero now[\s\S]*written in 1\.3 s: \/models\/out[\s\S]*manifest: \/models\/out\/winnow-manifest\.json/);
});

test('a dry run says what would be, what it takes, and that nothing was written', () => {
  const needs = { diskBytes: 6_000_000, freeDiskBytes: 5e9, memoryBytes: 66e6, seconds: 75, planSeconds: 60, assumedBytesPerSecond: 500e6 };
  const output = pruning(3, { dryRun: true, needs, manifest: null }), text = pruneText(output, false);
  assert.match(text, /would be zero[\s\S]*nothing was written\. Pruning would write 6 MB \(dense\) to \/models\/out[\s\S]*disk 6 MB of 5 GB free, memory about 66 MB[\s\S]*time about 1:15/);
  assert.doesNotMatch(text, /written in|are zero now/);
  const summary = previewSummary(output);
  for (const part of [output.prunedParameters.toLocaleString('en'), '6,000 weights in scope', 'global scope', 'from 14.3 % in h.0.attn.weight to 85.7 % in h.2.mlp.weight', 'Writes 6 MB to\n/models/out', 'about 1:15', '66 MB of memory', '5 GB of disk']) assert.ok(summary.includes(part), `${part} in: ${summary}`);
  assert.match(previewSummary({ ...output, needs: { ...needs, seconds: 0.3 } }), /Takes a moment/);
});
