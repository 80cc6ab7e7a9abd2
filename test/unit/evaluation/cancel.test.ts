import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { closeSync, copyFileSync, existsSync, ftruncateSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { besideReference } from '../../../server/core/graph/besideReference';
import { buildGpt2Graph } from '../../../server/core/models/gpt2Graph';
import { openModel } from '../../../server/core/models/openModel';
import { checkMemory } from '../../../server/core/runtime/memory';
import { root, saying } from './material';

const cli = path.join(root, 'dist/cli.js'), sample = path.join(root, 'media/tiny-gpt2');
const folder = mkdtempSync(path.join(tmpdir(), 'winnow-cancel-'));
after(() => rmSync(folder, { recursive: true }));

const WIDTH = 1024, LAYERS = 4, VOCAB = 2048, POSITIONS = 1024;

/** A GPT-2 of 53 M weights that are all zero, in a file of holes: nothing is written, and a window takes a second or more. */
function slowModel(): string {
  const at = (layer: number): [string, number[]][] => [
    ['ln_1.weight', [WIDTH]], ['ln_1.bias', [WIDTH]], ['attn.c_attn.weight', [WIDTH, 3 * WIDTH]], ['attn.c_attn.bias', [3 * WIDTH]], ['attn.c_proj.weight', [WIDTH, WIDTH]], ['attn.c_proj.bias', [WIDTH]],
    ['ln_2.weight', [WIDTH]], ['ln_2.bias', [WIDTH]], ['mlp.c_fc.weight', [WIDTH, 4 * WIDTH]], ['mlp.c_fc.bias', [4 * WIDTH]], ['mlp.c_proj.weight', [4 * WIDTH, WIDTH]], ['mlp.c_proj.bias', [WIDTH]],
  ].map(([name, shape]) => [`transformer.h.${layer}.${name as string}`, shape as number[]]);
  const tensors: [string, number[]][] = [['transformer.wte.weight', [VOCAB, WIDTH]], ['transformer.wpe.weight', [POSITIONS, WIDTH]], ['transformer.ln_f.weight', [WIDTH]], ['transformer.ln_f.bias', [WIDTH]], ...Array.from({ length: LAYERS }, (_, layer) => at(layer)).flat()];
  let end = 0;
  const header = Object.fromEntries(tensors.map(([name, shape]) => {
    const from = end;
    end += 4 * shape.reduce((a, b) => a * b);
    return [name, { dtype: 'F32', shape, data_offsets: [from, end] }];
  }));
  const json = Buffer.from(JSON.stringify(header)), size = Buffer.alloc(8), file = openSync(path.join(folder, 'model.safetensors'), 'w');
  size.writeBigUInt64LE(BigInt(json.length));
  writeSync(file, Buffer.concat([size, json]));
  ftruncateSync(file, 8 + json.length + end);
  closeSync(file);
  writeFileSync(path.join(folder, 'config.json'), JSON.stringify({ model_type: 'gpt2', n_embd: WIDTH, n_layer: LAYERS, n_head: 16, n_positions: POSITIONS, vocab_size: VOCAB }));
  copyFileSync(path.join(sample, 'tokenizer.json'), path.join(folder, 'tokenizer.json'));
  return folder;
}

/** Processes of this machine that have the word on their command line. */
const processesWith = (word: string): number => existsSync('/proc/self') ? readdirSync('/proc').filter((pid) => /^\d+$/.test(pid)).filter((pid) => {
  try { return readFileSync(`/proc/${pid}/environ`, 'latin1').includes(word); } catch { return false; }
}).length : 0;

test('Ctrl-C in the middle of a window ends `eval` within the grace of 500 ms, and its child with it', { skip: existsSync(cli) ? false : 'the build is not there' }, async () => {
  const mark = `WINNOW_TEST_MARK=${path.basename(folder)}`, [key, value] = mark.split('=');
  const child = spawn(process.execPath, [cli, 'eval', slowModel(), '--benchmark', 'sample', '--protocol', 'gptq', '--provider', 'cpu'], { stdio: ['ignore', 'pipe', 'pipe'], detached: true, env: { ...process.env, [key]: value } });
  let said = '', printed = '', sentAt = 0;
  child.stdout.on('data', (data: Buffer) => { printed += data; });
  const inWindow = new Promise<void>((resolve) => {
    child.stderr.on('data', (data: Buffer) => {
      said += data;
      if (/perplexity \d+ of/.test(said)) resolve();
    });
  });
  const ended = new Promise<number | null>((resolve) => child.on('close', (code) => resolve(code)));
  await Promise.race([inWindow, ended]);
  // The first window is done, the next one runs: a terminal sends the signal to the whole group.
  await new Promise((resolve) => setTimeout(resolve, 200));
  sentAt = performance.now();
  process.kill(-child.pid!, 'SIGINT');
  const code = await ended, took = performance.now() - sentAt;
  assert.equal(code, 130, said);
  assert.match(said, /winnow: cancelled: [^\n]*\n$/);
  assert.equal(printed, '');
  // 500 ms of grace, and what a busy machine takes to end two processes.
  assert.ok(took < 1500, `${Math.round(took)} ms from the signal to the exit`);
  console.log(`Ctrl-C to exit: ${Math.round(took)} ms`);
  assert.equal(processesWith(mark), 0, 'a child is left');
});

test('two models that do not fit beside each other are refused with numbers, and weights that both share count once', () => {
  const { checkpoint } = openModel(existsSync(path.join(folder, 'model.safetensors')) ? folder : slowModel()), small = openModel(sample).checkpoint;
  const graph = (one: typeof checkpoint) => buildGpt2Graph(one, { masking: 'none', maskable: [], context: 256, withLogProbabilities: true });
  const alone = graph(checkpoint), twice = besideReference(graph(checkpoint), graph(checkpoint)), both = besideReference(graph(checkpoint), graph(small));
  assert.equal(twice.weightBytes, alone.weightBytes);
  assert.equal(both.weightBytes, alone.weightBytes + graph(small).weightBytes);
  assert.ok(both.activationBytesPerToken > alone.activationBytesPerToken + 4 * 4 * VOCAB, 'the reference\'s log-probabilities and what compares them');
  assert.throws(() => checkMemory(both, 1024, false, 100 * 2 ** 20), saying('out-of-memory', `weights ${Math.ceil(both.weightBytes / 2 ** 20)} MiB`, '100 MiB available'));
});
