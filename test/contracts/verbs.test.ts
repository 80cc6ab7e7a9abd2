import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import Ajv from 'ajv';
import schemas from '../../server/protocol/schemas.json';
import { runShell } from '../../server/rpc/shell';
import { verbs } from '../../server/rpc/verbs/registry';

const root = path.resolve(import.meta.dirname, '../..'), checkpoint = path.join(root, 'media/tiny-gpt2'), cli = path.join(root, 'dist/cli.js');
const ready = existsSync(path.join(checkpoint, 'model.safetensors')) && existsSync(cli) && existsSync(path.join(root, 'dist/onnxChild.js'));
if (!ready) console.log('SKIPPED: what verbs print needs media/tiny-gpt2 and the build (`npm run build`)');
const options = { skip: !ready };

const folder = mkdtempSync(path.join(tmpdir(), 'winnow-verbs-')), text = path.join(folder, 'text.txt'), sweepDir = path.join(folder, 'sweep');
before(() => writeFileSync(text, 'Call me Ishmael. Some years ago, never mind how long precisely, I thought I would sail about a little. '.repeat(30)));
after(() => rmSync(folder, { recursive: true }));

const validator = (definition: string) => new Ajv({ strict: false, allErrors: true }).compile({ ...schemas, $ref: `#/definitions/${definition}` });

async function shell(words: string[]): Promise<{ code: number; out: string; err: string }> {
  let out = '', err = '';
  const code = await runShell(words, {
    cwd: folder, environment: {}, signal: new AbortController().signal,
    stdout: { write: (part, done) => { out += part; setImmediate(done, null); } }, stderr: { write: (part) => { err += part; } },
  });
  return { code, out, err };
}

const window = ['--context', '64', '--stride', '32', '--limit', '3', '--threads', '2', '--provider', 'cpu'];
const specification = (): string => path.join(sweepDir, 'cells', readdirSync(path.join(sweepDir, 'cells')).find((name) => name.endsWith('.spec.json'))!);

/** One real call of each verb, in an order in which the later ones find what the earlier ones wrote. */
const calls: readonly (readonly [verb: string, words: () => string[]])[] = [
  ['inspect', () => [checkpoint]],
  ['stats', () => [checkpoint, '--threshold', '0.02']],
  ['prune', () => [checkpoint, '--sparsity', '0.5', '--out', 'pruned', '--masks', 'masks.safetensors']],
  ['apply', () => ['masks.safetensors', checkpoint, '--out', 'masked']],
  ['eval', () => [checkpoint, '--text', text, ...window]],
  ['sweep', () => [checkpoint, '--text', text, ...window, '--levels', '0.9', '--divergence', '--out', sweepDir]],
  ['compare', () => [checkpoint, 'pruned']],
  ['convert', () => [checkpoint, '--to', 'safetensors', '--dtype', 'BF16', '--out', 'converted']],
  ['cell', () => [specification(), '--out', 'result.json']],
  ['report', () => [sweepDir]],
  ['fetch', () => ['sample']],
  ['reproduce', () => []],
  ['catalog', () => []],
  ['doctor', () => []],
];

test('every verb has a call below', () => assert.deepEqual(calls.map(([verb]) => verb).sort(), verbs.map(({ name }) => name).sort() as string[]));

for (const [verb, words] of calls) {
  test(`what ${verb} --json prints is one document that its schema allows, and its text is for people`, options, async () => {
    const { code, out, err } = await shell([verb, ...words(), '--json', '--force']);
    assert.equal(code, 0, err);
    const output: unknown = JSON.parse(out);
    const validate = validator(schemas.verbs[verb as keyof typeof schemas.verbs]);
    assert.ok(validate(output), JSON.stringify(validate.errors, null, 1));
    assert.doesNotMatch(err, /\u001b|\r|^winnow:/m);
    const plain = await shell([verb, ...words(), '--force', ...(verb === 'sweep' ? ['--out', path.join(folder, 'sweep-2')] : [])]);
    assert.equal(plain.code, 0, plain.err);
    assert.ok(plain.out.trim().length > 10);
    assert.doesNotMatch(plain.out, /undefined|\[object|NaN %/);
  });
}

test('the specifications in a store fit their schema', options, () => {
  const validate = validator('CellSpecificationJson');
  assert.ok(validate(JSON.parse(readFileSync(specification(), 'utf8'))), JSON.stringify(validate.errors));
});

test('a reader that goes away ends the command without a word', options, async () => {
  const child = spawn(process.execPath, [cli, 'inspect', checkpoint, '--json'], { stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.destroy();
  let err = '';
  child.stderr.on('data', (data: Buffer) => { err += data; });
  const code = await new Promise((resolve) => child.on('close', resolve));
  assert.equal(code, 0);
  assert.equal(err, '');
});

test('exit codes and messages of the real command', options, () => {
  const run = (...words: string[]) => spawnSync(process.execPath, [cli, ...words], { encoding: 'utf8', cwd: folder });
  const empty = path.join(folder, 'empty.safetensors');
  writeFileSync(empty, '');
  copyFileSync(path.join(checkpoint, 'config.json'), path.join(folder, 'config.json'));
  for (const [words, status, message] of [
    [['inspect', 'nowhere'], 1, /^winnow: not-found: /], [['inspect', 'empty.safetensors'], 1, /^winnow: is-empty: /], [['inspect'], 2, /^winnow: usage: /],
    [['prune', checkpoint, '--sparsity', '2'], 2, /^winnow: usage: /], [['eval', checkpoint], 2, /^winnow: usage: /], [['sweep', checkpoint, '--levels', '50%'], 2, /^winnow: usage: /],
    [['report', folder], 1, /^winnow: not-a-sweep: /], [['cell', 'config.json', '--out', 'r.json'], 1, /^winnow: bad-specification: /], [['sweep', 'none.winnow.yaml'], 1, /^winnow: not-found: /],
  ] as const) {
    const { status: code, stderr, stdout } = run(...words);
    assert.equal(code, status, `${words.join(' ')}: ${stderr}`);
    assert.match(stderr, message);
    assert.equal(stderr.trimEnd().split('\n').length, 1, stderr);
    assert.equal(stdout, '');
  }
  assert.match(run('--version').stdout, /^\d+\.\d+\.\d+\n$/);
});

test('a recipe says the same as flags, a flag goes before it, and a wrong one is refused with its line', options, async () => {
  const recipe = path.join(folder, 'r.winnow.yaml');
  writeFileSync(recipe, `checkpoint: ${checkpoint}\nmethod: magnitude\nscope: tensor\nlevels: [0.5]\ntext: ./text.txt\ncontext: 64\nstride: 32\nlimit: 3\nout: ./by-recipe\n`);
  const { code, out, err } = await shell(['sweep', recipe, '--no-runtime', '--levels', '0.25', '--provider', 'cpu', '--json']);
  assert.equal(code, 0, err);
  const output = JSON.parse(out) as { out: string; setup: { context: number }; cells: { level: number; scope: string; runtime: unknown }[] };
  assert.equal(output.out, path.join(folder, 'by-recipe'));
  assert.deepEqual(output.cells.map((cell) => [cell.level, cell.runtime]), [[0, null], [0.25, null]]);
  assert.equal(output.cells[1].scope, 'tensor');
  writeFileSync(recipe, `checkpoint: ${checkpoint}\nlevels: [50%]\n`);
  const wrong = await shell(['sweep', recipe]);
  assert.equal(wrong.code, 1);
  assert.match(wrong.err, /winnow: recipe-invalid: .*line 2/);
});
