/**
 * One scored window of each full-size model through the real command line, on the CPU: true names and shapes from
 * ../shared/big, seeded random weights in F32 made beside the system's temporary files and removed afterwards.
 *
 *   node --import tsx test/bench/fullSize.ts [gpt2-xl] [flan-t5-xl] [deberta-v2-xxlarge]
 *
 * Prints seconds and peak memory (every 50 ms, over the process tree): VmRSS with the mapped weights, RssAnon without. The
 * values are those of random weights, so near the size of the vocabulary. Needs the build, 12 GB of disk and of memory.
 */
import { copyFileSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { writeCheckpoint } from '../fixtures/synthesise';
import { gb, runMeasured } from './measure';

const root = path.resolve(__dirname, '../..'), shared = path.join(root, '../shared'), big = path.join(shared, 'big');
const text = path.join(shared, 'data/wikitext-2/wiki.test.raw');

interface Big { readonly protocol: string; readonly context: number; readonly tokenizer: (folder: string) => void; readonly config: () => object }
const read = (file: string): object => JSON.parse(readFileSync(file, 'utf8')) as object;
const models: Readonly<Record<string, Big>> = {
  'gpt2-xl': { protocol: 'hf-stride', context: 1024, config: () => read(path.join(big, 'gpt2-xl/config.json')), tokenizer: (folder) => cpSync(path.join(shared, 'tokenizers/gpt2'), folder, { recursive: true }) },
  'flan-t5-xl': { protocol: 'prefix-lm', context: 512, config: () => read(path.join(big, 'flan-t5-xl/config.json')), tokenizer: (folder) => cpSync(path.join(shared, 'tokenizers/t5'), folder, { recursive: true }) },
  'deberta-v2-xxlarge': {
    protocol: 'mlm-15', context: 512,
    // Microsoft's file names no model type; its tokenizer is a SentencePiece model alone, here one of 30,000 pieces.
    config: () => ({ ...read(path.join(big, 'deberta-v2-xxlarge/xxlarge.json')), model_type: 'deberta-v2' }),
    tokenizer: (folder) => copyFileSync(path.join(shared, 'tokenizers/sentencepiece/spiece.model'), path.join(folder, 'spm.model')),
  },
};

async function measure(name: string): Promise<void> {
  const { protocol, context, config, tokenizer } = models[name], folder = mkdtempSync(path.join(os.tmpdir(), `winnow-${name}-`));
  try {
    const { tensors } = JSON.parse(readFileSync(path.join(big, name, 'tensors.json'), 'utf8')) as { tensors: Record<string, number[] | { shape: number[] }> };
    const shapes = Object.fromEntries(Object.entries(tensors).map(([tensor, entry]) => [tensor, Array.isArray(entry) ? entry : entry.shape]));
    const { bytes } = writeCheckpoint(path.join(folder, 'model.safetensors'), shapes, { seed: 1 });
    writeFileSync(path.join(folder, 'config.json'), JSON.stringify(config()));
    tokenizer(folder);
    const ran = await runMeasured(process.execPath, [path.join(root, 'dist/cli.js'), 'eval', folder, '--text', text, '--protocol', protocol, '--context', String(context), '--limit', '1', '--provider', 'cpu', '--json']);
    const result = JSON.parse(ran.stdout) as { metric: string; value: number | string; scoredTokens: number; seconds: number; decoder?: string };
    const value = typeof result.value === 'number' ? result.value.toPrecision(5) : result.value;
    console.log(`${name}: ${gb(bytes)} F32; ${protocol}, context ${context}, ${result.scoredTokens} tokens scored${result.decoder ? `, decoder ${result.decoder}` : ''}: ${result.metric} ${value}; `
      + `window ${result.seconds.toFixed(1)} s, whole command ${ran.seconds.toFixed(1)} s; peak VmRSS ${gb(ran.peakRss)}, RssAnon ${gb(ran.peakAnon)}; load ${os.loadavg()[0].toFixed(1)}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function main(): Promise<void> {
  const named = process.argv.slice(2), unknown = named.filter((name) => !Object.hasOwn(models, name));
  if (unknown.length > 0) throw new Error(`${unknown.join(', ')}: not one of ${Object.keys(models).join(', ')}`);
  for (const name of named.length > 0 ? named : Object.keys(models)) await measure(name);
}

void main();
