import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import type { EvalJson, SweepJson } from '../../../server/protocol/verbs';

const root = path.resolve(import.meta.dirname, '../../..'), cli = path.join(root, 'dist/cli.js'), checkpoint = path.join(root, 'media/tiny-gpt2');
const skip = process.platform !== 'linux' ? 'SKIPPED: hides the GPU by the environment of Vulkan, on Linux' : existsSync(cli) ? false : 'SKIPPED: needs the build (`npm run build`)';
if (skip) console.log(skip);
const options = { skip, timeout: 120_000 };

const folder = mkdtempSync(path.join(tmpdir(), 'winnow-fallback-')), text = path.join(folder, 'text.txt');
after(() => rmSync(folder, { recursive: true }));
writeFileSync(text, 'It was the best of times, it was the worst of times. '.repeat(20));

/** Runs the command line where WebGPU finds no GPU. */
const run = (...words: string[]): Promise<{ code: number; stdout: string; stderr: string }> => new Promise((resolve) => {
  const env = { ...process.env, VK_ICD_FILENAMES: '/nowhere/icd.json', VK_DRIVER_FILES: '/nowhere/icd.json' };
  execFile(process.execPath, [cli, ...words], { env }, (error, stdout, stderr) => resolve({ code: error ? Number(error.code) : 0, stdout, stderr }));
});
const window = ['--text', text, '--context', '32', '--stride', '32', '--limit', '2'];
const reason = /^cpu; cuda: .+; webgpu: .+/;
const fallbackOf = (problems: EvalJson['problems']): string | undefined => problems.find(({ code }) => code === 'provider-fallback')?.detail;

test('eval: auto on a machine without a GPU is the CPU, with the reason in the result and in the text', options, async () => {
  const json = await run('eval', checkpoint, ...window, '--json');
  assert.equal(json.code, 0, json.stderr);
  const result = JSON.parse(json.stdout) as EvalJson;
  assert.equal(result.provider, 'cpu');
  assert.match(fallbackOf(result.problems)!, reason);
  assert.match((await run('eval', checkpoint, ...window)).stdout, /note .*webgpu: tried/);
  const named = JSON.parse((await run('eval', checkpoint, ...window, '--provider', 'cpu', '--json')).stdout) as EvalJson;
  assert.deepEqual([named.provider, fallbackOf(named.problems)], ['cpu', undefined]);
});

test('eval, sweep: a provider asked for by name that does not work is refused with the reason, not replaced', options, async () => {
  for (const words of [['eval', checkpoint], ['sweep', checkpoint, '--levels', '0.5', '--out', path.join(folder, 'refused')]]) {
    const { code, stderr } = await run(...words, ...window, '--provider', 'webgpu');
    assert.equal(code, 1);
    assert.match(stderr, /winnow: provider-unavailable: .*webgpu: tried/);
  }
});

test('sweep, as the editor starts it, and cell: every result has its provider and why it is that one', options, async () => {
  const out = path.join(folder, 'sweep');
  const { code, stdout, stderr } = await run('sweep', checkpoint, ...window, '--levels', '0.5', '--no-runtime', '--out', out, '--json');
  assert.equal(code, 0, stderr);
  assert.match(stderr, /computed on cpu; .*webgpu/);
  const { setup } = JSON.parse(stdout) as SweepJson;
  assert.equal(setup.provider, 'cpu');
  assert.match(setup.providerReason!, reason);
  const read = (file: string): { specification: object; evaluation: EvalJson } => JSON.parse(readFileSync(file, 'utf8')) as ReturnType<typeof read>;
  const cells = readdirSync(path.join(out, 'cells')).filter((name) => name.endsWith('.result.json')).map((name) => read(path.join(out, 'cells', name)));
  assert.equal(cells.length, 2);
  for (const { evaluation } of cells) assert.deepEqual([evaluation.provider, reason.test(fallbackOf(evaluation.problems)!)], ['cpu', true]);

  const spec = path.join(folder, 'spec.json'), result = path.join(folder, 'cell.json');
  writeFileSync(spec, JSON.stringify({ ...cells[0].specification, provider: 'auto' }));
  assert.equal((await run('cell', spec, '--out', result)).code, 0);
  const { evaluation } = read(result);
  assert.equal(evaluation.provider, 'cpu');
  assert.match(fallbackOf(evaluation.problems)!, reason);
  assert.match(await run('report', out).then(() => readFileSync(path.join(out, readdirSync(out).find((name) => name.endsWith('.md'))!), 'utf8')), /why this provider/);
});
