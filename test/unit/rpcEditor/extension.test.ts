import test from 'node:test';
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { besideName, freeName, modelsOf, percentName, stemOf } from '../../../extension/targets';
import { outArgument, progressText } from '../../../extension/jobText';
import type { JobJson } from '../../../server/protocol/editor';

test('results are named after the model folder, else after the file, and never land in a cache', () => {
  const root = mkdtempSync(path.join(tmpdir(), 'winnow names é'));
  try {
    const model = path.join(root, 'gpt2'), loose = path.join(root, 'loose');
    for (const folder of [model, loose]) mkdirSync(folder);
    writeFileSync(path.join(model, 'config.json'), '{}');
    for (const file of [path.join(model, 'model.safetensors'), path.join(loose, 'a.b.safetensors'), path.join(loose, 'x.safetensors.index.json')]) writeFileSync(file, '');
    assert.equal(besideName(model, 'magnitude-50', root), path.join(root, 'gpt2-magnitude-50'));
    assert.equal(besideName(path.join(model, 'model.safetensors'), 'magnitude-50', root), path.join(root, 'gpt2-magnitude-50'));
    assert.equal(stemOf(path.join(loose, 'a.b.safetensors')), path.join(loose, 'a.b'));
    assert.equal(stemOf(path.join(loose, 'x.safetensors.index.json')), path.join(loose, 'x'));
    const cached = path.join(root, 'hub', 'models--org--gpt2-xl', 'snapshots', 'abc');
    assert.equal(besideName(cached, 'sweep', '/work'), path.join('/work', 'gpt2-xl-sweep'));
    assert.equal(freeName(path.join(root, 'new')), path.join(root, 'new'));
    assert.equal(freeName(model), `${model}-2`);
    mkdirSync(`${model}-2`);
    assert.equal(freeName(model), `${model}-3`);
    assert.deepEqual(modelsOf([path.join(model, 'model.safetensors'), path.join(loose, 'a.b.safetensors')]), [model, path.join(loose, 'a.b.safetensors')].sort());
  } finally { rmSync(root, { recursive: true }); }
  assert.deepEqual([0.5, 0.995, 0.07].map(percentName), ['50', '99.5', '7']);
});

const job: JobJson = { id: 'sweep-1', kind: 'sweep', title: 't', checkpoint: '/m', args: ['sweep', '/m', '--out', '/o'], pid: 1, state: 'running', startedMs: 0, endedMs: null, progress: null, out: null, message: null };
test('progress is said in short words', () => {
  assert.equal(progressText(job), 'starting');
  assert.equal(progressText({ ...job, progress: { stage: 'scan', done: 50, total: 200, unit: 'bytes' } }), 'scan 25 %');
  assert.equal(progressText({ ...job, progress: { stage: 'evaluate', done: 3, total: 12, unit: 'windows', note: '31.2' } }), 'evaluate 3 of 12 windows, 31.2');
  assert.equal(progressText({ ...job, progress: { stage: 'evaluate', done: 3, total: null, unit: 'windows' } }), 'evaluate');
  assert.equal(outArgument(job), '/o');
  assert.equal(outArgument({ ...job, args: ['sweep', '/m', '--out'] }), null);
});

test('the manifest contributes what the code registers', () => {
  const root = path.resolve(import.meta.dirname, '../../..');
  const { contributes, activationEvents } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
  const source = readFileSync(path.join(root, 'extension/extension.ts'), 'utf8');
  const registered = [...source.matchAll(/command\('(winnow\.\w+)'/g)].map((match) => match[1]).sort();
  assert.deepEqual(contributes.commands.map((entry: { command: string }) => entry.command).sort(), registered);
  assert.ok(contributes.commands.every((entry: { title: string; icon?: string }) => entry.title.startsWith('Winnow: ') && entry.icon));
  assert.deepEqual(contributes.customEditors.map((entry: { viewType: string }) => entry.viewType), ['winnow.inspector', 'winnow.indexInspector']);
  assert.deepEqual(activationEvents, ['onLanguage:json', 'onLanguage:jsonc', 'onLanguage:yaml', 'onWebviewPanel:winnow.sweep']);
  const settings = readFileSync(path.join(root, 'extension/settings.ts'), 'utf8');
  for (const key of Object.keys(contributes.configuration.properties)) assert.ok(settings.includes(`'${key.slice('winnow.'.length)}'`), `${key} is read by nobody`);
});
