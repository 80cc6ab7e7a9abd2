import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { f32, scratch, snapshot, winnow, writeFixture } from '../pruning/helpers';

const folder = scratch('exit-codes'), media = path.resolve(__dirname, '../../../media/tiny-gpt2');
const at = (name: string): string => path.join(folder, name);
writeFixture(at('a.safetensors'), [f32('a.weight', [4, 8], Array.from({ length: 32 }, (_, i) => i + 1))]);
writeFileSync(at('broken.safetensors'), 'no header');
writeFileSync(at('method.winnow.yaml'), `checkpoint: ${media}\nmethod: magic\nlevels: [0.5]\n`);
writeFileSync(at('benchmark.winnow.yaml'), `checkpoint: ${media}\nbenchmarks: [nothing]\nlevels: [0.5]\n`);
writeFileSync(at('sound.winnow.yaml'), `checkpoint: ${media}\nlevels: [0.5]\nbenchmarks: [sample]\n`);
writeFileSync(at('text.txt'), 'word '.repeat(2000));

const a = at('a.safetensors'), half = ['--sparsity', '0.5'], out = ['--out', at('never')], text = ['--text', at('text.txt')];
/** Words of a command line and how it ends: 2 wherever the words are wrong in themselves, 1 wherever a file is. */
const table: readonly (readonly [number, readonly string[]])[] = [
  // prune
  ...[
    [], ['--sparsity', '2'], ['--sparsity', '-0.1'], ['--sparsity', 'half'], ['--sparsity', ''], ['--sparsity'], [...half, '--method', 'magic'], [...half, '--scope', 'layer'], [...half, '--pattern', '4:2'], [...half, '--pattern', 'two'],
    [...half, '--seed', '-1'], [...half, '--seed', '1.5'], [...half, '--format', 'csr'], [...half, '--masks', 'masks.bin'], [...half, '--io', 'disk'], [...half, '--allocation', 'nonsense'],
    [...half, '--allocation', 'owl', '--owl-m', '-1'], [...half, '--owl-m', '5'], [...half, '--calibration', 'train'], [...half, '--nothing'], [...half, '--method', 'ria', '--ria-power', 'x'], [...half, '--method', 'ria', '--ria-power', '99'],
    [...half, '--method', 'wanda', '--ria-power', '1'], ['--pattern', '2:4', '--sparsity', '0.3'], [...half, '--pattern', '4x4', '--scope', 'row'],
  ].map((words) => [2, ['prune', a, ...words, ...out]] as const),
  [2, ['prune', ...half, ...out]], [2, ['prune', a, a, ...half, ...out]],
  [1, ['prune', at('none'), ...half, ...out]], [1, ['prune', at('broken.safetensors'), ...half, ...out]], [1, ['prune', a, ...half, '--exclude', 'nothing*', ...out]], [1, ['prune', a, ...half, '--exclude', '*', ...out]],
  [1, ['prune', a, ...half, '--out', a]], [1, ['prune', '--from-manifest', at('none.json'), ...out]], [1, ['prune', '--from-manifest', at('text.txt'), ...out]], [2, ['prune', '--from-manifest', at('text.txt'), ...half, ...out]],
  // apply
  [2, ['apply', ...out]], [2, ['apply', a, ...out]], [2, ['apply', a, a, a]], [2, ['apply', a, a, '--masks', a]], [1, ['apply', a, a, ...out]], [1, ['apply', at('none'), a, ...out]], [1, ['apply', a, at('broken.safetensors'), ...out]],
  // eval
  ...[
    [], ['--benchmark', 'nothing'], ['--benchmark', 'sample', ...text], [...text, '--protocol', 'nothing'], [...text, '--provider', 'gpu'], [...text, '--context', '1'], [...text, '--context', '1.5'], [...text, '--context', 'x'],
    [...text, '--stride', '0'], [...text, '--context', '64', '--stride', '65'], [...text, '--limit', '0'], [...text, '--protocol', 'gptq', '--context', '64', '--stride', '32'],
  ].map((words) => [2, ['eval', media, ...words]] as const),
  [1, ['eval', media, '--text', at('none.txt')]], [1, ['eval', at('none'), ...text]], [1, ['eval', media, ...text, '--context', '100000']],
  // sweep
  ...[
    ['--levels', '50%'], ['--levels', '2'], ['--levels', ','], ['--methods', 'magic'], ['--scope', 'layer'], ['--pattern', '9:4'], ['--pattern', '2:4', '--levels', '0.3'], ['--provider', 'gpu'], ['--benchmarks', 'nothing'],
    ['--protocol', 'nothing'], ['--seed', 'x'], ['--limit', '0'], [...text, '--benchmarks', 'sample'], ['--allocation', 'nonsense'],
  ].map((words) => [2, ['sweep', media, ...words, ...out]] as const),
  [1, ['sweep', at('method.winnow.yaml'), ...out]], [1, ['sweep', at('benchmark.winnow.yaml'), ...out]], [1, ['sweep', at('none.winnow.yaml')]], [1, ['sweep', at('none'), ...out]],
  [2, ['sweep', at('sound.winnow.yaml'), '--methods', 'magic', ...out]], [2, ['sweep', at('sound.winnow.yaml'), '--benchmarks', 'nothing', ...out]], [2, ['sweep', at('sound.winnow.yaml'), '--provider', 'gpu', ...out]],
];

test('wrong words end with 2, wrong files with 1, each with one line and nothing written', async () => {
  const before = snapshot(folder), wrong: string[] = [];
  for (const [code, words] of table) {
    const { code: found, err } = await winnow(words);
    const said = err.split('\n').filter((line) => line.startsWith('winnow: '));
    if (found !== code || said.length !== 1) wrong.push(`${words.join(' ')}: ${found}, not ${code}: ${err.trim().slice(0, 200)}`);
  }
  assert.deepEqual(wrong, []);
  assert.equal(existsSync(at('never')), false);
  assert.deepEqual(snapshot(folder), before);
});
