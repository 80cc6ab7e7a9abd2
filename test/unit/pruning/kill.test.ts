import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { hostPart } from '../../../server/core/temporaries';
import { f32, scratch, snapshot, valuesOf, winnow, writeFixture } from './helpers';

const root = path.resolve(__dirname, '../../..');
const folder = scratch('kill');
const model = path.join(folder, 'model'), out = path.join(folder, 'out');

// Large enough that a kill lands while it is written and synced.
const SIDE = 4096;
mkdirSync(model);
const values = Float32Array.from({ length: SIDE * SIDE }, (_, i) => Math.fround(((i * 2654435761) % 65537) / 65537 - 0.5));
writeFixture(path.join(model, 'model.safetensors'), [f32('model.layers.0.mlp.up_proj.weight', [SIDE, SIDE], values)]);
writeFileSync(path.join(model, 'config.json'), '{"model_type":"llama"}');

const staged = (): string[] => readdirSync(folder).filter((name) => name.includes('.winnow-'));

/** Starts a prune in a process of its own and signals it as soon as it writes. */
async function interrupt(signal: 'SIGKILL' | 'SIGTERM', words: readonly string[]): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
  const child = spawn(process.execPath, ['--import', 'tsx', path.join(root, 'server/cli.ts'), 'prune', model, ...words], { cwd: root, stdio: 'ignore' });
  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code, by) => resolve({ code, signal: by }));
  });
  let running = true;
  void ended.finally(() => { running = false; });
  while (running && staged().length === 0) await wait(1);
  child.kill(signal);
  return await ended;
}

test('a kill while writing leaves the source and the old output as they were, and the next run clears up', async (t) => {
  assert.equal((await winnow(['prune', model, '--sparsity', '0.1', '--out', out])).code, 0);
  const before = { model: snapshot(model), out: snapshot(out) };

  const killed = await interrupt('SIGKILL', ['--sparsity', '0.5', '--out', out, '--force']);
  assert.equal(killed.signal, 'SIGKILL', 'it was still writing');
  assert.deepEqual({ model: snapshot(model), out: snapshot(out) }, before);
  assert.equal(staged().length, 1, 'a kill cannot clear up after itself');
  t.diagnostic(`left over: ${staged().join()}`);
  // What a method had put aside while planning; no process has so high a number.
  const aside = path.join(folder, `.scratch-${hostPart()}-4194305-0123abcd`);
  mkdirSync(aside);

  assert.equal((await winnow(['prune', model, '--sparsity', '0.5', '--out', out, '--force'])).code, 0);
  assert.deepEqual([staged(), existsSync(aside)], [[], false]);
  assert.deepEqual(snapshot(model), before.model);
  checkMask();
});

/** The tensor is cut into slices for the workers; ties are masses here: still the first ones in flat order, and exactly half. */
function checkMask(): void {
  const after = valuesOf(out).get('model.layers.0.mlp.up_proj.weight')!;
  let zeros = 0, threshold = 0, keptBelow = 0, order = 0;
  for (let i = 0; i < after.length; i++) if (after[i] === 0) { zeros++; threshold = Math.max(threshold, Math.abs(values[i])); }
  for (let i = 0, keptTie = false; i < after.length; i++) {
    const magnitude = Math.abs(values[i]);
    if (after[i] !== 0 && magnitude < threshold) keptBelow++;
    if (magnitude === threshold) { if (after[i] !== 0) keptTie = true; else if (keptTie) order++; }
  }
  assert.deepEqual([zeros, keptBelow, order], [(SIDE * SIDE) / 2, 0, 0]);
}

test('a termination while writing clears up and exits 130', async () => {
  const fresh = path.join(folder, 'fresh');
  const ended = await interrupt('SIGTERM', ['--sparsity', '0.5', '--out', fresh]);
  assert.deepEqual(ended, { code: 130, signal: null });
  assert.ok(!existsSync(fresh));
  assert.deepEqual(staged(), []);
});
