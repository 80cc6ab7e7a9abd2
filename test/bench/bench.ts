/** DESIGN section 8, measured. Run by `npm run bench`; see run.mjs. Prints a table and writes build/bench/results.json. */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { runJob } from '../../server/core/job';
import { openModel } from '../../server/core/models/openModel';
import { scanModel } from '../../server/core/stats/scan';
import { makePool } from '../../server/core/workers/pool';
import { writeCheckpoint } from '../fixtures/synthesise';
import { gb, median, mib, runMeasured, spread } from './measure';
import { benchPerplexity } from './perplexity';

const root = path.resolve(__dirname, '../..');
const work = path.join(root, 'build/bench');
const cli = path.join(root, 'dist/cli.js');
const shared = path.join(root, '../shared');
const words = process.argv.slice(2);
const only = words.includes('--only') ? words[words.indexOf('--only') + 1].split(',') : null;
const wanted = (name: string): boolean => only === null || only.includes(name);
const repeats = words.includes('--quick') ? 3 : 5;
const threads = Math.min(2, os.cpus().length);
const rows: { work: string; measured: string; bar: string; holds: boolean | null; load: number }[] = [];

function row(what: string, measured: string, bar: string, holds: boolean | null): void {
  // A figure from a busy machine is worth less: it says how busy.
  const load = os.loadavg()[0];
  rows.push({ work: what, measured, bar, holds, load });
  console.log(`${holds === null ? ' ' : holds ? '+' : '-'} ${what}: ${measured}   [${bar}]   load ${load.toFixed(1)}`);
}

/** A shape, or an entry that has one. */
interface Inventory { tensors: Record<string, number[] | { shape: number[] }> }
const inventory = (name: string): Record<string, number[]> => {
  const { tensors } = JSON.parse(readFileSync(path.join(shared, 'big', name, 'tensors.json'), 'utf8')) as Inventory;
  return Object.fromEntries(Object.entries(tensors).map(([tensor, entry]) => [tensor, Array.isArray(entry) ? entry : entry.shape]));
};

function bigCheckpoint(dtype: 'F32' | 'BF16', name = 'gpt2-xl'): string {
  const folder = path.join(work, `${name}-${dtype}`), file = path.join(folder, 'model.safetensors');
  if (!existsSync(file)) {
    writeCheckpoint(file, inventory(name), { dtype, seed: 1 });
    cpSync(path.join(shared, 'big', name, 'config.json'), path.join(folder, 'config.json'));
  }
  return folder;
}

/** GPT-2 small by its shapes, with random weights and the real tokenizer. */
function smallCheckpoint(): string {
  const folder = path.join(work, 'gpt2-small');
  const shapes: Record<string, number[]> = { 'wte.weight': [50257, 768], 'wpe.weight': [1024, 768], 'ln_f.weight': [768], 'ln_f.bias': [768] };
  for (let i = 0; i < 12; i++) Object.assign(shapes, Object.fromEntries(Object.entries({
    'ln_1.weight': [768], 'ln_1.bias': [768], 'attn.c_attn.weight': [768, 2304], 'attn.c_attn.bias': [2304], 'attn.c_proj.weight': [768, 768], 'attn.c_proj.bias': [768],
    'ln_2.weight': [768], 'ln_2.bias': [768], 'mlp.c_fc.weight': [768, 3072], 'mlp.c_fc.bias': [3072], 'mlp.c_proj.weight': [3072, 768], 'mlp.c_proj.bias': [768],
  }).map(([name, shape]) => [`h.${i}.${name}`, shape])));
  writeCheckpoint(path.join(folder, 'model.safetensors'), shapes, { dtype: 'F32', seed: 3 });
  const config = JSON.parse(readFileSync(path.join(shared, 'big/gpt2-xl/config.json'), 'utf8')) as Record<string, unknown>;
  writeFileSync(path.join(folder, 'config.json'), JSON.stringify({ ...config, n_embd: 768, n_head: 12, n_layer: 12 }));
  cpSync(path.join(shared, 'tokenizers/gpt2'), folder, { recursive: true });
  return folder;
}

const seconds = async (body: () => Promise<unknown>): Promise<number> => {
  const start = process.hrtime.bigint();
  await body();
  return Number(process.hrtime.bigint() - start) / 1e9;
};
const shell = (command: string): Promise<number> => seconds(() => runMeasured('sh', ['-c', command]));

async function benchInspect(): Promise<void> {
  const folder = path.join(work, 'wide');
  const tensors = Object.fromEntries(Array.from({ length: 3000 }, (_, i) => [`model.layers.${i >> 3}.mlp.part${i & 7}.weight`, [1000, 1000]]));
  if (!existsSync(folder)) writeCheckpoint(path.join(folder, 'model.safetensors'), tensors, { dtype: 'BF16' });
  const times: number[] = [];
  for (let i = 0; i < repeats; i++) times.push(1000 * await seconds(async () => { openModel(folder); }));
  row('inspect, 3,000 tensors, 6 GB, ms (process start excluded)', spread(times, 0), '< 300 ms', median(times) < 300);
  rmSync(folder, { recursive: true });
}

