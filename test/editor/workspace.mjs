// The workspace that tests in the editor open: a copy, because tests prune into it.
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { root } from '../../scripts/setup.mjs';

export const oddName = 'my model #1 %A0 100% é模型 (copy)';

export function makeWorkspace() {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'winnow-ws-'));
  const sample = path.join(root, 'media/tiny-gpt2');
  cpSync(sample, path.join(folder, 'tiny-gpt2'), { recursive: true });
  cpSync(sample, path.join(folder, oddName), { recursive: true });
  mkdirSync(path.join(folder, 'notes'));
  writeFileSync(path.join(folder, 'notes/readme.txt'), 'no model here\n');
  writeFileSync(path.join(folder, 'plain.json'), '{"name": "not a model"}\n');
  // Short texts keep the sweep of the test short.
  writeFileSync(path.join(folder, 'text.txt'), 'The whale rose slowly out of the dark water, and the men in the boats were silent. '.repeat(120));
  writeFileSync(path.join(folder, 'sweep.winnow.yaml'), [
    'checkpoint: ./tiny-gpt2', 'method: magnitude', 'scope: global', 'levels: [0.1, 0.5]', 'benchmarks: [sample]', 'protocol: hf-stride', 'context: 256', 'stride: 128', 'out: ./runs/tiny', '',
  ].join('\n'));
  writeFileSync(path.join(folder, 'wrong.winnow.yaml'), ['checkpoint: ./tiny-gpt2', 'method: magnitude', 'levels: [0.5, 1.5]', 'strid: 128', ''].join('\n'));
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }) };
}
