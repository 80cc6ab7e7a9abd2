import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import manifest from '../../package.json';
import { formats } from '../../server/core/formats/registry';
import { hasWeights, isWeightName } from '../../server/language/siblings';

const root = path.resolve(import.meta.dirname, '../..');

test('package.json and the suffix table are what the format registry says today', () => {
  const { status, stderr } = spawnSync(process.execPath, ['--import', 'tsx', path.join(root, 'scripts/manifest.mjs'), '--check'], { encoding: 'utf8', cwd: root });
  assert.equal(status, 0, stderr);
});

test('every extension of every format has an editor; those of other tools only on request', () => {
  const editors = manifest.contributes.customEditors;
  for (const format of formats) for (const extension of format.extensions) {
    const editor = editors.find((one) => one.selector.some(({ filenamePattern }) => filenamePattern === `*${extension}`));
    assert.equal(editor?.priority, format.editor ?? 'option', extension);
    assert.ok(isWeightName(`x${extension}`), extension);
  }
  assert.equal(editors.find((one) => one.selector.some(({ filenamePattern }) => filenamePattern === '*.bin'))?.priority, 'option');
});

test('a folder of the repository is no model folder', () => assert.equal(hasWeights(path.join(root, 'server')), false));