async function benchScan(): Promise<void> {
  for (const dtype of ['BF16', 'F32'] as const) {
    const folder = bigCheckpoint(dtype), file = path.join(folder, 'model.safetensors');
    await shell(`cat '${file}' > /dev/null`); // fills the page cache
    const model = openModel(folder), pool = makePool({ threads }), ours: number[] = [], cats: number[] = [], cpu: number[] = [];
    await runJob(scanModel(model, { threshold: null, io: 'auto' }, pool)); // starts the workers
    for (let i = 0; i < repeats; i++) {
      cats.push(await shell(`cat '${file}' > /dev/null`));
      const before = process.cpuUsage();
      ours.push(await seconds(() => runJob(scanModel(model, { threshold: 0.02, io: 'auto' }, pool))));
      const used = process.cpuUsage(before);
      cpu.push((used.user + used.system) / 1e6);
    }
    await pool.close();
    const ratios = ours.map((value, i) => cats[i] / value), size = model.checkpoint.files[0].byteLength;
    row(`full exact statistics, ${dtype}, ${gb(size)}, ${threads} threads: share of the speed of cat`, `${spread(ratios)} at ${(size / 1e9 / median(ours)).toFixed(1)} GB/s (cat ${(size / 1e9 / median(cats)).toFixed(1)}; ${spread(cpu)} CPU s)`, '>= 0.60, aim 0.90', median(ratios) >= 0.6);
  }
}

async function benchPrune(): Promise<void> {
  for (const dtype of ['F32', 'BF16'] as const) {
    const folder = bigCheckpoint(dtype), file = path.join(folder, 'model.safetensors'), out = path.join(work, 'out');
    const idle = await runMeasured(process.execPath, [cli, '--version']);
    const prunes: number[] = [], copies: number[] = [], memory: number[] = [];
    await shell(`cat '${file}' > /dev/null`);
    for (let i = 0; i < repeats; i++) {
      rmSync(out, { recursive: true, force: true });
      copies.push(await shell(`cp --reflink=never '${file}' '${work}/copy' && sync '${work}/copy'`));
      rmSync(path.join(work, 'copy'));
      const ran = await runMeasured(process.execPath, [cli, 'prune', folder, '--sparsity', '0.5', '--out', out, '--json']);
      prunes.push(ran.seconds); memory.push(ran.peakAnon - idle.peakAnon);
    }
    rmSync(out, { recursive: true, force: true });
    const ratios = prunes.map((value, i) => value / copies[i]);
    row(`global magnitude prune, ${dtype}: x of cp + sync`, `${spread(ratios)} (prune ${spread(prunes, 1)} s, cp ${spread(copies, 1)} s)`, '<= 1.5', median(ratios) <= 1.5);
    row(`extra memory while pruning, ${dtype} (RssAnon of the tree less idle)`, mib(Math.max(...memory)), '< 300 MiB', Math.max(...memory) < 300 * 2 ** 20);
  }
}

/** Every scope and kind of pattern, and a method of scores, beside a copy of the file; the memory of the whole tree beside an idle one. */
async function benchScopes(name: string, dtype: 'F32' | 'BF16'): Promise<void> {
  const folder = bigCheckpoint(dtype, name), file = path.join(folder, 'model.safetensors'), out = path.join(work, 'out');
  const idle = await runMeasured(process.execPath, [cli, '--version']);
  await shell(`cat '${file}' > /dev/null`);
  const copy = await shell(`cp --reflink=never '${file}' '${work}/copy' && sync '${work}/copy'`);
  rmSync(path.join(work, 'copy'));
  const half = ['--sparsity', '0.5'], ways: Record<string, string[]> = {
    'magnitude, global': half, 'magnitude, tensor': [...half, '--scope', 'tensor'], 'magnitude, row': [...half, '--scope', 'row'], 'magnitude, 2:4': ['--pattern', '2:4'],
    'magnitude, 16x16': [...half, '--pattern', '16x16'], 'random, tensor': [...half, '--method', 'random', '--scope', 'tensor'],
  };
  for (const [way, words] of Object.entries(ways)) {
    rmSync(out, { recursive: true, force: true });
    const ran = await runMeasured(process.execPath, [cli, 'prune', folder, ...words, '--threads', String(threads), '--out', out, '--json']);
    const extra = ran.peakAnon - idle.peakAnon;
    row(`prune ${name}, ${dtype}: ${way}: x of cp + sync, once`, `${(ran.seconds / copy).toFixed(2)} (${ran.seconds.toFixed(1)} s, cp ${copy.toFixed(1)} s)`, '<= 1.5', ran.seconds / copy <= 1.5);
    row(`extra memory of it (RssAnon of the tree less idle)`, mib(extra), '< 300 MiB', extra < 300 * 2 ** 20);
  }
  rmSync(out, { recursive: true, force: true });
  if (!words.includes('--keep')) rmSync(folder, { recursive: true });
}

/** Wanda from file to file: calibration, block after block, masks, writing. The same windows' worth of tokens on both sides. */
async function benchWanda(): Promise<void> {
  const python = process.env.WINNOW_PYTHON ?? 'python3', folder = smallCheckpoint(), out = path.join(work, 'wanda'), text = path.join(shared, 'data/wikitext-2/wiki.valid.raw');
  const ratios: number[] = [], samples = '16', length = '512';
  let ours = 0, theirs = 0;
  for (let i = 0; i < Math.min(3, repeats); i++) {
    rmSync(out, { recursive: true, force: true });
    const args = ['prune', folder, '--method', 'wanda', '--sparsity', '0.5', '--calibration', text, '--calibration-samples', samples, '--calibration-length', length, '--threads', String(threads), '--out', out, '--json'];
    ours = (await runMeasured(process.execPath, [cli, ...args])).seconds;
    rmSync(out, { recursive: true, force: true });
    theirs = (JSON.parse((await runMeasured(python, [path.join(__dirname, 'torchWanda.py'), folder, text, samples, length, String(threads), out])).stdout) as { seconds: number }).seconds;
    ratios.push(theirs / ours);
  }
  row('Wanda, GPT-2 small shapes, 16 windows of 512: PyTorch seconds / ours', `${spread(ratios)} (ours ${ours.toFixed(1)} s with its start, PyTorch ${theirs.toFixed(1)} s without its imports)`, '>= 1', median(ratios) >= 1);
  rmSync(out, { recursive: true, force: true });
}

async function benchTorch(): Promise<void> {
  const python = process.env.WINNOW_PYTHON ?? 'python3';
  const peer = JSON.parse((await runMeasured(python, [path.join(__dirname, 'torchPrune.py'), '126e6'])).stdout) as { weights: number; seconds: number; extraBytes: number };
  // torch prunes what lies in memory, so our source and target lie there too where the system has a file system in memory.
  const memory = existsSync('/dev/shm') ? mkdtempSync('/dev/shm/winnow-bench-') : path.join(work, 'memory');
  const folder = path.join(memory, 'peer'), target = path.join(memory, 'out');
  const tensors = Object.fromEntries(Array.from({ length: Math.floor(peer.weights / 9e6) }, (_, i) => [`model.layers.${i}.mlp.up_proj.weight`, [3000, 3000]]));
  writeCheckpoint(path.join(folder, 'model.safetensors'), tensors, { dtype: 'F32' });
  const times: number[] = [];
  for (let i = 0; i < repeats; i++) {
    rmSync(target, { recursive: true, force: true });
    const ran = await runMeasured(process.execPath, [cli, 'prune', folder, '--sparsity', '0.5', '--out', target, '--json']);
    times.push((JSON.parse(ran.stdout) as { seconds: number }).seconds);
  }
  row(`torch.nn.utils.prune, ${(peer.weights / 1e6).toFixed(0)} M F32 weights: its seconds / ours, file to file in memory`, `${(peer.seconds / median(times)).toFixed(0)} x (torch ${peer.seconds.toFixed(1)} s, ours ${spread(times, 3)} s)`, '>= 100 x', peer.seconds / median(times) >= 100);
  rmSync(memory, { recursive: true });
}

async function main(): Promise<void> {
  mkdirSync(work, { recursive: true });
  console.log(`${os.cpus()[0]?.model ?? 'cpu'}, ${os.cpus().length} cores, Node ${process.versions.node}, commit ${execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: root, encoding: 'utf8' }).trim()}`);
  const haveBig = existsSync(path.join(shared, 'big'));
  if (wanted('inspect')) await benchInspect();
  if (wanted('scan') && haveBig) await benchScan();
  if (wanted('prune') && haveBig) await benchPrune();
  if (wanted('scopes') && haveBig) for (const name of ['gpt2-xl', 'flan-t5-xl']) for (const dtype of ['F32', 'BF16'] as const) await benchScopes(name, dtype);
  if (wanted('wanda') && existsSync(path.join(shared, 'tokenizers/gpt2'))) await benchWanda();
  if (wanted('torch')) await benchTorch();
  if (wanted('perplexity') && existsSync(path.join(shared, 'tokenizers/gpt2'))) await benchPerplexity({ work, shared, cli, threads, repeats, quick: words.includes('--quick'), row });
  writeFileSync(path.join(root, 'build/bench-results.json'), JSON.stringify(rows, null, 1));
  if (!words.includes('--keep')) rmSync(work, { recursive: true, force: true });
}

void main().catch((error: unknown) => { console.error(error); process.exitCode = 1; });
